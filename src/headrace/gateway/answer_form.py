"""What the contract says of an answer: the fields that every one has, and those of its author's type."""

from __future__ import annotations

import re
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from headrace.domain.decision import DegradedStep
from headrace.serving.answer import Answer
from headrace.serving.endpoint import Endpoint
from headrace.serving.plain import schema_of

_Field = tuple[str, Any] | tuple[str, Any, Any]
_OWN: tuple[tuple[str, Any], ...] = (
    ("decision_id", str),
    ("release", str),
    ("variant", str),
    ("degraded", list[DegradedStep]),
    ("timings_ms", dict[str, float]),
)
_MAYBE = (("quality", dict[str, Any]), ("tags", dict[str, str]))
_UNREADABLE = (TypeError, ValueError, NameError, NotImplementedError, AttributeError, RecursionError)
"""What annotations raise that nobody can read, or that JSON has no schema for."""


def answer_type(endpoint: Endpoint) -> type[msgspec.Struct]:
    """The body of an answer: its own fields where its class annotates `body` with a `TypedDict`, else `output`."""
    own = _fields_of(endpoint.route.answer)
    names = {name for name, *_ in own}
    added: list[_Field] = [*_OWN, *(_optional(*each) for each in _MAYBE)]
    words = [word.title() for word in re.split(r"\W+", endpoint.path)]
    return msgspec.defstruct(
        f"{''.join(words)}Answer", [*(field for field in added if field[0] not in names), *own], kw_only=True
    )


def _fields_of(answer: Any) -> list[_Field]:
    if not (isinstance(answer, type) and issubclass(answer, Answer)):
        return [("output", _told(answer))]
    try:
        body = get_type_hints(answer.body).get("return")
        hints = get_type_hints(body, include_extras=True) if is_typeddict(body) else {}
    except _UNREADABLE:
        return []
    optional: frozenset[str] = getattr(body, "__optional_keys__", frozenset())
    return [_optional(name, _plain(kind)) if name in optional else (name, _plain(kind)) for name, kind in hints.items()]


def _optional(name: str, kind: Any) -> tuple[str, Any, Any]:
    return name, kind | msgspec.UnsetType, msgspec.UNSET


def _plain(kind: Any) -> Any:
    return _told(get_args(kind)[0] if get_origin(kind) in (Required, NotRequired) else kind)


def _told(kind: Any) -> Any:
    """The type, or any where it has no schema."""
    try:
        msgspec.json.schema(kind, schema_hook=schema_of)
    except _UNREADABLE:
        return Any
    return kind
