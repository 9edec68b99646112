"""Lines whose letters are all as wide as one another, as in program listings: by how much each letter moves the pen.

A space is as wide as a letter there, which in other lines parts the cells of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.mending import WordColumns

SUSPICIOUS = 0.7
"""Gaps from this many heights of a word on are looked at: spaces between words of other letters are narrower."""
SPACES = 1.9
"""A gap in such a line parts cells from this many letters on: two spaces do, one does not."""
ALIKE = 0.01
_NARROW = frozenset("iIljtf1.,:;'|!()[]\"-`")
_WIDE = frozenset("mwMWABCDEGHKNOQRSUVXYZ@%&#=+<>_")
MOST_LETTERS = 400

Advance = Callable[[int], float | None]
"""How far the character of this number moves the pen."""


def pitches_of(columns: WordColumns, advance: Advance) -> npt.NDArray[np.float32] | None:
    """For each word the width of its letters where all letters of its line are as wide, else 0; None without any."""
    firsts = _lines_with_wide_gaps(columns)
    if not firsts:
        return None
    pitches = np.zeros(len(columns.words), dtype=np.float32)
    undecided: list[tuple[int, int, float]] = []
    looked_at = 0
    for first, last in firsts:
        letters = _telling(columns, first, last)
        looked_at += len(letters)
        if looked_at > MOST_LETTERS:
            break
        widths = [width for each in letters if (width := advance(each)) is not None]
        if not widths or max(widths) - min(widths) > ALIKE * max(widths):
            continue
        if len(letters) > 1:
            pitches[first:last] = max(widths)
        else:
            undecided.append((first, last, widths[0]))
    known = np.unique(pitches[pitches > 0])
    for first, last, width in undecided:
        if len(known) and np.abs(known - width).min() <= ALIKE * width:
            pitches[first:last] = width
    return pitches if len(known) else None


def _lines_with_wide_gaps(columns: WordColumns) -> list[tuple[int, int]]:
    """The words `[first, last)` of lines in which a gap may be a wide space."""
    boxes, lines = columns.boxes, np.array(columns.lines)
    if len(boxes) < 2:
        return []
    heights = np.maximum(boxes[1:, 3] - boxes[1:, 1], boxes[:-1, 3] - boxes[:-1, 1])
    gaps = boxes[1:, 0] - boxes[:-1, 2]
    is_wide = (gaps > SUSPICIOUS * heights) & (lines[1:] == lines[:-1])
    found = np.unique(lines[1:][is_wide])
    bounds = np.searchsorted(lines, found), np.searchsorted(lines, found, side="right")
    return list(zip(bounds[0].tolist(), bounds[1].tolist(), strict=True))


def _telling(columns: WordColumns, first: int, last: int) -> Sequence[int]:
    """The numbers of a narrow letter and a wide one of a line, or of one letter where it has not both."""
    narrow = wide = any_letter = -1
    for word, (start, size) in zip(columns.words[first:last], columns.characters[first:last], strict=True):
        if size != len(word):
            continue
        for offset, letter in enumerate(word):
            any_letter = start
            if narrow < 0 and letter in _NARROW:
                narrow = start + offset
            elif wide < 0 and letter in _WIDE:
                wide = start + offset
        if narrow >= 0 and wide >= 0:
            return narrow, wide
    return () if any_letter < 0 else (any_letter,)
