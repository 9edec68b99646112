"""Tables of a page found by how words stand: rows one below the other with white gutters that run through all of them.

One pass over the rows, each compared with the gutters of the table that is open: linear in the words of the page.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.fixed_pitch import SPACES

Boxes = npt.NDArray[np.float32]
WIDE_GAP = 0.85
"""A gap that parts cells by itself, in heights of a line; justified text stretches spaces to about 0.6."""
NARROW_GAP = 0.45
"""The least width of a gutter that wide gaps in other rows of the table vouch for."""
WIDE_SHARE = 0.5
FARTHEST_ROW = 3.0
"""Rows of a table are at most this many heights apart."""
MOST_COLUMNS = 60
MOST_HEADS = 3
"""In so many rows from the first, cells may run over several columns, or names of rows may be missing."""
FEWEST_DOTS = 4
FEWEST_HEADED = 3
"""A table of so many columns is given the row above it that has as many cells."""
FLUSH, MOST_STRETCHED = 0.25, 4
"""How far the edges of stretched lines are apart at most, in heights of a line; more than so many are no accident."""
MARKER = re.compile(r"^([•◦▪‣·\u2013\u2014*\-+]|[(\[]?[0-9]{1,3}[.)\]]?|[(\[]?[A-Za-z][.)\]]|[0-9]+(\.[0-9]+)+\.?)$")


@dataclass(frozen=True, slots=True)
class Cell:
    """A run of words of one row: word numbers `[first, last)` in reading order."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Row:
    """The words `[first, last)` of one row from left to right, its vertical span, and its pitch.

    `pitch`: the width of every letter where all are as wide, else 0.
    """

    first: int
    last: int
    top: float
    bottom: float
    pitch: float = 0.0

    def wide(self, height: float) -> float:
        """The gap from which on cells are parted, in a row of this height."""
        return max(WIDE_GAP * height, SPACES * self.pitch)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its rows `[first_row, last_row)`, and for each row its cells by column; None where it has none."""

    first_row: int
    last_row: int
    cells: tuple[tuple[Cell | None, ...], ...]


@dataclass(slots=True)
class _Gutter:
    """A white stretch `(left, right)` that no word of the open table stands in, and in how many rows it is wide.

    `between`: in how many of these there are words on both sides of it.
    """

    left: float
    right: float
    wide: int
    between: int


@dataclass(slots=True)
class _Open:
    """The table that rows are being added to."""

    first_row: int
    gutters: list[_Gutter] = field(default_factory=list)


def grids_of(boxes: Boxes, rows: Sequence[Row], words: Sequence[str]) -> list[Grid]:
    """The tables in consecutive rows of a page; `boxes` (n, 4) and `words` are in reading order."""
    grids: list[Grid] = []
    opened: _Open | None = None
    may_open = _rows_with_wide_gaps(boxes, rows)
    # Rows of dots lead from a heading to the number of its page.
    for number in np.flatnonzero(may_open).tolist():
        may_open[number] = words[rows[number].first : rows[number].last].count(".") < FEWEST_DOTS
    for number, row in enumerate(rows):
        if opened is None and not may_open[number]:
            continue
        gaps = _gaps(boxes, row) if words[row.first : row.last].count(".") < FEWEST_DOTS else []
        for _ in range(2):
            gutters = _continued(opened, boxes, rows, number) if gaps and opened is not None else []
            if gutters or opened is None:
                break
            found = _closed(opened, number, boxes, rows, words)
            grids += found
            # The row before may be the first of a table that the text above it was taken for a part of.
            may_restart = gaps and not found and opened.first_row < number - 1
            opened = _begun(boxes, rows, number - 1) if may_restart and may_open[number - 1] else None
        if opened is not None and gutters:
            opened.gutters = gutters
        else:
            opened = _begun(boxes, rows, number) if may_open[number] else None
    if opened is not None:
        grids += _closed(opened, len(rows), boxes, rows, words)
    used = [0, *(grid.last_row for grid in grids)]
    return [
        _headed(grid, boxes, rows) if grid.first_row > free else grid for grid, free in zip(grids, used, strict=False)
    ]


def _headed(grid: Grid, boxes: Boxes, rows: Sequence[Row]) -> Grid:
    """The table with the row above it, if that has as many cells, each above its column or the white beside it.

    Spreadsheets set heads to the left of their columns and figures to the right, which leaves no gutter through both.
    """
    above, below = rows[grid.first_row - 1], rows[grid.first_row]
    count = len(grid.cells[0])
    gaps = [gap for gap in _gaps(boxes, above) if gap.wide]
    height = max(above.bottom - above.top, below.bottom - below.top)
    if count < FEWEST_HEADED or len(gaps) != count - 1 or below.top - above.bottom > FARTHEST_ROW * height:
        return grid
    columns = [[row[number] for row in grid.cells if row[number] is not None] for number in range(count)]
    lefts = [min((float(boxes[cell.first, 0]) for cell in column if cell), default=math.nan) for column in columns]
    rights = [max((float(boxes[cell.last - 1, 2]) for cell in column if cell), default=math.nan) for column in columns]
    starts, ends = [float(boxes[above.first, 0]), *(gap.right for gap in gaps)], [gap.left for gap in gaps]
    ends.append(float(boxes[above.last - 1, 2]))
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        begins = rights[number - 1] if number else -math.inf
        stops = lefts[number + 1] if number + 1 < count else math.inf
        if not begins - height < start < end < stops + height:
            return grid
    cells = _cells(boxes, above, [(gap.left + gap.right) / 2 for gap in gaps])
    return Grid(grid.first_row - 1, grid.last_row, (cells, *grid.cells))


def ruled_grid(columns: npt.NDArray[np.int32], rows: Sequence[Row], first_row: int) -> Grid:
    """The table in `rows`, the first of which is row `first_row` of the page; `columns` (n,) has each word's own."""
    used = np.unique(columns[rows[0].first : rows[-1].last])
    cells = []
    for row in rows:
        cuts = np.searchsorted(columns[row.first : row.last], [*used.tolist(), int(used[-1]) + 1]) + row.first
        pairs = itertools.pairwise(cuts.tolist())
        cells.append(tuple(Cell(begin, end) if end > begin else None for begin, end in pairs))
    return Grid(first_row=first_row, last_row=first_row + len(rows), cells=tuple(cells))


