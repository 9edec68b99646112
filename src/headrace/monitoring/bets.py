"""Bets on what a change looks like: how much more often than before values of each rank come.

Each bet is a density on [0, 1], where 0 is the highest rank and 1 the lowest; together they look for what happens in
practice: a shift, a spread, a few outliers or a new category, and a share that grows.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Odds = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
CELLS = 16_384

_SHIFTS = ((0.25, 0.04), (0.5, 0.56), (1.0, 0.12), (2.0, 0.02))
"""Sizes in deviations, each with its part of the capital, which is for both ways."""
_SPREADS = (0.6, 1.7)
_TAILS = ((0.0003, 0.04), (0.003, 0.05), (0.02, 0.1), (0.05, 0.2))
"""Widths of an end of the range, and how much more often than ever such values come."""
_SLICES = 8
_SLICE_RATIO = 2.0
_PARTS = {"spreads": 0.03, "tails": 0.20, "slices": 0.03}


def _table() -> tuple[Floats, Floats]:
    """The bets' distribution functions, (CELLS + 1, bets), and the share of the capital that each begins with."""
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
    below = np.cumsum(table / table.mean(axis=0), axis=0) / CELLS
    return np.vstack([np.zeros(len(shares)), below]), np.array(shares)


_BELOW, SHARES = _table()
TERMS = repr((CELLS, _SHIFTS, _SPREADS, _TAILS, _SLICES, _SLICE_RATIO, _PARTS))
"""All that says which bets there are and how the capital is divided among them."""


def odds(reference: Ints) -> Odds:
    """By bin and bet, (bins, bets), how much more often than in `reference` a bet expects values of a bin.

    `reference`, (bins,), is how often each bin came; bins are in order, the last one is the highest.
    """
    weights = (reference + 0.5) / (reference + 0.5).sum()
    ends = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    cells = np.minimum((ends * CELLS).astype(np.int64), CELLS - 1)
    below = _BELOW[cells] + (ends * CELLS - cells)[:, None] * (_BELOW[cells + 1] - _BELOW[cells])
    found = (below[:-1] - below[1:]) / weights[:, None]
    # Half the memory, which every stream needs: a bet stays fair whatever it pays, for that is held against its mean.
    halved: Odds = found.astype(np.float32)
    return halved
