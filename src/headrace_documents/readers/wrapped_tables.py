"""Tables without ruled lines whose cells have several lines: where their rows and columns are parted.

Programs draw such a table cell by cell and row by row. What tells it from columns of text is that each row is drawn
before the next one; what tells a further line of a cell from a further row is that it stands closer to the line above,
or that the line above had no room for its first word.
"""

from __future__ import annotations

import itertools
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.blocks import are_cells
from headrace_documents.readers.frames import Frame
from headrace_documents.readers.page_tables import MARKER, WIDE_GAP
from headrace_documents.readers.page_text import PageWords
from headrace_documents.readers.seen import Seen

Boxes = npt.NDArray[np.float32]

LEAST_GUTTER = 0.4
"""The least white between two columns, in heights of a line."""
FARTHEST = 2.2
"""Rows of a table are at most this many heights apart."""
LOOSE = 1.2
"""How much larger than that of the lines in a cell the pitch of the rows of its table is at least."""
MOST_FULL = 0.3
"""The share of the closest lines that may fill all columns, as far as they are further lines of cells."""
MOST_LINES = 10
"""A cell with more lines is a column of text."""
FEWEST_SEEN_ROWS, FULL, SHORT = 3, 0.7, 7.0
"""Of a table on a page picture: its rows, the share of its cells that hold something, and the width of the cells of its
narrowest column in their height, which three columns of a newspaper exceed."""
PROSE = 14.0
"""Columns whose lines are longer than this, in their height, are text side by side rather than cells, if all are."""
SPACED, WIDEST_SPACE = 1.8, 1.7
"""A gap between cells on a page picture is so much wider than those between words; and wider than this, it is one."""
MOST_COLUMNS = 30
MOST_TRIES = 2


@dataclass(slots=True)
class _Piece:
    """A run of words of one line without a wide gap; `first` is the number of its first word."""

    first: int
    last: int
    box: tuple[float, float, float, float]


@dataclass(slots=True)
class _Level:
    """Pieces side by side, from left to right."""

    pieces: list[_Piece] = field(default_factory=list)
    top: float = np.inf
    bottom: float = -np.inf

    def add(self, piece: _Piece) -> None:
        self.pieces.append(piece)
        self.top, self.bottom = min(self.top, piece.box[1]), max(self.bottom, piece.box[3])


def wrapped_frames(words: PageWords, taken: Sequence[Frame] = (), *, is_seen: bool = False) -> list[Frame]:
    """The tables of an upright page that are not among the ruled ones `taken`.

    On a page picture, which `is_seen`, the order of words tells nothing: what stands in the cells has to. There tables
    are given as well whose cells have one line, for they may have been read by columns.
    """
    pieces = _pieces(words, taken, is_seen=is_seen)
    if len(pieces) < 5:
        return []
    height = float(np.median([piece.box[3] - piece.box[1] for piece in pieces]))
    levels = _levels(pieces)
    if not is_seen and not _may_be_drawn(levels):
        return []
    frames: list[Frame] = []
    number = tries = 0
    while number < len(levels):
        last = _reach(levels, number, height) if len(levels[number].pieces) > 1 else number + 1
        # Levels that all have as many pieces hold no further line of a cell.
        is_even = not is_seen and len({len(level.pieces) for level in levels[number:last]}) == 1
        if last - number > 2 and not is_even:
            frame = _frame(_trimmed(levels[number:last], height), words, height, is_seen=is_seen)
            frames += [frame] if frame is not None else []
            # A line or two above a table may seem to belong to it; from every line it would take the square of them.
            tries = tries + 1 if frame is None and tries < MOST_TRIES else 0
        number = number + 1 if tries else last
    return frames


def _may_be_drawn(levels: Sequence[_Level]) -> bool:
    """Whether anywhere two levels of several pieces were drawn one after the other, as columns of text are not."""
    several = [[piece.first for piece in level.pieces] for level in levels if len(level.pieces) > 1]
    return any(max(above) < min(below) for above, below in itertools.pairwise(several))


