"""Tables of a page found by how words stand: rows one below the other whose cells keep to the same columns."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
CELL_GAP = 0.85
"""A gap between words that parts cells, in heights of a line; justified text stretches spaces to about 0.6."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A run of words of one row: word numbers `[first, last)` in reading order, and its horizontal span."""

    first: int
    last: int
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its rows `[first_row, last_row)`, and for each row its cells by column; None where it has none."""

    first_row: int
    last_row: int
    cells: tuple[tuple[Cell | None, ...], ...]


def cells_of(boxes: Boxes, first: int, last: int) -> list[Cell]:
    """The words `[first, last)` of one row, in order from left to right, parted at wide gaps."""
    row = boxes[first:last]
    height = float(np.median(row[:, 3] - row[:, 1]))
    gaps = row[1:, 0] - row[:-1, 2]
    cuts = [0, *(np.flatnonzero(gaps > CELL_GAP * height) + 1).tolist(), last - first]
    return [
        Cell(first + begin, first + end, float(row[begin:end, 0].min()), float(row[begin:end, 2].max()))
        for begin, end in itertools.pairwise(cuts)
    ]


def grids_of(rows: list[list[Cell]], tops: list[tuple[float, float]]) -> list[Grid]:
    """The tables in consecutive rows, whose vertical spans are `tops`: at least two rows of two cells that align."""
    grids = []
    first = 0
    while first < len(rows):
        last = first
        while last < len(rows) and len(rows[last]) >= 2 and (last == first or _follows(tops[last - 1], tops[last])):
            last += 1
        if last - first >= 2:
            grids += _aligned(rows, first, last)
        first = max(last, first + 1)
    return grids


def _follows(before: tuple[float, float], after: tuple[float, float]) -> bool:
    height = max(before[1] - before[0], after[1] - after[0])
    return -height < after[0] - before[1] < 2.5 * height


def _aligned(rows: list[list[Cell]], first: int, last: int) -> list[Grid]:
    """One grid of the rows if their cells fall into common columns, else the grids of the parts that do."""
    columns = _columns([cell for row in rows[first:last] for cell in row])
    widest = max(len(row) for row in rows[first:last])
    if len(columns) < 2 or len(columns) < widest:
        # Rows whose cells run into one another's columns are lines of text that happen to have gaps.
        if last - first < 3:
            return []
        return _aligned(rows, first, last - 1) or _aligned(rows, first + 1, last)
    cells = tuple(_placed(row, columns) for row in rows[first:last])
    filled = sum(cell is not None for row in cells for cell in row)
    if filled < 0.5 * len(columns) * (last - first) or (len(columns) == 2 and last - first < 3):
        return []
    return [Grid(first_row=first, last_row=last, cells=cells)]


def _columns(cells: list[Cell]) -> list[tuple[float, float]]:
    """Horizontal spans that cells share, from left to right."""
    spans: list[list[float]] = []
    for cell in sorted(cells, key=lambda each: each.x0):
        if spans and cell.x0 < spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], cell.x1)
        else:
            spans.append([cell.x0, cell.x1])
    return [(x0, x1) for x0, x1 in spans]


def _placed(row: list[Cell], columns: list[tuple[float, float]]) -> tuple[Cell | None, ...]:
    placed: list[Cell | None] = [None] * len(columns)
    for cell in row:
        middle = (cell.x0 + cell.x1) / 2
        column = next((index for index, (x0, x1) in enumerate(columns) if x0 <= middle <= x1), None)
        if column is not None:
            placed[column] = cell
    return tuple(placed)
