"""Tables whose lines are ruled on a page: each word is put into its cell, each row of cells into one line."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.frames import Boxes, Frame
from headrace_documents.readers.page_text import PageWords
from headrace_documents.readers.touching_boxes import levels_of, tables_in


def in_cells(words: PageWords, frames: Sequence[Frame]) -> PageWords:
    """`words` with those of each of the `frames` moved together, a line for each row, and the cell of each noted."""
    middles = ((words.boxes[:, :2] + words.boxes[:, 2:]) / 2).astype(np.float32)
    tables = np.full(len(middles), -1, dtype=np.int32)
    cells = np.full(len(middles), -1, dtype=np.int32)
    lines = words.lines.astype(np.float64)
    places = np.arange(len(middles), dtype=np.float64)
    order = places.copy()
    found = [table for frame in frames for table in tables_in(frame, words.boxes)]
    for number, frame in enumerate(found):
        rows = np.where(tables < 0, frame.row_of(middles), -1)
        placed = _placed(words.boxes, middles, rows, frame)
        if placed is None:
            continue
        own = placed.words
        tables[own], cells[own] = number, placed.columns
        # All of the table is read where its first word was, after the line that this word was in.
        position = np.lexsort((own, placed.columns, placed.rows))
        order[own[position]] = own[0] + np.linspace(0, 1, len(own), endpoint=False)
        lines[own] = placed.rows
    if not (tables >= 0).any():
        return words
    sequence = np.argsort(order, kind="stable")
    keys = np.stack((tables, lines), axis=1)[sequence]
    is_new = np.concatenate(([True], (np.diff(keys, axis=0) != 0).any(axis=1)))
    is_moved = np.diff(sequence, prepend=-1) != 1
    return replace(
        words,
        words=[words.words[index] for index in sequence],
        lines=np.cumsum(is_new).astype(np.int32) - 1,
        joined=[words.joined[index] and not moved for index, moved in zip(sequence, is_moved, strict=True)],
        boxes=words.boxes[sequence],
        pitches=None if words.pitches is None else words.pitches[sequence],
        tables=tables[sequence],
        cells=cells[sequence],
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    """The words of a table by number, rising: the row of each, with a share where no rule parts it, and its column."""

    words: npt.NDArray[np.intp]
    rows: npt.NDArray[np.float64]
    columns: npt.NDArray[np.intp]


def _placed(boxes: Boxes, middles: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], frame: Frame) -> _Placed | None:
    """Where the words in the `rows` of a frame stand; None for no table."""
    own = np.flatnonzero(rows >= 0)
    bands = np.unique(rows[own])
    numbers, columns = rows[own].astype(np.float64), np.zeros(len(own), dtype=np.intp)
    is_within = np.ones(len(own), dtype=bool)
    widest = 0
    for band in bands.tolist():
        inside = np.flatnonzero(rows[own] == band)
        sides = frame.sides_of(band)
        edges = sorted({0, *sides, len(frame.columns) - 1})
        found = [bisect(frame.columns[edges[1:-1]], x) for x in middles[own[inside], 0].tolist()]
        columns[inside] = [edges[each] for each in found]
        cells = {each: (edges[each], edges[each + 1]) for each in set(found)}
        is_cell = {each: _is_closed(frame, band, sides, cell) for each, cell in cells.items()}
        is_within[inside] = [is_cell[each] for each in found]
        tops = {each: _top(frame, band, cell) for each, cell in cells.items()}
        numbers[inside] = [tops[each] for each in found]
        level = inside[(numbers[inside] == band) & is_within[inside]]
        if not len(level):
            continue
        levels = levels_of(boxes[own[level]])
        counts = [len(np.unique(levels[columns[level] == column])) for column in np.unique(columns[level])]
        widest = max(widest, len(np.unique(columns[inside[is_within[inside]]])))
        # As many lines in each of the cells, and hardly a line across the table: its rows are not ruled apart.
        if len(counts) > 1 and min(counts) == max(counts) and (max(counts) > 2 or len(bands) < 3):
            numbers[level] += levels / (levels.max() + 1)
    is_table = widest > 1 and len(np.unique(numbers[is_within])) > 1
    return _Placed(own[is_within], numbers[is_within], columns[is_within]) if is_table else None


def _is_closed(frame: Frame, row: int, sides: Sequence[int], cell: tuple[int, int]) -> bool:
    """Whether a cell is one of the net rather than the corner beside a part of it that is narrower."""
    last = len(frame.columns) - 1
    for edge in {0, last} & set(cell) - set(sides):
        is_drawn = any(edge in frame.sides_of(each) for each in range(len(frame.rows) - 1))
        if is_drawn and not (frame.is_ruled(row, *cell) and frame.is_ruled(row + 1, *cell)):
            return False
    return True


def _top(frame: Frame, row: int, cell: tuple[int, int]) -> int:
    """The first of the rows over which a cell runs: it has the same sides in all, and no rule between them."""
    while row > 0 and not frame.is_ruled(row, *cell):
        edges = {0, *frame.sides_of(row - 1), len(frame.columns) - 1}
        if {each for each in edges if cell[0] <= each <= cell[1]} != set(cell):
            break
        row -= 1
    return row
