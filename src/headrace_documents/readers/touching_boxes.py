"""What of a net of ruled lines is a table: without boxes of text that touch it, and parted where two tables touch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.frames import Boxes, Frame

FEWEST_LINES, FEWEST_WORDS = 3, 3
"""The lines of text that a box holds at least, and the words in each of them on average; cells may hold fewer."""


def tables_in(frame: Frame, boxes: Boxes) -> list[Frame]:
    """The tables of a net, from its top; `boxes` (n, 4) are those of the words of its page."""
    return [_without_ends(part, boxes) for part in _parted(_without_sides(frame, boxes), boxes)]


def levels_of(boxes: Boxes) -> npt.NDArray[np.intp]:
    """Which line of text each box is in, counted from the top: a line begins where a middle is below the one above."""
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    order = np.argsort(middles)
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    levels = np.zeros(len(boxes), dtype=np.intp)
    levels[order[1:]] = np.cumsum(np.diff(middles[order]) > 0.5 * height)
    return levels


def _is_text(frame: Frame, boxes: Boxes, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
    """Whether the words between these edges of rows and of columns are lines of text."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, right, top, bottom = (*frame.columns[list(columns)], *frame.rows[list(rows)])
    found = boxes[(x > left) & (x < right) & (y > top) & (y < bottom)]
    lines = int(levels_of(found).max()) + 1 if len(found) else 0
    return lines >= FEWEST_LINES and len(found) >= FEWEST_WORDS * lines


def _inner_sides(frame: Frame, row: int) -> frozenset[int]:
    return frozenset(frame.sides_of(row)) - {0, len(frame.columns) - 1}


def _without_sides(frame: Frame, boxes: Boxes) -> Frame:
    """Without a box at either side that the rules between the rows do not run into."""
    last, count = len(frame.columns) - 1, len(frame.rows) - 1
    if last > 2 and _is_box(frame, boxes, (last - 1, last)):
        return _without_sides(frame.part((0, count), range(last)), boxes)
    if last > 2 and _is_box(frame, boxes, (0, 1)):
        return _without_sides(frame.part((0, count), range(1, last + 1)), boxes)
    return frame


def _is_box(frame: Frame, boxes: Boxes, columns: tuple[int, int]) -> bool:
    """Whether the outermost column is one box of text beside several rows."""
    ruled = [edge for edge in range(len(frame.rows)) if frame.is_ruled(edge, *columns)]
    if len(ruled) != 2 or ruled[1] - ruled[0] < 3:
        return False
    return all(set(columns) <= set(frame.sides_of(row)) for row in range(*ruled)) and _is_text(
        frame, boxes, (ruled[0], ruled[1]), columns
    )


def _parted(frame: Frame, boxes: Boxes) -> list[Frame]:
    """A frame for each stretch of rows that shares no edge of a column with the rows before it."""
    stretches: list[tuple[list[int], set[int]]] = []
    for row in range(len(frame.rows) - 1):
        sides = _inner_sides(frame, row)
        if not stretches or (sides and stretches[-1][1] and not sides & stretches[-1][1]):
            stretches.append(([row], set(sides)))
        else:
            stretches[-1][0].append(row)
            stretches[-1][1].update(sides)
    if len(stretches) == 1:
        return [frame]
    kept = [rows for rows, sides in stretches if not _are_boxes(frame, boxes, rows, sides)]
    # The rows of a form have columns of their own each, and are one all the same.
    if len(kept) == len(stretches) and any(len(rows) < 2 for rows in kept):
        return [frame]
    return [_narrowed(frame, rows) for rows in kept if len(rows) > 1]


def _are_boxes(frame: Frame, boxes: Boxes, rows: Sequence[int], sides: set[int]) -> bool:
    """Whether a stretch of rows is boxes of text side by side."""
    edges = [0, *sorted(sides), len(frame.columns) - 1]
    return len(rows) == 1 and all(
        _is_text(frame, boxes, (rows[0], rows[0] + 1), (left, right)) for left, right in itertools.pairwise(edges)
    )


def _narrowed(frame: Frame, rows: Sequence[int]) -> Frame:
    """Some of the rows of a frame, as far as lines run there."""
    sides = {side for row in rows for side in frame.sides_of(row)}
    ends = ((0, min(sides)), (max(sides), len(frame.columns) - 1)) if sides else ()
    for left, right in ends:
        if all(frame.is_ruled(edge, left, right) for edge in (rows[0], rows[-1] + 1)):
            sides |= {left, right}
    return frame.part((rows[0], rows[-1] + 1), sorted(sides))


def _without_ends(frame: Frame, boxes: Boxes) -> Frame:
    """Without boxes of text above and below that are as wide as the whole."""
    first, last = 0, len(frame.rows) - 1
    columns = (0, len(frame.columns) - 1)
    while first < last and not _inner_sides(frame, first) and _is_text(frame, boxes, (first, first + 1), columns):
        first += 1
    while last > first and not _inner_sides(frame, last - 1) and _is_text(frame, boxes, (last - 1, last), columns):
        last -= 1
    return frame.part((first, last), range(len(frame.columns)))
