"""Fields in JSON that a type does not have: what is passed over looks to its sender like what was obeyed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from headrace.errors import Malformed

NEAR = 0.5
_OBJECTS = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType)
_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


@dataclass(frozen=True, slots=True)
class UnknownField:
    """Where in a body the field stands, as `basket.itmes[0].nmae`, and what the object there may have instead."""

    place: str
    name: str
    known: tuple[str, ...]

    def refusal(self) -> Malformed:
        """The error that names it, and the nearest known one."""
        near = get_close_matches(self.name, self.known, n=1, cutoff=NEAR)
        known = f"Known are: {', '.join(self.known)}." if self.known else "None is known there."
        return Malformed(
            f"The body has no field {self.place[:120]!r}.", remedy=f"Did you mean {near[0]!r}?" if near else known
        )


class KnownFields:
    """The fields that a type has, at every depth. Models in the manner of pydantic say themselves what they take."""

    def __init__(self, kind: Any) -> None:
        self._kind = inspect.type_info(kind)
        self.must_be_checked = any(_passes_over(each) for each in _all_within(self._kind))

    def check(self, value: Any) -> None:
        """Raises `Malformed` for the first field of `value`, which is plain JSON, that the type does not have."""
        for unknown in _unknown(self._kind, value, ""):
            raise unknown.refusal()


def _passes_over(kind: inspect.Type) -> bool:
    """Whether decoding alone would let unknown fields of such an object pass."""
    if isinstance(kind, inspect.StructType):
        return not (kind.forbid_unknown_fields or kind.array_like)
    return isinstance(kind, _OBJECTS)


def _all_within(root: inspect.Type) -> Iterator[inspect.Type]:
    pending, seen = [root], set[int]()
    for kind in pending:
        if id(kind) not in seen:
            seen.add(id(kind))
            yield kind
            pending += _inner(kind)


def _inner(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, _OBJECTS):
        return [field.type for field in kind.fields]
    if isinstance(kind, _LISTS):
        return [kind.item_type]
    if isinstance(kind, inspect.TupleType):
        return list(kind.item_types)
    if isinstance(kind, inspect.DictType):
        return [kind.value_type]
    if isinstance(kind, inspect.UnionType):
        return list(kind.types)
    return []


def _unknown(kind: inspect.Type, value: Any, place: str) -> Iterator[UnknownField]:
    if isinstance(kind, inspect.UnionType):
        wanted = (*_OBJECTS, inspect.DictType) if isinstance(value, Mapping) else (*_LISTS, inspect.TupleType)
        fitting = [each for each in kind.types if isinstance(each, wanted)]
        # Of several that it may be, nobody can tell which one was meant.
        if len(fitting) == 1:
            yield from _unknown(fitting[0], value, place)
    elif isinstance(kind, _OBJECTS) and isinstance(value, Mapping):
        yield from _unknown_in_object(kind, value, place)
    elif isinstance(kind, _LISTS) and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(kind.item_type, each, f"{place}[{number}]")
    elif isinstance(kind, inspect.TupleType) and isinstance(value, list):
        for number, (inner, each) in enumerate(zip(kind.item_types, value, strict=False)):
            yield from _unknown(inner, each, f"{place}[{number}]")
    elif isinstance(kind, inspect.DictType) and isinstance(value, Mapping):
        for name, each in value.items():
            yield from _unknown(kind.value_type, each, _below(place, name))


def _unknown_in_object(
    kind: inspect.StructType | inspect.DataclassType | inspect.TypedDictType, value: Mapping[str, Any], place: str
) -> Iterator[UnknownField]:
    fields = {field.encode_name: field.type for field in kind.fields}
    tag = kind.tag_field if isinstance(kind, inspect.StructType) else None
    for name, each in value.items():
        if name in fields:
            yield from _unknown(fields[name], each, _below(place, name))
        elif name != tag:
            yield UnknownField(_below(place, name), name, tuple(fields))


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def refusal_of(error: msgspec.ValidationError, kind: Any, body: bytes) -> Malformed:
    """What `error`, raised when `body` was decoded as `kind`, is to its sender."""
    if "unknown field" in str(error):
        try:
            KnownFields(kind).check(msgspec.json.decode(body))
        except Malformed as unknown:
            return unknown
    return Malformed(f"The body does not fit: {error}.", remedy="See /docs for its fields.")
