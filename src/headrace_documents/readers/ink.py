"""Ink and paper of a page picture: which pixels are ink, by how much lines stand askew, how tall letters are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.bool_]

MOST_SKEW, FARTHEST_SKEW = 4.0, 20.0
"""Degrees; scanners and cameras held by hand are rarely further off than the one. Up to the other is looked for where
lines are found nowhere else."""
LEAST_SKEW = 0.1
SKEW_STEPS = (0.25, 0.05)
FARTHER_STEP = 0.5
DISTINCT, FARTHER = 3.0, 2.0
"""How much sharper lines are at their angle than at the usual one, and than at any that is nearer to level."""
SAMPLED_PIXELS = 150_000
FAINT_SHARE = 0.12
"""A line may be as faint as this share of the way from paper to ink."""
FEWEST_LETTERS = 20
MOSTLY = 0.6
"""The share of dark pixels in the middle of a picture from which on it is light on dark."""
PATCHES, LIGHT = 40, 85
"""Patches across the shorter side of a picture, and the percentile of their pixels that is paper."""
UNEVEN, MOST_GAIN = 0.8, 3.0
"""Paper whose darkest patches are below this share of its lightest is made even, by this factor at most."""


def evened(picture: Image.Image) -> Image.Image:
    """The grey `picture` dark on light, and without the shadows of a camera: its paper is as light everywhere."""
    pixels = np.asarray(picture)
    down, across = pixels.shape
    middle = pixels[down // 5 : down - down // 5, across // 5 : across - across // 5]
    if middle.size and float((middle <= _threshold(_counts(picture))).mean()) > MOSTLY:
        picture, pixels = Image.fromarray(255 - pixels), 255 - pixels
    paper = _paper_at(pixels)
    lightest = float(np.percentile(paper, 95))
    if not paper.size or float(np.percentile(paper, 5)) > UNEVEN * lightest:
        return picture
    gains = Image.fromarray(np.clip(lightest / np.maximum(paper, 1.0), 1.0, MOST_GAIN).astype(np.float32), mode="F")
    gain = np.asarray(gains.resize(picture.size, Image.Resampling.BILINEAR))
    return Image.fromarray(np.minimum(pixels * gain, 255.0).astype(np.uint8))


def _paper_at(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How light the paper is in each of the patches of a picture, smoothed over those around."""
    side = max(8, min(pixels.shape) // PATCHES)
    down, across = pixels.shape[0] // side, pixels.shape[1] // side
    patches = pixels[: down * side, : across * side].reshape(down, side, across, side).transpose(0, 2, 1, 3)
    light = np.percentile(patches.reshape(down, across, side * side)[:, :, ::7], LIGHT, axis=2)
    return np.asarray(ndimage.gaussian_filter(ndimage.maximum_filter(light, size=3), sigma=1.0), dtype=np.float64)


def darkness_of(picture: Image.Image) -> Pixels:
    """Which pixels of the grey `picture` are ink, by the threshold that parts its greys best."""
    return np.asarray(picture) <= _threshold(_counts(picture))


def faintness_of(picture: Image.Image) -> Pixels:
    """Which pixels of the grey `picture` differ from paper by more than its grain does: faint lines as well as ink."""
    counts = _counts(picture)
    threshold = _threshold(counts)
    paper = _median(counts, threshold + 1, 256)
    ink = _median(counts, 0, threshold + 1)
    distances = np.abs(np.arange(256) - paper)
    grain = _median(
        np.bincount(distances[threshold + 1 :], weights=counts[threshold + 1 :], minlength=256).astype(np.float64),
        0,
        256,
    )
    return np.asarray(picture) < paper - max(FAINT_SHARE * (paper - ink), 5.0 * grain)


def paper_of(picture: Image.Image) -> int:
    """The usual grey of the paper."""
    counts = _counts(picture)
    return _median(counts, _threshold(counts) + 1, 256)


def skew_of(picture: Image.Image) -> float:
    """By how many degrees lines of the grey `picture` fall towards the right; 0 when that is too little to matter.

    The angle under which rows are the most unlike one another, by the squared steps of their sums (Postl 1986).
    """
    factor = max(1, min(picture.size) // 800)
    rows, columns = np.nonzero(darkness_of(picture.reduce(factor)))
    if len(rows) < 100:
        return 0.0
    chosen = slice(None, None, -(-len(rows) // SAMPLED_PIXELS))
    y, x = rows[chosen].astype(np.float32), columns[chosen].astype(np.float32)

    def sharpness(degrees: float) -> float:
        levels = (y - np.float32(np.tan(np.radians(degrees))) * x).astype(np.int32)
        sums = np.bincount(levels - levels.min()).astype(np.float64)
        return float(np.square(np.diff(sums)).sum())

    near = {float(angle): sharpness(angle) for angle in np.arange(-MOST_SKEW, MOST_SKEW + 0.01, SKEW_STEPS[0])}
    best, reach = max(near, key=lambda angle: near[angle]), SKEW_STEPS[0]
    if near[best] < DISTINCT * float(np.median(list(near.values()))):
        beyond = np.arange(MOST_SKEW + FARTHER_STEP, FARTHEST_SKEW + 0.01, FARTHER_STEP)
        far = float(max([*-beyond, *beyond], key=sharpness))
        best, reach = (far, FARTHER_STEP) if sharpness(far) > FARTHER * near[best] else (best, reach)
    for step in SKEW_STEPS[0 if abs(best) > MOST_SKEW else 1 :]:
        angles = best + np.arange(-reach, reach + step / 2, step)
        best = float(max(angles, key=sharpness))
        reach = step
    is_worth_it = abs(best) >= LEAST_SKEW and sharpness(best) > 1.05 * sharpness(0.0)
    return best if is_worth_it else 0.0


def letter_height_of(picture: Image.Image) -> float | None:
    """The usual height in pixels of what is drawn in one piece, most of which are small letters; None without text."""
    heights = letter_heights(picture)
    return float(np.median(heights)) if len(heights) >= FEWEST_LETTERS else None


def letter_heights(picture: Image.Image) -> list[int]:
    """The heights in pixels of all that is drawn in one piece and may be a letter by its size."""
    labels, _ = ndimage.label(darkness_of(picture))
    sizes = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in ndimage.find_objects(labels)]
    return [height for height, width in sizes if height >= 4 and height < 100 and width < 4 * height]


def _counts(picture: Image.Image) -> npt.NDArray[np.float64]:
    return np.array(picture.histogram(), dtype=np.float64)


def _threshold(counts: npt.NDArray[np.float64]) -> int:
    """The darkest grey of paper less one (Otsu 1979)."""
    below = np.cumsum(counts)
    weighted = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.square(weighted[-1] * below / below[-1] - weighted) / (below * above)
    return int(np.argmax(np.nan_to_num(between, posinf=0.0)))


def _median(counts: npt.NDArray[np.float64], first: int, last: int) -> int:
    within = np.cumsum(counts[first:last])
    return first + int(np.searchsorted(within, within[-1] / 2)) if len(within) and within[-1] else first
