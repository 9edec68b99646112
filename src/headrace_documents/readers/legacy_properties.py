"""What a DOC says of its characters and paragraphs: which are not shown, and which marks end a cell or a row.

The text alone does not tell the end of a row from an empty cell. Properties lie in pages of 512 bytes, each for a
stretch of the stream ([MS-DOC] 2.4.2 and 2.4.6.1); all positions count bytes of the stream.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace_documents.readers.legacy_styles import Styles, settings

ROW_END, INNER_CELL, INNER_ROW_END, IN_CELL = "\x1d", "\x1c", "\x1b", "\x1a"
"""What stands for the end of a row, for those of a table within a cell, and for a paragraph that its cell goes on
after; the text itself has none of these."""
GONE = "\0"
"""Stands where something is not shown, for the parts of a document are told by counting."""
_MARK = re.compile("[\r\x07\x0c]")
# A paragraph whose end is hidden runs on in Word; its cell or its row ends all the same, and so do fields.
_HIDEABLE = re.compile(f"[^\r\x07\x0c\x13-\x15{IN_CELL}{INNER_ROW_END}{INNER_CELL}{ROW_END}]")
_CHARACTERS, _PARAGRAPHS = 0x00FA, 0x0102
"""Where the header tells the lists of pages with properties of characters, and of paragraphs."""
_PAGE, MOST_PAGES = 512, 10_000
_DELETED = 0x0800
_IN_TABLE, _ROW, _INNER_CELL, _INNER_ROW = 0x2416, 0x2417, 0x244B, 0x244C


@dataclass(slots=True)
class Properties:
    """Stretches of the stream: those whose characters are not shown, and the kind of each paragraph."""

    hidden_starts: list[int] = field(default_factory=list)
    hidden_ends: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    kinds: list[frozenset[int]] = field(default_factory=list)

    @classmethod
    def read(cls, stream: bytes, table: bytes) -> Properties:
        """All that can be found; of damaged pages nothing is known."""
        found, styles = cls(), Styles.read(stream, table)
        of_paragraphs: list[int] = []
        for start, _, modifiers in sorted(_runs(stream, table, _PARAGRAPHS)):
            found.starts.append(start)
            found.kinds.append(_switched_on(modifiers[2:]))
            of_paragraphs.append(int.from_bytes(modifiers[:2], "little"))
        reach = 0
        for start, end, modifiers in sorted(_runs(stream, table, _CHARACTERS)):
            is_deleted = _DELETED in _switched_on(modifiers)
            # Stretches do not overlap, except in a file that is made to be looked at for long.
            stretch = max(start, reach), end
            parts = found._within(*stretch, of_paragraphs) if styles.hidden else iter([(*stretch, 0)])
            for begin, stop, style in parts:
                if is_deleted or styles.hides(modifiers, style):
                    found.hidden_starts.append(begin)
                    found.hidden_ends.append(stop)
            reach = max(reach, end)
        return found

    def _within(self, start: int, end: int, styles: list[int]) -> Iterator[tuple[int, int, int]]:
        """The stretch from `start` to `end` by paragraphs, with the style of each; it lies in one as a rule."""
        at = max(0, bisect_right(self.starts, start) - 1)
        while start < end:
            following = self.starts[at + 1] if at + 1 < len(self.starts) else end
            stop = min(end, max(following, start))
            if stop > start:
                yield start, stop, styles[at] if at < len(styles) else 0
            start, at = stop, at + 1

    def applied(self, text: str, offset: int, width: int) -> str:
        """The `text` at `offset`, `width` bytes a character, with marks of tables and `GONE` for what is not shown."""
        text = _MARK.sub(lambda found: self._mark(found[0], offset + found.start() * width), text)
        first = max(0, bisect_right(self.hidden_starts, offset) - 1)
        pieces, position = [], 0
        # By number: to cut the lists for each of a million pieces would take the square of them.
        for number in range(first, len(self.hidden_starts)):
            start, stop = self.hidden_starts[number], self.hidden_ends[number]
            begin, end = max(position, (start - offset) // width), min(len(text), (stop - offset) // width)
            if begin >= len(text):
                break
            if begin < end:
                pieces += [text[position:begin], _HIDEABLE.sub(GONE, text[begin:end])]
                position = end
        return "".join([*pieces, text[position:]])

    def _mark(self, sign: str, position: int) -> str:
        at = bisect_right(self.starts, position) - 1
        kind = self.kinds[at] if at >= 0 else frozenset()
        if sign == "\x07":
            return ROW_END if _ROW in kind else sign
        if _INNER_ROW in kind:
            return INNER_ROW_END
        if _INNER_CELL in kind:
            return INNER_CELL
        return IN_CELL if _IN_TABLE in kind and sign == "\r" else sign


def _runs(stream: bytes, table: bytes, place: int) -> Iterator[tuple[int, int, bytes]]:
    """Stretches of the stream with their properties, from all pages of one list."""
    is_paragraph = place == _PARAGRAPHS
    start, size = struct.unpack_from("<II", stream, place) if len(stream) >= place + 8 else (0, 0)
    listed = table[start : start + size]
    count = max(0, (len(listed) - 4) // 8)
    numbers = [number for (number,) in struct.iter_unpack("<I", listed[4 * (count + 1) : 4 * (count + 1) + 4 * count])]
    # A page that is listed again says nothing new, and one made to harm may list one millions of times.
    for number in list(dict.fromkeys(numbers))[:MOST_PAGES]:
        page = stream[(number & 0x3FFFFF) * _PAGE :][:_PAGE]
        if len(page) < _PAGE:
            continue
        runs = page[-1]
        bounds = 4 * (runs + 1)
        step = 13 if is_paragraph else 1
        if bounds + runs * step >= _PAGE:
            continue
        positions = struct.unpack_from(f"<{runs + 1}I", page)
        for run in range(runs):
            at = 2 * page[bounds + run * step]
            yield positions[run], positions[run + 1], _modifiers(page, at, is_paragraph=is_paragraph) if at else b""


def _modifiers(page: bytes, at: int, *, is_paragraph: bool) -> bytes:
    size = page[at]
    if not is_paragraph:
        return page[at + 1 : at + 1 + size]
    if size:
        return page[at + 1 : at + 2 * size]
    return page[at + 2 : at + 2 + 2 * page[at + 1]] if at + 1 < _PAGE else b""


def _switched_on(modifiers: bytes) -> frozenset[int]:
    """The properties that are on or off and are on."""
    return frozenset(name for name, operand in settings(modifiers) if operand == b"\x01")
