"""The words of one page as text: lines in reading order, broken words joined, tables as tab-separated rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.fixed_pitch import SPACES
from headrace_documents.readers.layout import Order, cut_order, drawn_order, is_contradicted, same_row
from headrace_documents.readers.page_tables import Cell, Grid, Row, grids_of, ruled_grid
from headrace_documents.readers.reader import Passage, Places, cleaned
from headrace_documents.schema import Table

_EAST = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
FEWEST_IDEOGRAPHS = 12
COLUMN_GAP = 1.3
"""A gap that parts columns where lines are known to be out of order, in heights of a word."""


@dataclass(frozen=True, slots=True)
class PageWords:
    """The words of a page in the engine's order. Columns of one length n.

    `lines`: (n,) the line of each, rising. `joined`: whether a word goes on where the one before broke off.
    `boxes`: (n, 4) points from the top left as shown; NaN where a word has none. `turn`: by how many degrees most of
    the text is turned clockwise as shown: 0, 90, 180 or 270. `is_mirrored`: whether it is read from right to left.
    `tables` and `cells`: (n,) the number of the ruled table that a word stands in, -1 for none, and its column there;
    None where ruled lines are not known. `pitches`: (n,) the width of each letter of a word where all are as wide, else
    0; None where there are no such words. Each line of a table is a row, its words in the order of the columns.
    """

    words: list[str]
    lines: npt.NDArray[np.int32]
    joined: list[bool]
    boxes: npt.NDArray[np.float32]
    turn: int = 0
    is_mirrored: bool = False
    tables: npt.NDArray[np.int32] | None = None
    cells: npt.NDArray[np.int32] | None = None
    pitches: npt.NDArray[np.float32] | None = None

    def cell_gaps(self) -> npt.NDArray[np.float32]:
        """(n - 1,) the width from which on a gap between a word and the next parts cells, whatever their height."""
        if self.pitches is None:
            return np.zeros(max(0, len(self.words) - 1), dtype=np.float32)
        return np.asarray(SPACES * np.minimum(self.pitches[1:], self.pitches[:-1]), dtype=np.float32)


def passage_of(page_words: PageWords, *, page: int, width: float, height: float, ocr: bool = False) -> Passage:
    """The passage of a page, whose words and tables have their offsets in it."""
    if not page_words.words:
        return Passage(characters="", page=page, width=width, height=height, ocr=ocr)
    frame = _reading_frame(_filled(page_words.boxes), page_words)
    firsts = np.flatnonzero(np.diff(page_words.lines, prepend=-1))
    line_boxes = _line_boxes(frame, firsts)
    if is_contradicted(line_boxes):
        firsts = _parted(frame, firsts, page_words)
        line_boxes = _line_boxes(frame, firsts)
        order = cut_order(line_boxes)
    else:
        order = drawn_order(line_boxes)
    bounds = [*firsts.tolist(), len(page_words.words)]
    writer = _Writer(page_words, frame)
    for group in _rows(order, line_boxes):
        writer.add_row([(bounds[line], bounds[line + 1]) for line in group.lines], begins_block=group.begins_block)
    return writer.passage(page=page, width=width, height=height, ocr=ocr)


def _reading_frame(boxes: npt.NDArray[np.float32], words: PageWords) -> npt.NDArray[np.float32]:
    """Boxes as they would be if the text stood upright and ran from left to right; only their differences count."""
    x0, y0, x1, y1 = boxes.T
    if words.turn == 90:
        x0, y0, x1, y1 = y0, -x1, y1, -x0
    elif words.turn == 180:
        x0, y0, x1, y1 = -x1, -y1, -x0, -y0
    elif words.turn == 270:
        x0, y0, x1, y1 = -y1, x0, -y0, x1
    if words.is_mirrored:
        x0, x1 = -x1, -x0
    return np.stack((x0, y0, x1, y1), axis=1)


def _line_boxes(boxes: npt.NDArray[np.float32], firsts: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    lowest = np.minimum.reduceat(boxes[:, :2], firsts, axis=0)
    highest = np.maximum.reduceat(boxes[:, 2:], firsts, axis=0)
    return np.concatenate([lowest, highest], axis=1)


def _parted(boxes: npt.NDArray[np.float32], firsts: npt.NDArray[np.intp], words: PageWords) -> npt.NDArray[np.intp]:
    """The first words of lines, with lines cut where a gap is too wide for a space: they run across columns.

    Rows of ruled tables stay whole.
    """
    heights = np.maximum(boxes[1:, 3] - boxes[1:, 1], boxes[:-1, 3] - boxes[:-1, 1])
    is_wide = boxes[1:, 0] - boxes[:-1, 2] > np.maximum(COLUMN_GAP * heights, words.cell_gaps())
    if words.tables is not None:
        is_wide &= words.tables[1:] < 0
    return np.union1d(firsts, np.flatnonzero(is_wide) + 1)


@dataclass(frozen=True, slots=True)
class _Row:
    lines: tuple[int, ...]
    begins_block: bool


def _rows(order: Order, boxes: npt.NDArray[np.float32]) -> list[_Row]:
    """Lines that follow one another side by side are one row: the cells of a table, or a label and its value."""
    rows: list[_Row] = []
    for line, begins in zip(order.lines, order.begins_block, strict=True):
        if rows and same_row(boxes[rows[-1].lines[-1]], boxes[line]) and _is_beside(boxes, rows[-1].lines, line):
            rows[-1] = _Row((*rows[-1].lines, line), rows[-1].begins_block)
        else:
            rows.append(_Row((line,), begins))
    return rows


def _is_beside(boxes: npt.NDArray[np.float32], lines: tuple[int, ...], line: int) -> bool:
    return all(min(boxes[other, 2], boxes[line, 2]) - max(boxes[other, 0], boxes[line, 0]) < 1.0 for other in lines)


def _filled(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Boxes with those that are missing put where the word before stands."""
    missing = np.isnan(boxes[:, 0])
    if not missing.any():
        return boxes
    source = np.where(missing, 0, np.arange(len(boxes)))
    np.maximum.accumulate(source, out=source)
    return np.nan_to_num(boxes[source], nan=0.0)


