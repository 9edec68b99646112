"""Finds numbers that are none in answers: NaN and infinity, which JSON cannot say and no caller expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import islice
from math import isfinite
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import numpy as np

from headrace.serving.hints import hints_in
from headrace.serving.plain import is_model
from headrace.serving.service import Method

Find = Callable[[Any], str | None]
"""Where in a value the first number stands that is none; None where there is none."""

_EXCUSED = {("missing", "nan"), ("made", "late")}
"""Metadata of fields where NaN is the word for what is missing, which never goes out as JSON, and of fields that are
computed when they are looked at, which would take longer than the answer."""

_UNTOLD: tuple[Any, ...] = (Any, object, dict, list, tuple, Mapping, Sequence)
"""Annotations that do not say what is within: it is looked at as it comes."""

DEEPEST = 4
MOST_ITEMS = 256


def finder(method: Method) -> Find | None:
    """Looks where the annotated answer of `method` may hold floats; None where it holds none.

    Looks at most four levels deep and at the first 256 items of each list or mapping: an answer is to be checked in
    microseconds.
    """
    try:
        answer = hints_in(method.run).get("return", Any)
    except NameError:
        # Annotations that name what only exists within a function cannot be read by anybody.
        return None
    if method.max_batch_size is not None:
        answer = next(iter(get_args(answer)), Any)
    return _finder(answer, DEEPEST)


def found_in(value: Any, depth: int = DEEPEST) -> str | None:
    """Where in a value of any type the first number stands that is none."""
    # Many answers are looked at so: what is most frequent comes first, and only a place that is found is written.
    if isinstance(value, float):
        return None if isfinite(value) else ""
    if not depth or isinstance(value, _WITHOUT_NUMBERS):
        return _of_array(value)
    members: Iterable[tuple[object, object]]
    if isinstance(value, (dict, Mapping)):
        members, form = value.items(), "[{!r}]"
    elif isinstance(value, (list, tuple, Sequence, AbstractSet)):
        members, form = enumerate(value), "[{}]"
    else:
        members, form = ((name, getattr(value, name, None)) for name in _names_in(value)), ".{}"
    for key, each in islice(members, MOST_ITEMS):
        kind = type(each)
        # What most members are takes no call.
        if kind is str or kind is int or (kind is float and isfinite(each)):
            continue
        if (place := found_in(each, depth - 1)) is not None:
            return form.format(key) + place
    return _of_array(value)


def _names_in(value: object) -> list[str]:
    """The fields of a value whose numbers go out as JSON."""
    if is_dataclass(value):
        return _names_of(type(value))
    return list(vars(value) if is_model(type(value)) else getattr(value, "__struct_fields__", ()))


def _names_of(kind: type[Any]) -> list[str]:
    return [field.name for field in fields(kind) if not (_EXCUSED & field.metadata.items())]


_WITHOUT_NUMBERS = (str, bytes, bytearray, int, type, type(None))


def _finder(kind: Any, depth: int) -> Find | None:
    if kind in _UNTOLD or is_model(kind):
        return partial(found_in, depth=depth)
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        inner = [found for each in get_args(kind) if (found := _finder(each, depth))]
        return _of_any(inner) if inner else None
    if isinstance(origin, type) and issubclass(origin, float | np.floating | np.ndarray):
        return _of_float if issubclass(origin, float) else _of_array
    if not isinstance(origin, type) or depth == 0:
        return None
    if issubclass(origin, Mapping | Sequence):
        return _of_container(origin, get_args(kind), depth)
    return _of_fields_of(origin, depth)


def _of_container(kind: type, arguments: tuple[Any, ...], depth: int) -> Find | None:
    found = _finder(arguments[-1 if issubclass(kind, Mapping) else 0], depth - 1) if arguments else None
    if found is None:
        return None
    return _of_mapping(found) if issubclass(kind, Mapping) else _of_items(found)


def _of_fields_of(kind: type, depth: int) -> Find | None:
    if is_dataclass(kind):
        names = _names_of(kind)
    elif issubclass(kind, msgspec.Struct):
        names = [field.name for field in msgspec.structs.fields(kind)]
    else:
        return None
    hints = hints_in(kind)
    inner = [(name, found) for name in names if (found := _finder(hints[name], depth - 1))]
    return _of_fields(inner) if inner else None


def _of_float(value: Any) -> str | None:
    return "" if isinstance(value, float) and not isfinite(value) else None


def _of_array(value: Any) -> str | None:
    if isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f" and not np.isfinite(value).all():
        return ""
    return None


def _of_any(inner: Sequence[Find]) -> Find:
    def find(value: Any) -> str | None:
        for each in inner:
            if (place := each(value)) is not None:
                return place
        return None

    return find


def _of_mapping(inner: Find) -> Find:
    def find(value: Any) -> str | None:
        # Asked of an abstract class alone, it would take longer than all else.
        if isinstance(value, (dict, Mapping)):
            for key, each in islice(value.items(), MOST_ITEMS):
                if (place := inner(each)) is not None:
                    return f"[{key!r}]{place}"
        return None

    return find


def _of_items(inner: Find) -> Find:
    def find(value: Any) -> str | None:
        if isinstance(value, (list, tuple, Sequence, AbstractSet)) and not isinstance(value, str | bytes):
            for number, each in enumerate(islice(value, MOST_ITEMS)):
                if (place := inner(each)) is not None:
                    return f"[{number}]{place}"
        return None

    return find


def _of_fields(inner: Sequence[tuple[str, Find]]) -> Find:
    def find(value: Any) -> str | None:
        for name, each in inner:
            if (place := each(getattr(value, name, None))) is not None:
                return f".{name}{place}"
        return None

    return find
