"""The text of a page as the engine gives it, and where its characters stand.

No call is made per character: text comes a page at once, places a word at once.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as engine


def text_of(raw: engine.FPDF_TEXTPAGE) -> tuple[str, Callable[[int, int], tuple[int, int]]]:
    """The text of a page, and where in the engine's count of characters a span of it lies."""
    count = engine.FPDFText_CountChars(raw)
    if count <= 0:
        return "", lambda start, end: (start, end - start)
    buffer = ctypes.create_string_buffer((count + 1) * 4)
    written = engine.FPDFText_GetText(raw, 0, count, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)))
    data = buffer.raw[: max(0, written - 1) * 2]
    text = data.decode("utf-16-le", errors="surrogatepass")
    is_plain = len(text) * 2 == len(data)
    index = engine.FPDFText_GetCharIndexFromTextIndex
    if is_plain and written - 1 == count:
        return text, lambda start, end: (start, end - start)
    text = data.decode("utf-16-le", errors="replace")
    # Characters beyond the basic plane count twice in the engine's text and once in ours.
    units = None if is_plain else np.cumsum([0, *(2 if ord(each) > 0xFFFF else 1 for each in text)])

    def places(start: int, end: int) -> tuple[int, int]:
        if units is not None:
            start, end = int(units[start]), int(units[end])
        first = index(raw, start)
        last = index(raw, end - 1)
        return (first, last - first + 1) if first >= 0 and last >= first else (0, 0)

    return text, places


def boxes_of(raw: engine.FPDF_TEXTPAGE, places: list[tuple[int, int]]) -> tuple[npt.NDArray[np.float64], list[int]]:
    """For each place the left, bottom, right and top of its characters in page space; NaN without any.

    Besides the numbers of those places whose characters stand one line below the other.
    """
    boxes = np.full((len(places), 4), np.nan)
    stacked: list[int] = []
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    pointers = [ctypes.byref(each) for each in (left, top, right, bottom)]
    count_rects, get_rect = engine.FPDFText_CountRects, engine.FPDFText_GetRect
    for word, (first, size) in enumerate(places):
        rects = count_rects(raw, first, size) if size > 0 else 0
        for rect in range(rects):
            if not get_rect(raw, rect, *pointers):
                continue
            if rect == 0:
                boxes[word] = left.value, bottom.value, right.value, top.value
            else:
                box = boxes[word]
                if top.value < box[1] and left.value < box[2]:
                    stacked.append(word)
                box[:2] = min(box[0], left.value), min(box[1], bottom.value)
                box[2:] = max(box[2], right.value), max(box[3], top.value)
    return boxes, stacked


def place_of(raw: engine.FPDF_TEXTPAGE, index: int) -> tuple[float, float, float, float] | None:
    """The left, bottom, right and top of one character of the engine's count; None where it has no place."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    is_placed = engine.FPDFText_GetCharBox(raw, index, left, right, bottom, top)
    return (left.value, bottom.value, right.value, top.value) if is_placed else None


def room_of(raw: engine.FPDF_TEXTPAGE, index: int) -> tuple[float, float, float, float] | None:
    """As `place_of`, with all the room that a character takes in its line: its advance, and the height of its font."""
    box = engine.FS_RECTF()
    is_placed = engine.FPDFText_GetLooseCharBox(raw, index, box)
    return (box.left, box.bottom, box.right, box.top) if is_placed else None


def advance_of(raw: engine.FPDF_TEXTPAGE, index: int) -> float | None:
    """How far one character of an upright line moves the pen; None where it has no place."""
    room = room_of(raw, index)
    return None if room is None else room[2] - room[0]


def turn_of(
    raw: engine.FPDF_TEXTPAGE, characters: list[tuple[int, int]], lines: npt.NDArray[np.int32], rotation: int
) -> int:
    """By how many degrees most lines are turned clockwise as shown, asking for one character a line."""
    turns = [0, 0, 0, 0]
    for first in np.flatnonzero(np.diff(lines, prepend=-1)).tolist():
        angle = engine.FPDFText_GetCharAngle(raw, characters[first][0])
        if angle >= 0:
            turns[round(math.degrees(angle) / 90) % 4] += 1
    return (turns.index(max(turns)) * 90 + rotation) % 360