def _rows_with_wide_gaps(boxes: Boxes, rows: Sequence[Row]) -> npt.NDArray[np.bool_]:
    """Which rows have a gap that parts cells by itself: all others are passed over, which most of a page is."""
    if not rows:
        return np.zeros(0, dtype=bool)
    firsts = np.array([row.first for row in rows])
    sizes = np.diff(firsts, append=rows[-1].last)
    heights = np.add.reduceat(boxes[:, 3] - boxes[:, 1], firsts) / sizes
    gaps = np.append(boxes[1:, 0] - boxes[:-1, 2], -np.inf)
    gaps[firsts[1:] - 1] = -np.inf
    widest = np.maximum.reduceat(gaps, firsts)
    least = np.maximum(WIDE_GAP * np.maximum(heights, 1.0), SPACES * np.array([row.pitch for row in rows]))
    return np.asarray(widest > least, dtype=bool)


def _begun(boxes: Boxes, rows: Sequence[Row], number: int) -> _Open | None:
    gaps = _gaps(boxes, rows[number])
    return _Open(first_row=number, gutters=gaps) if gaps else None


def _gaps(boxes: Boxes, row: Row) -> list[_Gutter]:
    """The gaps between the words of a row that a gutter may run through."""
    if row.last - row.first < 2:
        return []
    words = boxes[row.first : row.last]
    height = _height(words)
    rights = np.maximum.accumulate(words[:-1, 2])
    widths = words[1:, 0] - rights
    found = np.flatnonzero(widths > NARROW_GAP * height)[:MOST_COLUMNS]
    if not len(found):
        return []
    wide = (widths[found] > row.wide(height)).astype(np.int64).tolist()
    lefts, ends = rights[found].tolist(), words[found + 1, 0].tolist()
    return [_Gutter(left, right, count, count) for left, right, count in zip(lefts, ends, wide, strict=True)]


