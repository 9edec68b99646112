"""The ruled lines of a page picture: where they run, and the picture without them.

Tesseract takes the lines of a table for brackets and bars, and a word that touches one for another word. All work is
linear in the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from headrace_documents.readers.ink import Pixels, darkness_of, faintness_of, paper_of

Boxes = npt.NDArray[np.float32]

LONG_INCH = 0.5
"""A ruled line is longer than any stroke of a letter that is as thin."""
SHORT_INCH = 0.12
"""Shorter ones are ruled lines only where both of their ends meet others: the sides of a table's cells."""
THICKEST_INCH = 0.05
MEETING_INCH = 0.02
BOX_INCH = 0.06
SLOPE = 0.02
"""How far a line may rise or bow, as a share of its length."""
SOLID_SHARE = 0.93
"""Of a line's length, what is ink: the feet of letters that stand side by side leave more gaps."""
BESIDE_SHARE = 0.45
MOST_LINES = 2_000


@dataclass(frozen=True, slots=True)
class Rulings:
    """Ruled lines as boxes `(n, 4)` in pixels: those that run `across` the page, and those that run `down`."""

    across: Boxes
    down: Boxes


def unruled(picture: Image.Image, *, dpi: float) -> tuple[Image.Image, Rulings]:
    """The grey `picture` without the ruled lines of its tables and boxes, and where lines are.

    A line that meets no other is left in: Tesseract knows such, and sees by them what parts columns.
    """
    dark, ink = faintness_of(picture), darkness_of(picture)
    across = _candidates(dark, ink, dpi)
    down = _candidates(np.ascontiguousarray(dark.T), np.ascontiguousarray(ink.T), dpi)
    level, upright = np.array(across.is_long, dtype=bool), np.array(down.is_long, dtype=bool)
    levels = np.array(across.boxes, dtype=np.float32).reshape(-1, 4)
    uprights = np.array(down.boxes, dtype=np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    reach = max(2.0, MEETING_INCH * dpi)
    # The sides of small cells meet long lines; what is then known vouches for the tops of narrow ones.
    for _ in range(2):
        upright |= _meets_twice(uprights, levels[level], reach, axis=1)
        level |= _meets_twice(levels, uprights[upright], reach, axis=0)
    rulings = Rulings(across=levels[level], down=uprights[upright])
    beside = BOX_INCH * dpi
    level &= _touches(levels, rulings.down, beside)
    upright &= _touches(uprights, rulings.across, beside)
    if not level.any() and not upright.any():
        return picture, rulings
    # The grey rim that sampling leaves around a line is part of it.
    drawn = (across.drawn(level) | down.drawn(upright).T) & dark
    erased = ndimage.binary_dilation(drawn, iterations=max(1, round(dpi / 200)))
    clean = np.array(picture)
    clean[erased] = paper_of(picture)
    return Image.fromarray(clean), rulings


@dataclass(slots=True)
class _Candidates:
    """Thin runs of ink along rows: each pixel's number, each number's box, and which are known to be lines."""

    labels: npt.NDArray[np.int32]
    numbers: list[int] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    is_long: list[bool] = field(default_factory=list)

    def drawn(self, is_line: npt.NDArray[np.bool_]) -> Pixels:
        """The pixels of those that are lines."""
        kept = np.zeros(int(self.labels.max(initial=0)) + 1, dtype=bool)
        kept[np.array(self.numbers, dtype=np.intp)[is_line]] = True
        return kept[self.labels]


def _candidates(dark: Pixels, ink: Pixels, dpi: float) -> _Candidates:
    thickest = max(3.0, THICKEST_INCH * dpi)
    runs = _long_runs(dark, round(SHORT_INCH * dpi), max(1, round(dpi / 100)))
    labels, count = ndimage.label(runs, structure=np.ones((3, 3), dtype=bool))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    found = _Candidates(labels)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        length, height = columns.stop - columns.start, rows.stop - rows.start
        is_thin = areas[number] <= thickest * length and height <= thickest + SLOPE * length
        own = labels[rows, columns] == number
        if is_thin and _share(dark[rows, columns] & own) >= SOLID_SHARE and len(found.numbers) < MOST_LINES:
            found.numbers.append(number)
            found.boxes.append((columns.start, rows.start, columns.stop, rows.stop))
            shade = _share(ink[rows, columns] & own)
            is_even = shade >= SOLID_SHARE or shade <= 1 - SOLID_SHARE
            found.is_long.append(length >= LONG_INCH * dpi and is_even and _is_apart(dark, rows, columns))
    return found


def _share(line: Pixels) -> float:
    """How much of the length of a line along rows has any pixel."""
    return float(line.any(axis=0).mean())


def _is_apart(dark: Pixels, rows: slice, columns: slice) -> bool:
    """Whether there is a row close by on either side that is mostly paper: letters have stems there."""
    sides = dark[max(0, rows.start - 3) : rows.start, columns], dark[rows.stop : rows.stop + 3, columns]
    return all(not len(side) or float(side.mean(axis=1).min()) <= BESIDE_SHARE for side in sides)


def _touches(boxes: Boxes, lines: Boxes, reach: float) -> Pixels:
    """Which of `boxes` are within `reach` of any of `lines`."""
    starts, ends = boxes[:, None, :2] - reach, boxes[:, None, 2:] + reach
    is_near = (starts <= lines[None, :, 2:]) & (ends >= lines[None, :, :2])
    touching: Pixels = np.any(is_near[..., 0] & is_near[..., 1], axis=1)
    return touching


def _meets_twice(boxes: Boxes, lines: Boxes, reach: float, *, axis: int) -> Pixels:
    """Which `boxes`, that run along `axis` (0 is x), touch one of `lines` at either end; those run the other way."""
    meets = np.ones(len(boxes), dtype=bool)
    middles = (boxes[:, 1 - axis] + boxes[:, 3 - axis]) / 2
    for ends in (boxes[:, axis], boxes[:, 2 + axis]):
        is_near = (ends[:, None] >= lines[None, :, axis] - reach) & (ends[:, None] <= lines[None, :, 2 + axis] + reach)
        is_level = (middles[:, None] >= lines[None, :, 1 - axis] - reach) & (
            middles[:, None] <= lines[None, :, 3 - axis] + reach
        )
        meets &= (is_near & is_level).any(axis=1)
    return meets


def _long_runs(dark: Pixels, least: int, gap: int) -> Pixels:
    """Runs of ink along rows that are at least `least` long, across gaps of at most `gap`."""
    height, width = dark.shape
    changes = np.zeros((height, width + 1), dtype=np.int8)
    changes[:, :-1] = dark
    changes[:, 1:] -= dark
    flat = changes.ravel()
    starts, ends = np.flatnonzero(flat == 1), np.flatnonzero(flat == -1)
    if not len(starts):
        return np.zeros_like(dark)
    is_apart = (starts[1:] - ends[:-1] > gap) | (starts[1:] // (width + 1) != starts[:-1] // (width + 1))
    firsts = starts[np.concatenate(([True], is_apart))]
    lasts = ends[np.concatenate((is_apart, [True]))]
    is_long = lasts - firsts >= least
    steps = np.zeros(flat.shape, dtype=np.int8)
    steps[firsts[is_long]] = 1
    steps[lasts[is_long]] -= 1
    return np.cumsum(steps, dtype=np.int8).reshape(height, width + 1)[:, :width].astype(bool)
