"""From the lines of a page in the order in which they are drawn to the order in which they are read.

The engine's order is kept, for it is right on nearly every page that a program wrote, in any script. Only where the
geometry contradicts it again and again, as when columns were drawn line by line across, is the page cut anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
LEAST_CONTRADICTIONS = 3
CONTRADICTED_SHARE = 0.12
LOOKS_BACK = 4
DEEPEST_CUT = 40
SPANNING_SHARE = 0.6
SHORT_LINE = 6.0
"""Lines shorter than this many heights are cells rather than lines of a column."""
FEWEST_COLUMN_LINES = 6
TALL, FEWEST = 3.0, 3
"""A line that runs downwards is this many times as high as wide, and has at least as many signs."""


@dataclass(frozen=True, slots=True)
class Order:
    """Line numbers as they are read, and for each whether a block begins with it."""

    lines: tuple[int, ...]
    begins_block: tuple[bool, ...]


def drawn_order(boxes: Boxes) -> Order:
    """The order in which lines were drawn, whose boxes are `(n, 4)` points from the top left."""
    lines = list(range(len(boxes)))
    return Order(lines=tuple(lines), begins_block=tuple(_block_begins(boxes, lines)))


def cut_order(boxes: Boxes) -> Order:
    """The order that the geometry of lines gives, for pages whose drawing order contradicts it."""
    lines = _cut(boxes, np.arange(len(boxes)), 0)
    return Order(lines=tuple(lines), begins_block=tuple(_block_begins(boxes, lines)))


def is_contradicted(boxes: Boxes) -> bool:
    """Whether lines again and again go up within a column, which no reader does."""
    if len(boxes) <= 2:
        return False
    heights = boxes[:, 3] - boxes[:, 1]
    widths = boxes[:, 2] - boxes[:, 0]
    is_open = np.ones(len(boxes), dtype=bool)
    contradictions = 0
    for lag in range(1, min(LOOKS_BACK, len(boxes) - 1) + 1):
        before, after = boxes[:-lag], boxes[lag:]
        shared = np.minimum(before[:, 2], after[:, 2]) - np.maximum(before[:, 0], after[:, 0])
        is_one_column = is_open[lag:] & (shared > 0.3 * np.minimum(widths[:-lag], widths[lag:]))
        goes_up = after[:, 3] < before[:, 1] + 0.3 * np.minimum(heights[:-lag], heights[lag:])
        contradictions += int(np.sum(is_one_column & goes_up))
        # Each line is held against the last one that was drawn in its column.
        is_open[lag:] &= ~is_one_column
    return contradictions >= max(LEAST_CONTRADICTIONS, CONTRADICTED_SHARE * (len(boxes) - 1))


def same_row(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    """Whether two boxes share a row: their vertical spans overlap by half of the lower one."""
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return bool(overlap > 0.5 * min(a[3] - a[1], b[3] - b[1]))


def runs_down(words: Sequence[str], lines: Sequence[int], boxes: npt.NDArray[np.float64]) -> bool:
    """Whether most of the text stands in lines that run downwards, from right to left, as Japanese and Chinese may."""
    if not len(boxes) or not any("\u2e80" <= word[0] <= "\uffef" for word in words):
        return False
    firsts = np.flatnonzero(np.diff(np.array(lines), prepend=-1))
    sizes = np.add.reduceat(np.array([len(word) for word in words]), firsts)
    lowest = np.minimum.reduceat(boxes[:, :2], firsts, axis=0)
    highest = np.maximum.reduceat(boxes[:, 2:], firsts, axis=0)
    extent = highest - lowest
    is_down = (extent[:, 1] > TALL * extent[:, 0]) & (sizes >= FEWEST)
    return bool(sizes[is_down].sum() > 0.5 * sizes.sum())


def _cut(boxes: Boxes, group: npt.NDArray[np.intp], depth: int) -> list[int]:
    """Recursive XY-cut (Nagy and Seth 1984): columns first, also below and above what spans them; else rows."""
    if len(group) < 2 or depth > DEEPEST_CUT:
        return _by_rows(boxes, group)
    height = _median(boxes[group, 3] - boxes[group, 1])
    least = 0.8 * height
    gutter = _gap(boxes[group, 0], boxes[group, 2], least=least)
    if gutter is not None and _is_column_cut(boxes, group, gutter):
        is_left = boxes[group, 2] <= gutter
        return _cut(boxes, group[is_left], depth + 1) + _cut(boxes, group[~is_left], depth + 1)
    spanned = _spanned_gutter(boxes, group, least)
    if spanned is not None:
        return _cut_in_bands(boxes, group, spanned, depth)
    level = _gap(boxes[group, 1], boxes[group, 3], least=0.05 * height)
    if level is None:
        return _by_rows(boxes, group)
    is_above = boxes[group, 3] <= level
    return _cut(boxes, group[is_above], depth + 1) + _cut(boxes, group[~is_above], depth + 1)


def _spanned_gutter(boxes: Boxes, group: npt.NDArray[np.intp], least: float) -> float | None:
    """A gutter between columns that a few wide lines, such as headings, run across."""
    widths = boxes[group, 2] - boxes[group, 0]
    whole = float(boxes[group, 2].max() - boxes[group, 0].min())
    narrow = group[widths < SPANNING_SHARE * whole]
    if not FEWEST_COLUMN_LINES <= len(narrow) < len(group):
        return None
    gutter = _gap(boxes[narrow, 0], boxes[narrow, 2], least=least)
    is_cut = gutter is not None and _is_column_cut(boxes, narrow, gutter)
    return gutter if is_cut else None


def _cut_in_bands(boxes: Boxes, group: npt.NDArray[np.intp], gutter: float, depth: int) -> list[int]:
    """What is above, between and below the lines that cross a gutter, each band cut by itself."""
    crosses = (boxes[group, 0] < gutter) & (boxes[group, 2] > gutter)
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    crossing = sorted(group[crosses].tolist(), key=lambda line: float(middles[line]))
    rest = group[~crosses]
    bands = np.searchsorted(middles[crossing], middles[rest])
    order: list[int] = []
    for number in range(len(crossing) + 1):
        band = rest[bands == number]
        if len(band):
            order += _cut(boxes, band, depth + 1)
        if number < len(crossing):
            order.append(crossing[number])
    return order


def _is_column_cut(boxes: Boxes, group: npt.NDArray[np.intp], gutter: float) -> bool:
    """Columns hold several lines on both sides, and lines of some length where they stand side by side in rows."""
    is_left = boxes[group, 2] <= gutter
    left, right = group[is_left], group[~is_left]
    if min(len(left), len(right)) < 2:
        return False
    height = _median(boxes[group, 3] - boxes[group, 1])
    widths = boxes[:, 2] - boxes[:, 0]
    if min(_median(widths[left]), _median(widths[right])) >= SHORT_LINE * height:
        return True
    fewer, more = sorted((left, right), key=len)
    middles = np.sort((boxes[more, 1] + boxes[more, 3]) / 2)
    at = np.searchsorted(middles, boxes[fewer, 1])
    in_rows = int(np.sum((at < len(middles)) & (middles[np.minimum(at, len(middles) - 1)] < boxes[fewer, 3])))
    return in_rows < 0.7 * len(fewer)


def _median(values: npt.NDArray[np.float32]) -> float:
    """That of NumPy takes more than ten times as long for the few lines that most groups have."""
    ordered, middle = np.sort(values), len(values) // 2
    return float(ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)


def _gap(starts: npt.NDArray[np.float32], ends: npt.NDArray[np.float32], *, least: float) -> float | None:
    """The middle of the widest gap of at least `least` in the projection of intervals; None without one."""
    order = np.argsort(starts)
    reach = np.maximum.accumulate(ends[order])[:-1]
    widths = starts[order][1:] - reach
    if not len(widths):
        return None
    widest = int(np.argmax(widths))
    return float(reach[widest] + widths[widest] / 2) if widths[widest] >= least else None


def _by_rows(boxes: Boxes, group: npt.NDArray[np.intp]) -> list[int]:
    """Top to bottom, and within a row from left to right."""
    order = group[np.argsort(boxes[group, 1], kind="stable")].tolist()
    rows: list[list[int]] = []
    for line in order:
        if rows and same_row(boxes[rows[-1][0]], boxes[line]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda each: float(boxes[each, 0]))]


def _block_begins(boxes: Boxes, lines: list[int]) -> list[bool]:
    """A block begins where the distance to the line before is larger than usual, or the line is elsewhere."""
    begins = [True] * len(lines)
    if len(lines) < 2:
        return begins
    ordered = boxes[lines]
    pitch = ordered[1:, 1] - ordered[:-1, 1]
    heights = ordered[:, 3] - ordered[:, 1]
    down = pitch[(pitch > 0.5 * heights[1:]) & (pitch < 3 * heights[1:])]
    usual = _median(down) if len(down) else 0.0
    for index in range(1, len(lines)):
        before, after = ordered[index - 1], ordered[index]
        step, height = float(pitch[index - 1]), float(min(heights[index - 1], heights[index]))
        is_beside = same_row(before, after)
        shares = min(before[2], after[2]) - max(before[0], after[0]) > 0
        is_same_size = 0.75 < heights[index] / max(heights[index - 1], 0.1) < 1.33
        begins[index] = not is_beside and not (0 < step <= max(1.25 * usual, 1.1 * height) and shares and is_same_size)
    return begins