def _pieces(words: PageWords, taken: Sequence[Frame], *, is_seen: bool) -> list[_Piece]:
    boxes = words.boxes
    if len(boxes) < 2 or np.isnan(boxes).any():
        return []
    heights = np.maximum(boxes[1:, 3] - boxes[1:, 1], boxes[:-1, 3] - boxes[:-1, 1])
    gaps, is_new = (boxes[1:, 0] - boxes[:-1, 2]) / np.maximum(heights, 1e-3), np.diff(words.lines) != 0
    wide = _wide(gaps[~is_new]) if is_seen else np.maximum(WIDE_GAP, words.cell_gaps() / np.maximum(heights, 1e-3))
    is_apart = is_new | (gaps > wide)
    # Where no two stretches of text stand side by side, as on most pages, there is nothing to look for.
    shared = np.minimum(boxes[1:, 3], boxes[:-1, 3]) - np.maximum(boxes[1:, 1], boxes[:-1, 1])
    if not is_seen and np.count_nonzero(is_apart & (shared > 0.4 * heights)) < 2:
        return []
    bounds = [0, *(np.flatnonzero(is_apart) + 1).tolist(), len(boxes)]
    starts = np.array(bounds[:-1])
    spans = np.concatenate(
        (np.minimum.reduceat(boxes[:, :2], starts, axis=0), np.maximum.reduceat(boxes[:, 2:], starts, axis=0)), axis=1
    )
    middles = (spans[:, :2] + spans[:, 2:]) / 2
    is_taken = np.zeros(len(spans), dtype=bool)
    for frame in taken:
        is_taken |= frame.row_of(middles) >= 0
    return [
        _Piece(first, last, (box[0], box[1], box[2], box[3]))
        for first, last, box, gone in zip(bounds, bounds[1:], spans.tolist(), is_taken.tolist(), strict=False)
        if not gone
    ]


def _wide(gaps: npt.NDArray[np.float32]) -> float:
    """The gap that parts cells on a page picture, in heights of ink; letters of one width have wide spaces."""
    usual = float(np.quantile(gaps, 0.25)) if len(gaps) else 0.0
    return max(WIDE_GAP, min(SPACED * usual, WIDEST_SPACE))


def _levels(pieces: Sequence[_Piece]) -> list[_Level]:
    levels: list[_Level] = []
    for piece in sorted(pieces, key=lambda each: each.box[1] + each.box[3]):
        _, top, _, bottom = piece.box
        if levels:
            shared = min(levels[-1].bottom, bottom) - max(levels[-1].top, top)
            if shared > 0.5 * min(levels[-1].bottom - levels[-1].top, bottom - top):
                levels[-1].add(piece)
                continue
        levels.append(_Level())
        levels[-1].add(piece)
    for level in levels:
        level.pieces.sort(key=lambda each: each.box[0])
    return levels


def _gaps(level: _Level) -> list[tuple[float, float]]:
    return [(a.box[2], b.box[0]) for a, b in zip(level.pieces, level.pieces[1:], strict=False)][:MOST_COLUMNS]


def _reach(levels: Sequence[_Level], first: int, height: float) -> int:
    """The end of the stretch of levels through which some gap of level `first` runs."""
    gutters = _gaps(levels[first])
    last = first + 1
    while last < len(levels) and levels[last].top - levels[last - 1].bottom < FARTHEST * height:
        left = [rest for gutter in gutters if (rest := _left_of(gutter, levels[last], height)) is not None]
        if not left:
            break
        gutters, last = left, last + 1
    return last


def _left_of(gutter: tuple[float, float], level: _Level, height: float) -> tuple[float, float] | None:
    """What the pieces of a level leave of a gutter."""
    left, right = gutter
    middle = (left + right) / 2
    for piece in level.pieces:
        x0, _, x1, _ = piece.box
        if x0 >= right or x1 <= left:
            continue
        if (x0 + x1) / 2 < middle:
            left = max(left, x1)
        else:
            right = min(right, x0)
    return (left, right) if right - left > LEAST_GUTTER * height else None


