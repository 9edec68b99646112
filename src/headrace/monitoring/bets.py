"""Bets against "these numbers are uniform": what a test martingale multiplies its capital by.

Each bet is a density on [0, 1], constant on `CELLS` cells, whose mean is exactly 1: capital that is multiplied by it at
independent uniform numbers neither grows nor shrinks in expectation. Together they look for what happens in practice:
a shift, a spread, a few outliers or a new category, and a share that grows.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CELLS = 16_384

IN_HAND = 0.01
"""What of every bet is held back, so that no value can ruin it."""

_SHIFTS = ((0.25, 0.1), (0.5, 0.3), (1.0, 0.15), (2.0, 0.05))
"""Sizes in deviations, each with its part of the capital, which is for both ways."""
_SPREADS = (0.6, 1.7)
_TAILS = (
    (0.0001, 0.03),
    (0.0003, 0.03),
    (0.001, 0.03),
    (0.003, 0.05),
    (0.003, 0.15),
    (0.01, 0.1),
    (0.03, 0.1),
    (0.03, 0.3),
)
_SLICES = 8
_SLICE_RATIO = 2.0
_PARTS = {"spreads": 0.05, "tails": 0.3, "slices": 0.05}


def _table() -> tuple[Floats, Floats]:
    """The bets, (CELLS, bets), and the share of the capital that each begins with, (bets,)."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    half = np.array([NormalDist().inv_cdf(float(p)) for p in middles[: CELLS // 2]])
    scores = np.concatenate([-half, half[::-1]])
    bets: list[npt.NDArray[Any]] = []
    shares: list[float] = []
    for size, part in _SHIFTS:
        bets += [np.exp(sign * size * scores) for sign in (1.0, -1.0)]
        shares += [part / 2] * 2
    for spread in _SPREADS:
        bets.append(np.exp(scores**2 / 2 * (1 - 1 / spread**2)))
        shares.append(_PARTS["spreads"] / len(_SPREADS))
    for width, extra in _TAILS:
        for side in (middles < width, middles > 1 - width):
            bets.append(1 - extra + extra / width * side)
            shares.append(_PARTS["tails"] / (2 * len(_TAILS)))
    for part in range(_SLICES):
        inside = (middles * _SLICES).astype(int) == part
        bets.append(np.where(inside, _SLICE_RATIO, (_SLICES - _SLICE_RATIO) / (_SLICES - 1)))
        shares.append(_PARTS["slices"] / _SLICES)
    table = np.stack(bets, axis=1)
    return IN_HAND + (1 - IN_HAND) * table / table.mean(axis=0), np.array(shares)


BETS, SHARES = _table()


def stakes(p: Floats) -> Floats:
    """What each bet pays at `p`: any shape in, that shape and one more axis for the bets out."""
    paid: Floats = BETS[np.minimum((p * CELLS).astype(np.int64), CELLS - 1)]
    return paid
