"""The named styles of a DOC as far as they hide what is written in them ([MS-DOC] 2.9.271 and 2.4.6.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HIDDEN, CHARACTER_STYLE = 0x083C, 0x4A30
_STYLES = 0x00A2
"""Where the header tells the list of styles."""
_OF_PARAGRAPHS, _OF_CHARACTERS = 1, 2
_AS_STYLE, _UNLIKE_STYLE = 0x80, 0x81
MOST_STYLES, DEEPEST = 4_096, 32
_SIZES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}
_TABLE_DEFINITION, _VARIABLE = 0xD608, 6


@dataclass(frozen=True, slots=True)
class Styles:
    """The numbers of the styles in which words are not shown."""

    hidden: frozenset[int]

    @classmethod
    def read(cls, stream: bytes, table: bytes) -> Styles:
        """All that can be found; a damaged list hides nothing."""
        try:
            listed = list(_styles(stream, table))
        except (struct.error, IndexError):
            listed = []
        return cls(frozenset(number for number in range(len(listed)) if _is_hidden(number, listed)))

    def hides(self, modifiers: bytes, paragraph_style: int) -> bool:
        """Whether characters with these properties, in a paragraph of that style, are hidden."""
        direct, own = _AS_STYLE, -1
        for name, operand in settings(modifiers):
            if name == HIDDEN:
                direct = operand[0]
            elif name == CHARACTER_STYLE and len(operand) == 2:
                own = int.from_bytes(operand, "little")
        by_style = (paragraph_style in self.hidden) != (own in self.hidden)
        if direct in {_AS_STYLE, _UNLIKE_STYLE}:
            return by_style != (direct == _UNLIKE_STYLE)
        return direct == 1


def settings(modifiers: bytes) -> Iterator[tuple[int, bytes]]:
    """Each property by its number, with its operand ([MS-DOC] 2.6)."""
    position = 0
    while position + 2 < len(modifiers):
        (name,) = struct.unpack_from("<H", modifiers, position)
        position += 2
        kind = name >> 13
        if kind == _VARIABLE:
            wide = name == _TABLE_DEFINITION
            size = int.from_bytes(modifiers[position : position + (2 if wide else 1)], "little") + 1
        else:
            size = _SIZES[kind]
        yield name, modifiers[position : position + size]
        position += size


def _styles(stream: bytes, table: bytes) -> Iterator[tuple[int, int | None]]:
    """The base of each style, and what it says itself of being hidden; None where it says nothing."""
    start, size = struct.unpack_from("<II", stream, _STYLES)
    data = table[start : start + size]
    (head,) = struct.unpack_from("<H", data)
    count, base_size = struct.unpack_from("<HH", data, 2)
    position = 2 + head
    for _ in range(min(count, MOST_STYLES)):
        (length,) = struct.unpack_from("<H", data, position)
        yield _style(data[position + 2 : position + 2 + length], base_size) if length else (0xFFF, None)
        position += 2 + length + length % 2


def _style(data: bytes, base_size: int) -> tuple[int, int | None]:
    kind, base = data[2] & 0xF, struct.unpack_from("<H", data, 2)[0] >> 4
    (letters,) = struct.unpack_from("<H", data, base_size)
    position = base_size + 2 + 2 * letters + 2
    if kind not in {_OF_PARAGRAPHS, _OF_CHARACTERS}:
        return base, None
    if kind == _OF_PARAGRAPHS:
        (size,) = struct.unpack_from("<H", data, position)
        position += 2 + size + size % 2
    if position + 2 > len(data):
        return base, None
    (size,) = struct.unpack_from("<H", data, position)
    found = dict(settings(data[position + 2 : position + 2 + size])).get(HIDDEN)
    return base, found[0] if found else None


def _is_hidden(number: int, styles: list[tuple[int, int | None]]) -> bool:
    """By what the style says, or else the one that it is based on."""
    for _ in range(DEEPEST):
        if number >= len(styles):
            return False
        number, own = styles[number]
        if own is not None:
            return own == 1
    return False
