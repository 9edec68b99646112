"""Columns: a list of alike objects as one list for each field, which takes a tenth of the time to make and to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

# No JSON begins with it.
_MARK = b"\x01"
_json = msgspec.json.Encoder(decimal_format="number")
_msgpack = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Columns:
    """Goes out as a list of objects: one for each row, of the `fields` in their order, without those that are None.

    The lists are of one length, and hold text, numbers, None, or lists of such.
    """

    fields: Mapping[str, Sequence[Any]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The objects."""
        names = tuple(self.fields)
        for row in zip(*self.fields.values(), strict=True):
            yield {name: value for name, value in zip(names, row, strict=True) if value is not None}


def written(value: Mapping[str, Any]) -> bytes:
    """`value` as JSON; if any of its own fields are `Columns`, in a form that `as_json` makes the same JSON of."""
    if not any(isinstance(each, Columns) for each in value.values()):
        return _json.encode(value)
    parts = [(name, each.fields if isinstance(each, Columns) else _json.encode(each)) for name, each in value.items()]
    return _MARK + _msgpack.encode(parts)


def as_json(content: bytes) -> bytes:
    """What was `written`, as JSON."""
    if content[:1] != _MARK:
        return content
    parts: list[tuple[str, Any]] = msgspec.msgpack.decode(content[1:])
    return _json.encode(
        {name: msgspec.Raw(each) if isinstance(each, bytes) else list(Columns(each).rows()) for name, each in parts}
    )
