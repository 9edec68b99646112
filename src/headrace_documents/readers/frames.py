"""Nets of ruled lines: where the columns and rows of a table are parted, and which of its cells are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from headrace_documents.readers.rulings import Rulings

Boxes = npt.NDArray[np.float32]

REACH_INCH = 0.06
"""Lines nearer than this belong together: the sides of cells that are each drawn as a box of their own."""
TALLEST_ROW_INCH = 2.0
"""A frame with higher rows is the layout of a page, not a table."""
MOST_FRAMES = 20
RULED_SHARE = 0.3
"""Of the width of a cell, what a line has to run along to part it from the next: scans break lines."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A net of ruled lines: where its columns and rows are parted, and its lines `(n, 4)` that run each way."""

    columns: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    down: Boxes
    across: Boxes
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

    def sides_of(self, row: int) -> list[int]:
        """The edges of columns that a line runs along in the middle of a row."""
        level = float(self.rows[row] + self.rows[row + 1]) / 2
        crossing = self.down[(self.down[:, 1] <= level) & (self.down[:, 3] >= level)]
        middles = (crossing[:, 0] + crossing[:, 2]) / 2
        return [index for index, at in enumerate(self.columns) if (np.abs(middles - at) <= self.reach).any()]

    def is_ruled(self, edge: int, left: int, right: int) -> bool:
        """Whether a line runs along the upper edge of row `edge` from the edge of column `left` to that of `right`."""
        middles = (self.across[:, 1] + self.across[:, 3]) / 2
        lines = self.across[np.abs(middles - self.rows[edge]) <= self.reach]
        reach, covered = float(self.columns[left]), 0.0
        for x0, x1 in sorted(lines[:, [0, 2]].tolist()):
            begin, end = max(x0, reach), min(x1, float(self.columns[right]))
            covered, reach = covered + max(0.0, end - begin), max(reach, end)
        return covered >= RULED_SHARE * float(self.columns[right] - self.columns[left])

    def part(self, rows: tuple[int, int], columns: Sequence[int]) -> Frame:
        """The rows `[first, last)` of it, of which the columns are parted at some of its edges alone."""
        return replace(self, columns=self.columns[list(columns)], rows=self.rows[rows[0] : rows[1] + 1])


def frames_of(rulings: Rulings, *, dpi: float) -> list[Frame]:
    """The nets of lines that touch one another, with at least two columns and two rows, from the top of the page."""
    reach = REACH_INCH * dpi
    across, down = rulings.across, rulings.down
    if len(across) < 2 or not len(down):
        return []
    meets = _touch(across, down, reach)
    rows, columns = np.nonzero(meets)
    # The sides of a cell over several rows may be drawn row by row, and those between its ends meet no line across.
    ends = _lonely(across, ~meets.any(axis=1), reach), _lonely(down, ~meets.any(axis=0), reach)
    rows = np.concatenate((rows, ends[0][0], ends[1][0] + len(across)))
    columns = np.concatenate((columns + len(across), ends[0][1], ends[1][1] + len(across)))
    count = len(across) + len(down)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    total, nets = connected_components(graph, directed=False)
    frames = []
    for net in range(total):
        own_across, own_down = across[nets[: len(across)] == net], down[nets[len(across) :] == net]
        if not len(own_across) or not len(own_down):
            continue
        sides = np.concatenate((own_across[:, 0], own_across[:, 2], (own_down[:, 0] + own_down[:, 2]) / 2))
        levels = np.concatenate((own_down[:, 1], own_down[:, 3], (own_across[:, 1] + own_across[:, 3]) / 2))
        whole = Frame(_edges(sides, reach), _edges(levels, reach), own_down, own_across, reach)
        frame = _without_tall_boxes(whole, TALLEST_ROW_INCH * dpi)
        is_net = len(frame.columns) > 2 and len(frame.rows) > 2
        if is_net and float(np.diff(frame.rows).max()) <= TALLEST_ROW_INCH * dpi:
            frames.append(frame)
    return sorted(frames, key=lambda frame: frame.box[1])[:MOST_FRAMES]


def _touch(lines: Boxes, others: Boxes, reach: float) -> npt.NDArray[np.bool_]:
    """Which of `lines` are within `reach` of which of `others`."""
    touching: npt.NDArray[np.bool_] = (
        (lines[:, None, 0] - reach <= others[None, :, 2])
        & (lines[:, None, 2] + reach >= others[None, :, 0])
        & (lines[:, None, 1] - reach <= others[None, :, 3])
        & (lines[:, None, 3] + reach >= others[None, :, 1])
    )
    return touching


def _lonely(lines: Boxes, is_lone: npt.ArrayLike, reach: float) -> tuple[npt.NDArray[np.intp], ...]:
    """The pairs of `lines` that run the same way and touch, of which one at least meets none that runs the other."""
    lone = np.flatnonzero(is_lone)
    firsts, seconds = np.nonzero(_touch(lines[lone], lines, reach))
    return lone[firsts], seconds


def _without_tall_boxes(frame: Frame, tallest: float) -> Frame:
    """Without what is above and below a table in a box around all of it."""
    heights = np.diff(frame.rows)
    first, last = 0, len(heights)
    inner = range(1, len(frame.columns) - 1)
    while first < last and heights[first] > tallest and not set(inner) & set(frame.sides_of(first)):
        first += 1
    while last > first and heights[last - 1] > tallest and not set(inner) & set(frame.sides_of(last - 1)):
        last -= 1
    return frame.part((first, last), range(len(frame.columns))) if last - first < len(heights) else frame


def _edges(positions: npt.NDArray[np.float32], reach: float) -> npt.NDArray[np.float32]:
    """Positions that lie within `reach` of one another as one, in rising order."""
    ordered = np.sort(positions)
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > reach) + 1)
    return np.array([group.mean() for group in groups], dtype=np.float32)