def _on_page(boxes: npt.NDArray[np.float32], width: float, height: float) -> npt.NDArray[np.float32]:
    """What is seen of the boxes: lines that are too long run over the edge. Words wholly beyond it have no box."""
    shown = np.clip(boxes, 0.0, np.array([width, height, width, height], dtype=np.float32))
    is_hidden = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
    shown[is_hidden] = np.nan
    return shown


class _Writer:
    """Puts rows into text and notes where every word went."""

    def __init__(self, page_words: PageWords, boxes: npt.NDArray[np.float32]) -> None:
        self._source = page_words
        self._boxes = boxes
        self._order: list[int] = []
        self._rows: list[tuple[int, int, bool]] = []

    def add_row(self, spans: list[tuple[int, int]], *, begins_block: bool) -> None:
        """A row of one or more lines given as spans of word numbers; side by side ones are put from left to right."""
        if len(spans) > 1:
            spans = sorted(spans, key=lambda span: float(self._boxes[span[0], 0]))
        first = len(self._order)
        for begin, end in spans:
            self._order += range(begin, end)
        self._rows.append((first, len(self._order), begins_block))

    def passage(self, *, page: int, width: float, height: float, ocr: bool) -> Passage:
        """All rows as text."""
        boxes = self._boxes[self._order]
        grids = self._grids(boxes)
        cell_ends = {cell.last for grid in grids for row in grid.cells for cell in row if cell}
        pieces, starts, ends, kept = self._written(cell_ends, grids)
        row_of_word = {kept_index: position for position, kept_index in enumerate(kept)}
        tables = tuple(self._table(grid, row_of_word, starts, ends, page) for grid in grids)
        return Passage(
            characters="".join(pieces),
            page=page,
            width=width,
            height=height,
            ocr=ocr,
            places=Places(
                starts=np.array(starts, dtype=np.int32),
                ends=np.array(ends, dtype=np.int32),
                boxes=_on_page(self._source.boxes[self._order][kept], width, height),
            ),
            tables=tables,
        )

    def _grids(self, boxes: npt.NDArray[np.float32]) -> list[Grid]:
        """Tables by their ruled lines where those are known, elsewhere by how their words stand."""
        pitches = self._source.pitches
        own_pitches = None if pitches is None else pitches[self._order]
        rows = [
            Row(
                first,
                last,
                float(boxes[first:last, 1].min()),
                float(boxes[first:last, 3].max()),
                0.0 if own_pitches is None else float(own_pitches[first:last].min()),
            )
            for first, last, _ in self._rows
        ]
        words = [self._source.words[index] for index in self._order]
        tables, columns = self._source.tables, self._source.cells
        if tables is None or columns is None:
            return grids_of(boxes, rows, words)
        grids: list[Grid] = []
        own = tables[self._order]
        for table, group in groupby(enumerate(rows), key=lambda each: int(own[each[1].first])):
            numbered = list(group)
            first, stretch = numbered[0][0], [row for _, row in numbered]
            if table >= 0:
                grids.append(ruled_grid(columns[self._order], stretch, first))
            else:
                found = grids_of(boxes, stretch, words)
                grids += [
                    replace(each, first_row=each.first_row + first, last_row=each.last_row + first) for each in found
                ]
        return grids

    def _written(self, cell_ends: set[int], grids: list[Grid]) -> tuple[list[str], list[int], list[int], list[int]]:
        inside = {row for grid in grids for row in range(grid.first_row + 1, grid.last_row)}
        at_edge = {grid.first_row for grid in grids} | {grid.last_row for grid in grids}
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        kept: list[int] = []
        position = 0
        for number, (first, last, begins) in enumerate(self._rows):
            for index in range(first, last):
                source = self._order[index]
                word = cleaned(self._source.words[source])
                if not word:
                    continue
                between = ""
                if kept and self._source.joined[source] and self._order[index - 1] == source - 1:
                    between = ""
                elif kept and index > first:
                    between = "\t" if index in cell_ends else " "
                elif kept:
                    is_block = number in at_edge or (begins and number not in inside)
                    runs_on = not is_block and number not in inside and self._runs_on(number)
                    between = "" if runs_on else "\n\n" if is_block else "\n"
                pieces += (between, word)
                starts.append(position + len(between))
                position += len(between) + len(word)
                ends.append(position)
                kept.append(index)
        return pieces, starts, ends, kept

    def _runs_on(self, number: int) -> bool:
        """Whether row `number` goes on in the middle of a sentence that is written without spaces, as in Chinese."""
        last, begin = self._rows[number - 1][1], self._rows[number][0]
        if not _EAST.match(self._source.words[self._order[last - 1]][-1]):
            return False
        if not _EAST.match(self._source.words[self._order[begin]][0]):
            return False
        before, row = self._frame_of(number - 1), self._frame_of(number)
        height = before[3] - before[1]
        if before[2] - before[0] < FEWEST_IDEOGRAPHS * height or row[2] > before[2] + 1.5 * height:
            return False
        # Addresses and headings end where they end; only a line as long as its column allows is broken by need.
        beside = [each for each in map(self._frame_of, range(len(self._rows))) if each[0] < before[2]]
        longer = sum(bool(each[2] > before[2] + 1.5 * height) for each in beside if each[2] > before[0])
        return longer <= 0.1 * len(beside)

    def _frame_of(self, number: int) -> npt.NDArray[np.float32]:
        boxes = self._boxes[self._order[self._rows[number][0] : self._rows[number][1]]]
        return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])

    def _table(self, grid: Grid, position_of: dict[int, int], starts: list[int], ends: list[int], page: int) -> Table:
        def words(cell: Cell | None) -> list[int]:
            return [] if cell is None else [each for each in range(cell.first, cell.last) if each in position_of]

        rows = tuple(
            tuple(" ".join(cleaned(self._source.words[self._order[word]]) for word in words(cell)) for cell in row)
            for row in grid.cells
        )
        placed = [position_of[word] for row in grid.cells for cell in row for word in words(cell)]
        return Table(rows=rows, start=starts[min(placed)], end=ends[max(placed)], page=page)