def _height(words: Boxes) -> float:
    heights: list[float] = np.sort(words[:, 3] - words[:, 1]).tolist()
    return max((heights[(len(heights) - 1) // 2] + heights[len(heights) // 2]) / 2, 1.0)


def _continued(opened: _Open, boxes: Boxes, rows: Sequence[Row], number: int) -> list[_Gutter]:
    """The gutters that run on through row `number`; none when it does not belong to the table."""
    before, row = rows[number - 1], rows[number]
    height = max(before.bottom - before.top, row.bottom - row.top)
    if not -0.5 * height < row.top - before.bottom < FARTHEST_ROW * height:
        return []
    words = boxes[row.first : row.last]
    usual = _height(words)
    least, wide = NARROW_GAP * usual, row.wide(usual)
    spans: list[tuple[float, float]] = words[:, [0, 2]].tolist()
    heads = number - opened.first_row
    is_confirmed = False
    gutters = []
    for gutter in opened.gutters:
        for left, right, own in _left_of(gutter, spans, least, wide=wide if heads <= MOST_HEADS else math.inf):
            is_between = wide < own < math.inf
            is_confirmed = is_confirmed or is_between
            gutters.append(_Gutter(left, right, gutter.wide + int(own > wide), gutter.between + int(is_between)))
    for gap in _gaps(boxes, row):
        if gap.wide and not any(_meet(gap, gutter) for gutter in gutters):
            may_begin = is_confirmed and heads <= MOST_HEADS
            before_all = _before(gap, boxes[rows[opened.first_row].first : row.first]) if may_begin else None
            if before_all is None or before_all.right - before_all.left <= least:
                return []
            # The names of the rows of a table may have none themselves, and the rows above nothing there.
            before_all.wide += heads
            gutters.append(before_all)
    gutters.sort(key=lambda each: each.left)
    # A row that stands on one side of all gutters is a line of text below the table.
    is_split = any(words[0, 0] < gutter.right and words[-1, 2] > gutter.right for gutter in gutters)
    return gutters if is_split and _keeps(opened, gutters, number) else []


def _keeps(opened: _Open, gutters: list[_Gutter], number: int) -> bool:
    """Whether a table with established columns keeps all of them: text below it would wash them away one by one."""
    count = number - opened.first_row
    if count < 2:
        return True
    established = sum(gutter.wide >= WIDE_SHARE * count for gutter in opened.gutters)
    return sum(gutter.wide >= WIDE_SHARE * count for gutter in gutters) >= established


def _left_of(
    gutter: _Gutter, spans: Sequence[tuple[float, float]], least: float, *, wide: float
) -> list[tuple[float, float, float]]:
    """What a row leaves of a gutter, from left to right, and how wide its own gap there is; nothing if words fill it.

    `spans` are the left and right of its words. A row has so few that arrays would cost more than they save. Of several
    parts the widest, or all whose gap is wide: a cell may stand below one that runs over several columns.
    """
    parts: list[tuple[float, float]] = []
    reach = gutter.left
    crossing = [span for span in spans if span[0] < gutter.right and span[1] > gutter.left]
    for x0, x1 in [*crossing, (gutter.right, gutter.right)]:
        if x0 - reach > least:
            parts.append((reach, x0))
        reach = max(reach, x1)
    found = []
    for left, right in parts:
        before = max((x1 for _, x1 in spans if x1 <= left + 0.01), default=-math.inf)
        after = min((x0 for x0, _ in spans if x0 >= right - 0.01), default=math.inf)
        found.append((left, right, after - before))
    several = [part for part in found if wide < part[2] < math.inf] if len(found) > 1 else []
    return several if len(several) > 1 else [max(found, key=lambda part: part[1] - part[0])] if found else []


def _before(gap: _Gutter, above: Boxes) -> _Gutter | None:
    """The part of a gap that stands to the left of all words above; None where it has none."""
    left = float(above[:, 0].min())
    return _Gutter(gap.left, min(gap.right, left), gap.wide, gap.between) if gap.left <= left else None


def _meet(gap: _Gutter, gutter: _Gutter) -> bool:
    return gap.left < gutter.right and gutter.left < gap.right


def _closed(opened: _Open, last_row: int, boxes: Boxes, rows: Sequence[Row], words: Sequence[str]) -> list[Grid]:
    """The table, if its rows are many enough for its gutters to be no accident."""
    count = last_row - opened.first_row
    gutters = [gutter for gutter in opened.gutters if gutter.wide >= WIDE_SHARE * count and gutter.between]
    if 2 <= count <= MOST_STRETCHED and _is_justified(rows, opened.first_row, last_row, boxes):
        return []
    if count < 2 or not gutters or (count == 2 and (len(gutters) < 2 or any(each.wide < 2 for each in gutters))):
        return []
    edges = [(gutter.left + gutter.right) / 2 for gutter in gutters]
    cells = tuple(_cells(boxes, row, edges) for row in rows[opened.first_row : last_row])
    filled = sum(cell is not None for row in cells for cell in row)
    if filled < 0.5 * (len(edges) + 1) * count or _is_list(cells, words):
        return []
    return [Grid(first_row=opened.first_row, last_row=last_row, cells=cells)]


def _is_justified(rows: Sequence[Row], first: int, last: int, boxes: Boxes) -> bool:
    """Whether rows are lines of a paragraph stretched to the width of its column, as the line before or after is."""
    own = [_edges(boxes, row) for row in rows[first:last]]
    left, right = own[0]
    reach = FLUSH * (rows[first].bottom - rows[first].top)

    def is_flush(edges: tuple[float, float]) -> bool:
        return abs(edges[0] - left) <= reach and abs(edges[1] - right) <= reach

    if not all(map(is_flush, own)):
        return False
    pitch = rows[first + 1].top - rows[first].top
    beside = [(first - 1, first)] if first else []
    beside += [(last, last - 1)] if last < len(rows) else []
    return any(
        is_flush(_edges(boxes, rows[other])) and abs(abs(rows[other].top - rows[near].top) - pitch) <= 2 * reach
        for other, near in beside
    )


def _edges(boxes: Boxes, row: Row) -> tuple[float, float]:
    return float(boxes[row.first, 0]), float(boxes[row.first : row.last, 2].max())


def _cells(boxes: Boxes, row: Row, edges: list[float]) -> tuple[Cell | None, ...]:
    middles = (boxes[row.first : row.last, 0] + boxes[row.first : row.last, 2]) / 2
    cuts = [0, *np.searchsorted(middles, edges).tolist(), row.last - row.first]
    return tuple(
        Cell(row.first + begin, row.first + end) if end > begin else None for begin, end in itertools.pairwise(cuts)
    )


def _is_list(cells: tuple[tuple[Cell | None, ...], ...], words: Sequence[str]) -> bool:
    """Whether the first of two columns has nothing but bullets and numbers: a list, not a table."""
    if len(cells[0]) != 2:
        return False
    firsts = [row[0] for row in cells if row[0] is not None]
    return all(cell.last - cell.first == 1 and MARKER.match(words[cell.first]) for cell in firsts)
