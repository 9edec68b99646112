"""Blocks that stand side by side on a page picture: an address beside the number and date of a letter.

Where such blocks are short Tesseract reads across them, line by line, as it rightly does with the rows of a table. What
parts blocks from rows is what stands in them: each block goes on by itself, the cells of a row belong to one another.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headrace_documents.readers.right_to_left import is_right_to_left
from headrace_documents.readers.seen import Seen

Line = list[Seen]

RIVER = 1.5
"""The least width of the white between two blocks, in heights of a line."""
FARTHEST = 1.2
"""Lines of one block are at most this far apart, in their height."""
OFFSET = 0.3
"""Lines side by side whose middles differ by more than this, in their height, were not set as one row."""
SLACK, SHARED = 0.3, 0.3
"""How far lines one above the other may overlap, in their height; and the width that they share at least, in theirs."""
APART = 4.0
"""White across the page that is at least this high, in heights of a line, parts what is read before from what after."""
FEWEST_ROWS = 2
MOST_RIVERS = 12
DEEPEST = 4
ENOUGH, ENOUGH_OF_MANY = 2, 3
"""Points that make blocks of two columns, and of more, which are tables more often."""
_LABEL = re.compile(r"^[^\W\d_][^:]{0,30}[:#]\s*\S")
_FIGURE = re.compile(r"^[^\w\s]{0,2}[A-Z]{0,3}\s?[-+(]?[\d.,'\s%/)-]*\d[\d.,'\s%)-]*[^\w\s]?\s?[A-Z]{0,3}$")
_POSTAL = re.compile(
    r"\b[A-Z]{1,2}\d[\dA-Z]? ?\d[A-Z]{2}\b|\b[A-Z]{2},? \d{5}(-\d{4})?$|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b"
    r"|^([A-Z]{1,3}-)?\d{4,6} [^\W\d_]|^\d{4} ?[A-Z]{2} [^\W\d_]|^\d{2}-\d{3} [^\W\d_]|^\d{3} \d{2} [^\W\d_]"
)
"""Postal codes of Britain, the United States and Canada, and those before the name of a town elsewhere."""


@dataclass(slots=True)
class _Row:
    """Lines side by side, and their words from left to right."""

    lines: list[Line]
    words: list[Seen]

    @property
    def top(self) -> int:
        return min(word.box[1] for word in self.words)

    @property
    def bottom(self) -> int:
        return max(word.box[3] for word in self.words)

    @property
    def height(self) -> float:
        heights = sorted(word.box[3] - word.box[1] for word in self.words)
        return max(1.0, float(heights[len(heights) // 2]))


@dataclass(frozen=True, slots=True)
class _Cells:
    """What stands left and right of the white in one row; either may be empty."""

    left: Line
    right: Line

    @property
    def is_pair(self) -> bool:
        return bool(self.left and self.right)


def in_blocks(lines: Sequence[Line], depth: int = 0) -> list[Line]:
    """The `lines` of a page, with those that run across blocks parted and the blocks read one after the other."""
    rows = _rows(lines)
    bands = _bands(rows) if depth < DEEPEST and not _is_mirrored(rows) else {}
    ordered: list[Line] = []
    number = 0
    while number < len(rows):
        band = bands.get(number)
        if band is None:
            ordered += rows[number].lines
            number += 1
            continue
        ordered += in_blocks([cells.left for cells in band if cells.left], depth + 1)
        ordered += in_blocks([cells.right for cells in band if cells.right], depth + 1)
        number += len(band)
    return ordered


def downward(lines: Sequence[Line]) -> list[Line]:
    """The `lines` of a page, with each that comes after a line below it in the same column put before that one.

    Tesseract gives a line that it took for a block of its own, such as one beside a sign, after the text around it.
    """
    ordered: list[Line] = []
    frames = np.zeros((len(lines), 4))
    for line in lines:
        boxes = np.array([word.box for word in line])
        own = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)))
        before = frames[: len(ordered)]
        shared = np.minimum(before[:, 2], own[2]) - np.maximum(before[:, 0], own[0])
        narrower = np.minimum(before[:, 2] - before[:, 0], own[2] - own[0])
        is_below = (before[:, 1] > own[3] - SLACK * (own[3] - own[1])) & (shared > SHARED * narrower)
        at = int(np.argmax(is_below)) if is_below.any() else len(ordered)
        ordered.insert(at, line)
        frames[at + 1 : len(ordered)] = frames[at : len(ordered) - 1].copy()
        frames[at] = own
    return _by_bands(ordered)


def _by_bands(lines: Sequence[Line]) -> list[Line]:
    """What stands above white that crosses the whole page before what stands below it, else in the order of `lines`.

    A block beside the head of a letter may stand clear of all lines of the letter, as a column of its own would.
    """
    filled = [line for line in lines if line]
    spans = [(min(word.box[1] for word in line), max(word.box[3] for word in line)) for line in filled]
    heights = sorted(bottom - top for top, bottom in spans)
    edges: list[int] = []
    reach = None
    for top, bottom in sorted(spans):
        if reach is not None and top - reach > APART * heights[len(heights) // 2]:
            edges.append((top + reach) // 2)
        reach = bottom if reach is None else max(reach, bottom)
    bands = [bisect(edges, (top + bottom) // 2) for top, bottom in spans]
    return [filled[number] for number in sorted(range(len(filled)), key=bands.__getitem__)]


def are_cells(levels: Sequence[Line], edges: Sequence[float]) -> bool:
    """Whether what stands on the `levels` of a stretch, parted at all `edges`, is cells of rows rather than blocks.

    Of two columns something has to say so, such as figures on the right; more are cells if nothing speaks for blocks.
    """
    are_rows = False
    for edge in edges:
        band = [_parted(level, (edge, edge)) for level in levels]
        pairs = [cells for cells in band if cells.is_pair]
        if len(pairs) < FEWEST_ROWS or _are_blocks(band, len(edges) + 1):
            return False
        are_rows |= _are_rows(band, pairs)
    return are_rows or (len(edges) > 1 and _are_alike(levels, edges))


def _are_alike(levels: Sequence[Line], edges: Sequence[float]) -> bool:
    """Whether in most columns nearly all cells below the head have figures, or nearly none: blocks are mixed."""
    rows: list[list[str]] = []
    for level in levels:
        cells: list[list[Seen]] = [[] for _ in range(len(edges) + 1)]
        for word in level:
            cells[bisect(edges, (word.box[0] + word.box[2]) / 2)].append(word)
        rows.append([_text(cell) for cell in cells])
    has_head = not any(map(str.isdigit, "".join(rows[0])))
    shares = [
        _share(any(map(str.isdigit, cell)) for cell in column if cell)
        for column in zip(*rows[int(has_head) :], strict=True)
    ]
    return sum(share <= 0.2 or share >= 0.8 for share in shares) > len(shares) / 2


def _is_mirrored(rows: Sequence[_Row]) -> bool:
    return is_right_to_left(" ".join(word.text for row in rows for word in row.words))


def _rows(lines: Sequence[Line]) -> list[_Row]:
    rows: list[_Row] = []
    for line in lines:
        if not line:
            continue
        words = sorted(line, key=lambda word: word.box[0])
        if rows and _is_beside(rows[-1], words):
            joined = sorted([*rows[-1].words, *words], key=lambda word: word.box[0])
            rows[-1] = _Row([*rows[-1].lines, line], joined)
        else:
            rows.append(_Row([line], words))
    return rows


def _is_beside(row: _Row, words: Line) -> bool:
    """Whether a line stands in the same row, and wholly beside what is there."""
    top, bottom = min(word.box[1] for word in words), max(word.box[3] for word in words)
    overlap = min(row.bottom, bottom) - max(row.top, top)
    is_level = overlap > 0.5 * min(row.bottom - row.top, bottom - top)
    return is_level and (words[0].box[0] >= row.words[-1].box[2] or words[-1].box[2] <= row.words[0].box[0])


def _bands(rows: Sequence[_Row]) -> dict[int, list[_Cells]]:
    """Stretches of rows that are blocks side by side, by the number of their first row."""
    bands: dict[int, list[_Cells]] = {}
    begin = 0
    # Each river is looked at once and not again in every row that it runs through: a page of many gaps stays cheap.
    tried: list[tuple[int, float, float]] = []
    for number, row in enumerate(rows):
        if number < begin:
            continue
        tried = [each for each in tried if each[0] > number]
        for river in _gaps(row.words, RIVER * row.height)[:MOST_RIVERS]:
            if any(left < river[1] and river[0] < right for _, left, right in tried):
                continue
            first, last, found = _stretch(rows, number, river, begin)
            cells = [_parted(rows[each].words, found) for each in range(first, last)]
            columns = max(len(_gaps(rows[each].words, RIVER * row.height)) for each in range(first, last)) + 1
            if _are_blocks(cells, columns):
                bands[first] = cells
                begin = last
                break
            tried.append((last, *found))
    return bands


def _gaps(words: Sequence[Seen], least: float) -> list[tuple[float, float]]:
    """The white between the words of a row that is at least `least` wide, from left to right."""
    gaps = []
    reach = float(words[0].box[2])
    for word in words[1:]:
        if word.box[0] - reach >= least:
            gaps.append((reach, float(word.box[0])))
        reach = max(reach, float(word.box[2]))
    return gaps


def _stretch(
    rows: Sequence[_Row], number: int, river: tuple[float, float], begin: int
) -> tuple[int, int, tuple[float, float]]:
    """The rows `[first, last)` around row `number` that the white `river` runs through, and what is left of it."""
    first, last = number, number + 1
    while last < len(rows) and (narrowed := _through(rows[last - 1], rows[last], river)) is not None:
        river, last = narrowed, last + 1
    while first > begin and (narrowed := _through(rows[first], rows[first - 1], river)) is not None:
        river, first = narrowed, first - 1
    return first, last, river


def _through(near: _Row, row: _Row, river: tuple[float, float]) -> tuple[float, float] | None:
    """What `row`, which has to be next to `near`, leaves of the white; None when that is too little."""
    height = max(near.height, row.height)
    apart = max(row.top - near.bottom, near.top - row.bottom)
    if apart > FARTHEST * height or apart < -0.7 * height:
        return None
    left, right = river
    middle = (left + right) / 2
    for word in row.words:
        if (word.box[0] + word.box[2]) / 2 < middle:
            left = max(left, float(word.box[2]))
        else:
            right = min(right, float(word.box[0]))
    return (left, right) if right - left >= RIVER * height else None


def _parted(words: Sequence[Seen], river: tuple[float, float]) -> _Cells:
    middle = (river[0] + river[1]) / 2
    return _Cells([word for word in words if word.box[2] <= middle], [word for word in words if word.box[2] > middle])


def _are_blocks(band: Sequence[_Cells], columns: int) -> bool:
    """Whether two columns are blocks rather than the cells of rows, by what speaks for either."""
    pairs = [cells for cells in band if cells.is_pair]
    if len(pairs) < FEWEST_ROWS or _are_rows(band, pairs):
        return False
    lefts, rights = [_text(each.left) for each in pairs], [_text(each.right) for each in pairs]
    points = 2 * (_share(_is_askew(each) for each in pairs) >= 0.5)
    points += 2 * (sum(bool(_LABEL.match(text)) for text in rights) >= 2)
    points += 2 * (_is_mixed(lefts) and _is_mixed(rights))
    sides = [cells.left for cells in band], [cells.right for cells in band]
    points += 2 * all(_is_address([_text(line) for line in side if line]) for side in sides)
    points += 2 * (lefts[0].endswith(":") and rights[0].endswith(":") and not any(":" in text for text in lefts[1:]))
    points += sum(map(_goes_on, sides))
    points += min(2, _overhang(band))
    points += len(band) <= 3
    return points >= (ENOUGH if columns == 2 else ENOUGH_OF_MANY)


def _are_rows(band: Sequence[_Cells], pairs: Sequence[_Cells]) -> bool:
    """Whether what is left is a label, or a date, of what is right; or what is right is a figure."""
    lefts, rights = [_text(each.left) for each in pairs], [_text(each.right) for each in pairs]
    is_labelled = _share(text.endswith(":") for text in lefts) >= 0.5
    is_dated = _share(any(map(str.isdigit, text)) and len(text.split()) <= 4 for text in lefts) >= 0.8
    is_figures = _share(bool(_FIGURE.match(text)) for text in rights) >= 0.5
    return is_labelled or is_dated or is_figures or _holes(band) > 1


def _holes(band: Sequence[_Cells]) -> int:
    """How many rows lack a side above and below which it goes on: labels leave such, blocks hardly any."""
    holes = 0
    for side in ([bool(each.left) for each in band], [bool(each.right) for each in band]):
        inside = side[side.index(True) : len(side) - side[::-1].index(True)]
        holes = max(holes, inside.count(False))
    return holes


def _overhang(band: Sequence[_Cells]) -> int:
    """How many rows at either end have one side alone."""
    flags = [each.is_pair for each in band]
    return flags.index(True) + flags[::-1].index(True)


def _is_askew(cells: _Cells) -> bool:
    left, right = (_middle(side) for side in (cells.left, cells.right))
    height = max(word.box[3] - word.box[1] for word in (*cells.left, *cells.right))
    return abs(left - right) > OFFSET * height


def _middle(words: Sequence[Seen]) -> float:
    return (min(word.box[1] for word in words) + max(word.box[3] for word in words)) / 2


def _is_mixed(texts: Sequence[str]) -> bool:
    """Whether some have figures and some have none, as the lines of an address; a column of a table is more alike."""
    return len(texts) > FEWEST_ROWS and 0.2 < _share(any(map(str.isdigit, text)) for text in texts) < 0.8


def _is_address(texts: Sequence[str]) -> bool:
    """Whether a line or two of several have a postal code; of a column of addresses each has one."""
    return len(texts) > FEWEST_ROWS and 0 < _share(bool(_POSTAL.search(text)) for text in texts) <= 0.5


def _goes_on(side: Sequence[Line]) -> bool:
    """Whether a line of a side ends in the middle of a sentence that the next one goes on with."""
    texts = [_text(line) for line in side]
    return any(
        len(before.split()) > 2 and before[-1].isalnum() and after[:1].islower()
        for before, after in itertools.pairwise(texts)
        if before and after
    )


def _share(claims: Iterator[bool]) -> float:
    listed = list(claims)
    return sum(listed) / max(1, len(listed))


def _text(words: Sequence[Seen]) -> str:
    return " ".join(word.text for word in words)
