"""Tables whose lines are ruled on a page picture: each word is put into its cell, each row of cells into one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from headrace_documents.readers.page_text import PageWords
from headrace_documents.readers.rulings import Rulings

Boxes = npt.NDArray[np.float32]

REACH_INCH = 0.06
"""Lines nearer than this belong together: the sides of cells that are each drawn as a box of their own."""
TALLEST_ROW_INCH = 2.0
"""A frame with higher rows is the layout of a page, not a table."""
MOST_FRAMES = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """A net of ruled lines: where its columns and rows are parted, and its upright lines `(n, 4)`."""

    columns: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    down: Boxes
    reach: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """All of it, in whole pixels."""
        return int(self.columns[0]), int(self.rows[0]), int(self.columns[-1]) + 1, int(self.rows[-1]) + 1

    def row_of(self, middles: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """For each `(x, y)` the row in which it stands; -1 outside."""
        x, y = middles.T
        is_inside = (x > self.columns[0]) & (x < self.columns[-1]) & (y > self.rows[0]) & (y < self.rows[-1])
        return np.where(is_inside, np.searchsorted(self.rows, y) - 1, -1)

    def columns_of(self, x: npt.NDArray[np.float32], level: float) -> npt.NDArray[np.intp]:
        """The column of each `x` in the row at height `level`, of which only the lines that run through it count."""
        crossing = self.down[(self.down[:, 1] <= level) & (self.down[:, 3] >= level)]
        middles = (crossing[:, 0] + crossing[:, 2]) / 2
        edges = [index for index, at in enumerate(self.columns) if (np.abs(middles - at) <= self.reach).any()]
        if not edges:
            return np.zeros(len(x), dtype=np.intp)
        found = np.searchsorted(self.columns[edges], x) - 1
        return np.array([0, *edges], dtype=np.intp)[found + 1]


def in_cells(words: PageWords, frames: Sequence[Frame]) -> PageWords:
    """`words` with those of each of the `frames` moved together, a line for each row, and the cell of each noted."""
    middles = ((words.boxes[:, :2] + words.boxes[:, 2:]) / 2).astype(np.float32)
    tables = np.full(len(middles), -1, dtype=np.int32)
    cells = np.full(len(middles), -1, dtype=np.int32)
    lines = words.lines.astype(np.float64)
    places = np.arange(len(middles), dtype=np.float64)
    order = places.copy()
    for number, frame in enumerate(frames):
        rows = np.where(tables < 0, frame.row_of(middles), -1)
        placed = _cells_of(words, middles, rows, frame)
        if placed is None:
            continue
        row_numbers, columns = placed
        own = np.flatnonzero(rows >= 0)
        tables[own], cells[own] = number, columns
        # All of the table is read where its first word was, after the line that this word was in.
        position = np.lexsort((own, columns, row_numbers))
        order[own[position]] = own[0] + np.linspace(0, 1, len(own), endpoint=False)
        lines[own] = row_numbers
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
        tables=tables[sequence],
        cells=cells[sequence],
    )


def frames_of(rulings: Rulings, *, dpi: float) -> list[Frame]:
    """The nets of lines that touch one another, with at least two columns and two rows, from the top of the page."""
    reach = REACH_INCH * dpi
    across, down = rulings.across, rulings.down
    if len(across) < 2 or not len(down):
        return []
    meets = (
        (across[:, None, 0] - reach <= down[None, :, 2])
        & (across[:, None, 2] + reach >= down[None, :, 0])
        & (across[:, None, 1] - reach <= down[None, :, 3])
        & (across[:, None, 3] + reach >= down[None, :, 1])
    )
    rows, columns = np.nonzero(meets)
    count = len(across) + len(down)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns + len(across))), shape=(count, count))
    total, nets = connected_components(graph, directed=False)
    frames = []
    for net in range(total):
        own_across, own_down = across[nets[: len(across)] == net], down[nets[len(across) :] == net]
        if not len(own_across) or not len(own_down):
            continue
        sides = np.concatenate((own_across[:, 0], own_across[:, 2], (own_down[:, 0] + own_down[:, 2]) / 2))
        levels = np.concatenate((own_down[:, 1], own_down[:, 3], (own_across[:, 1] + own_across[:, 3]) / 2))
        frame = Frame(_edges(sides, reach), _edges(levels, reach), own_down, reach)
        is_net = len(frame.columns) > 2 and len(frame.rows) > 2
        if is_net and float(np.diff(frame.rows).max()) <= TALLEST_ROW_INCH * dpi:
            frames.append(frame)
    return sorted(frames, key=lambda frame: frame.box[1])[:MOST_FRAMES]


def _edges(positions: npt.NDArray[np.float32], reach: float) -> npt.NDArray[np.float32]:
    """Positions that lie within `reach` of one another as one, in rising order."""
    ordered = np.sort(positions)
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > reach) + 1)
    return np.array([group.mean() for group in groups], dtype=np.float32)


def _cells_of(
    words: PageWords, middles: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], frame: Frame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]] | None:
    """The row, with a share where rules do not part it from the next, and column of each word; None for no table."""
    own = np.flatnonzero(rows >= 0)
    bands = np.unique(rows[own])
    if not len(bands):
        return None
    numbers, columns = rows[own].astype(np.float64), np.zeros(len(own), dtype=np.intp)
    widest = 0
    for band in bands:
        inside = rows[own] == band
        chosen = own[inside]
        columns[inside] = frame.columns_of(middles[chosen, 0], float(np.median(middles[chosen, 1])))
        levels = _levels(words.boxes[chosen])
        counts = [len(np.unique(levels[columns[inside] == column])) for column in np.unique(columns[inside])]
        widest = max(widest, len(counts))
        # As many lines in each of the cells, and hardly a line across the table: its rows are not ruled apart.
        if len(counts) > 1 and min(counts) == max(counts) and (max(counts) > 2 or len(bands) < 3):
            numbers[inside] += levels / (levels.max() + 1)
    return (numbers, columns) if widest > 1 and len(np.unique(numbers)) > 1 else None


def _levels(boxes: Boxes) -> npt.NDArray[np.intp]:
    """Which line of text each box is in, counted from the top: a line begins where a middle is below the one above."""
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    order = np.argsort(middles)
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    levels = np.zeros(len(boxes), dtype=np.intp)
    levels[order[1:]] = np.cumsum(np.diff(middles[order]) > 0.5 * height)
    return levels