def _trimmed(levels: Sequence[_Level], height: float) -> list[_Level]:
    """Without the lines at the end that stand in the first column alone: they are the text below.

    Those that are closer to the line above than rows are to one another belong to its cell.
    """
    edge = min((level.pieces[1].box[0] for level in levels if len(level.pieces) > 1), default=np.inf)
    last = len(levels)
    while last and len(levels[last - 1].pieces) == 1 and levels[last - 1].pieces[0].box[0] < edge - height:
        last -= 1
    pairs = itertools.pairwise(levels[:last])
    rows = min((b.top - a.top for a, b in pairs if min(len(a.pieces), len(b.pieces)) > 1), default=0.0)
    while 0 < last < len(levels) and levels[last].top - levels[last - 1].top < rows / LOOSE:
        last += 1
    return list(levels[:last])


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Levels one below the other, where their columns are parted, the column of each piece, and the usual height."""

    levels: Sequence[_Level]
    edges: list[float]
    columns: list[list[int]]
    height: float

    def placed(self) -> Iterator[tuple[int, _Piece]]:
        """All pieces with their columns."""
        for level, own in zip(self.levels, self.columns, strict=True):
            yield from zip(own, level.pieces, strict=True)

    def widths(self) -> list[float]:
        """The usual width of the pieces of each column."""
        found: dict[int, list[float]] = {}
        for column, piece in self.placed():
            found.setdefault(column, []).append(piece.box[2] - piece.box[0])
        return [float(np.median(each)) for each in found.values()]

    def filled(self, row: Sequence[int]) -> int:
        """How many columns hold something in a row of these levels."""
        return len({column for number in row for column in self.columns[number]})


def _frame(levels: Sequence[_Level], words: PageWords, height: float, *, is_seen: bool) -> Frame | None:
    """The table that a stretch of levels is; None when it is none, or each of its cells has one line and no need."""
    edges = _edges(levels, height) if len(levels) > 2 else []
    if not edges:
        return None
    columns = [[bisect(edges, (piece.box[0] + piece.box[2]) / 2) for piece in level.pieces] for level in levels]
    stretch = _Stretch(levels, edges, columns, height)
    rows = _rows(stretch, words)
    if not _is_table(rows, stretch, words):
        return None
    is_wrapped = len(rows) < len(levels) and _is_drawn(rows, levels)
    is_needed = _is_seen_table(rows, stretch, words) if is_seen else is_wrapped
    return _frame_of(rows, stretch) if is_needed else None


def _frame_of(rows: Sequence[list[int]], stretch: _Stretch) -> Frame:
    levels = stretch.levels
    bounds = [levels[rows[0][0]].top - 1.0]
    bounds += [(levels[above[-1]].bottom + levels[below[0]].top) / 2 for above, below in itertools.pairwise(rows)]
    bounds.append(levels[rows[-1][-1]].bottom + 1.0)
    left = min(piece.box[0] for _, piece in stretch.placed()) - 1.0
    right = max(piece.box[2] for _, piece in stretch.placed()) + 1.0
    sides = np.array([left, *stretch.edges, right], dtype=np.float32)
    edges = np.array(bounds, dtype=np.float32)
    down = np.stack((sides, np.full_like(sides, bounds[0]), sides, np.full_like(sides, bounds[-1])), axis=1)
    across = np.stack((np.full_like(edges, left), edges, np.full_like(edges, right), edges), axis=1)
    return Frame(sides, edges, down, across, reach=0.5)


def _edges(levels: Sequence[_Level], height: float) -> list[float]:
    """Where columns are parted: the middles of the white that hardly any piece of the stretch covers."""
    changes = sorted(
        change for level in levels for piece in level.pieces for change in ((piece.box[0], 1), (piece.box[2], -1))
    )
    allowed = 1 if len(levels) > 4 else 0
    covered, edges, white = 0, [], None
    for x, step in changes:
        covered += step
        if covered <= allowed and white is None and step < 0:
            white = x
        elif covered > allowed and white is not None:
            if x - white > LEAST_GUTTER * height:
                edges.append((white + x) / 2)
            white = None
    return edges[:MOST_COLUMNS]


def _rows(stretch: _Stretch, words: PageWords) -> list[list[int]]:
    """The numbers of the levels of each row of the table."""
    levels, columns = stretch.levels, stretch.columns
    pitches = [below.top - above.top for above, below in itertools.pairwise(levels)]
    has_first = [0 in each for each in columns]
    limit = _limit(pitches, has_first, stretch)
    rights: dict[int, float] = {}
    for column, piece in stretch.placed():
        rights[column] = max(rights.get(column, -np.inf), piece.box[2])
    rows: list[list[int]] = [[0]]
    for number, pitch in enumerate(pitches, 1):
        if pitch < limit or (not has_first[number] and _had_no_room(stretch, number, words, rights)):
            rows[-1].append(number)
        else:
            rows.append([number])
    return rows


def _limit(pitches: Sequence[float], has_first: Sequence[bool], stretch: _Stretch) -> float:
    """The pitch below which a level goes on with the row above; 0 where pitches do not tell.

    Rows in groups are closer within a group, and full; the further lines of cells hardly ever fill all columns.
    """
    of_rows = [pitch for pitch, begins in zip(pitches, has_first[1:], strict=True) if begins]
    closest = min(pitches)
    if not of_rows or max(of_rows) <= LOOSE * closest:
        return 0.0
    limit = closest * (1 + LOOSE) / 2
    tight = [number for number, pitch in enumerate(pitches, 1) if pitch < limit]
    full = sum(stretch.filled([number]) > len(stretch.edges) for number in tight)
    return limit if full <= MOST_FULL * len(tight) else 0.0


def _had_no_room(stretch: _Stretch, number: int, words: PageWords, rights: dict[int, float]) -> bool:
    """Whether above each piece of a level stands one in whose column its first word would not have fitted.

    One of them has several words: of columns of figures, which end at one edge, this is true of every row. Where all
    letters are as wide, as in listings of options, only the last cell goes on.
    """
    if words.pitches is not None and len(stretch.levels[number].pieces) > 1:
        first = stretch.levels[number].pieces[0].first
        if words.pitches[first]:
            return False
    above = dict(zip(stretch.columns[number - 1], stretch.levels[number - 1].pieces, strict=True))
    befores = [above.get(column) for column in stretch.columns[number]]
    if not any(before is not None and before.last - before.first > 1 for before in befores):
        return False
    for piece, column, before in zip(stretch.levels[number].pieces, stretch.columns[number], befores, strict=True):
        if before is None:
            return False
        width = float(words.boxes[piece.first, 2] - words.boxes[piece.first, 0])
        space = 0.2 * (piece.box[3] - piece.box[1])
        if before.box[2] + space + width < rights[column]:
            return False
    return True


def _is_table(rows: Sequence[list[int]], stretch: _Stretch, words: PageWords) -> bool:
    if max(map(len, rows)) > MOST_LINES:
        return False
    count = len(stretch.edges) + 1
    filled = [stretch.filled(row) for row in rows]
    # Two lines stretched to the width of their column have wide gaps by chance; their gaps make no full cells.
    if sum(each > 1 for each in filled) < 0.6 * len(rows) or (len(rows) == 2 and (count < 3 or min(filled) < count)):
        return False
    if all(width > PROSE * stretch.height for width in stretch.widths()):
        return False
    # Lines that all fill all columns are rows, or blocks side by side.
    blocks = [row for row in rows if len(row) > 1 and min(stretch.filled([number]) for number in row) == count]
    if len(blocks) > MOST_FULL * len(rows):
        return False
    firsts = [" ".join(words.words[piece.first : piece.last]) for column, piece in stretch.placed() if column == 0]
    return not all(MARKER.match(first) for first in firsts)


def _is_drawn(rows: Sequence[list[int]], levels: Sequence[_Level]) -> bool:
    """Whether each row was drawn before the next."""
    drawn = [[piece.first for number in row for piece in levels[number].pieces] for row in rows]
    return all(max(above) < min(below) for above, below in itertools.pairwise(drawn))


def _is_seen_table(rows: Sequence[list[int]], stretch: _Stretch, words: PageWords) -> bool:
    """Whether rows that may have been read in any order are cells: full, some of them short, and no blocks of text."""
    filled = sum(map(stretch.filled, rows))
    if len(rows) < FEWEST_SEEN_ROWS or filled < FULL * len(rows) * (len(stretch.edges) + 1):
        return False
    if all(width > SHORT * stretch.height for width in stretch.widths()):
        return False
    lines = [
        [
            Seen(words.words[index], 0, tuple(words.boxes[index].astype(int).tolist()), 0.0)
            for piece in stretch.levels[row[0]].pieces
            for index in range(piece.first, piece.last)
        ]
        for row in rows
    ]
    return are_cells(lines, stretch.edges)
