"""Is it different now? Tests that may be looked at after every decision and still keep their word.

A stream is one feature of one segment, as bins. Each new decision is ranked among all before it: its conformal p-value,
with ties broken at random. As long as nothing changes (the decisions are exchangeable) these are independent and
uniform, whatever the distribution (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2nd edition
2022, theorem 8.2). Capital that bets against that is a test martingale; by Ville's inequality it ever reaches
`1 / alpha` with probability at most alpha, over the whole run and not just by a certain date.

The change comes at an unknown moment, so the capital is spread over all moments at which betting may begin, as in the
mixture of restarts that Shin, Ramdas and Rinaldo ("E-detectors", 2022, arXiv 2203.03532) take for detectors; here the
weights of the moments add up to 1, so that the mixture stays a test martingale. It is Shiryaev's mixture with a
log-uniform prior: a change after n decisions costs about log n + 2 log log n in evidence.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from headrace.monitoring.bets import SHARES, Floats, stakes

Ints = npt.NDArray[np.int64]

HEAD_START = 1000
"""Decisions within which a change is as likely as in any later tenfold or so."""

_CAP = 1e100
_ROWS = 60
"""Rows that are worked out in one go: no bet can leave the range of floats within them."""
LATE = 0.2
"""The part of alpha that is kept for streams that turn up after the first test has begun."""


def unspent(moments: Ints) -> Floats:
    """The share of the capital that has not begun to bet after so many decisions: 1 at 0, falling to 0."""
    share: Floats = np.log(HEAD_START) / np.log(moments + HEAD_START)
    return share


class ConformalRanks:
    """Ranks each new value among all before it; `counts`, (bins,), is how often each bin has come."""

    def __init__(self, bins: int) -> None:
        self.counts: Ints = np.zeros(bins, np.int64)

    def next(self, bins: Ints, ties: Floats) -> Floats:
        """The p-values of `(rows,)` values, one after the other; small is high among the values so far.

        `ties`, (rows,), are uniform in [0, 1) and independent of everything else.
        """
        rows = np.arange(len(bins))
        once = np.zeros((len(bins), len(self.counts)), np.int64)
        once[rows, bins] = 1
        before = self.counts + np.cumsum(once, axis=0) - once
        upto = np.cumsum(before, axis=1)
        equal, above = before[rows, bins], upto[:, -1] - upto[rows, bins]
        self.counts = self.counts + once.sum(axis=0)
        p: Floats = (above + ties * (equal + 1)) / (upto[:, -1] + 1)
        return p


class Wagers:
    """The capital of one test, which begins at 1 and grows only when the p-values are not uniform."""

    def __init__(self) -> None:
        self.betting: Floats = np.zeros(len(SHARES))
        self.steps = 0

    def next(self, p: Floats) -> Floats:
        """The capital after each of `(rows,)` p-values."""
        capital = [self._some_rows(p[start : start + _ROWS]) for start in range(0, len(p), _ROWS)]
        return np.concatenate(capital) if capital else np.empty(0)

    def _some_rows(self, p: Floats) -> Floats:
        """In one go: after row t a bet has grown by F(t), so it holds F(t) * (before + sum of begun(j) / F(j-1))."""
        left = unspent(self.steps + np.arange(len(p) + 1))
        grown = np.cumprod(stakes(p), axis=0)
        begun = (left[:-1] - left[1:])[:, None] / np.vstack([np.ones_like(SHARES), grown[:-1]])
        betting = np.minimum(grown * (self.betting + np.cumsum(begun, axis=0)), _CAP)
        self.betting = betting[-1]
        self.steps += len(p)
        capital: Floats = betting @ SHARES + left[1:]
        return capital

    def capital(self) -> float:
        """What it has now."""
        return float(self.betting @ SHARES + unspent(np.array(self.steps)))

    def resume(self, betting: Sequence[float], steps: int) -> None:
        """Goes on from what was stored; stored by a release that made other bets, it begins anew."""
        if len(betting) == len(SHARES):
            self.betting, self.steps = np.array(betting), steps

    def restart(self) -> None:
        """Begins the test anew, with a promise of its own for the run from here on."""
        self.betting = np.zeros(len(SHARES))
        self.steps = 0


class Budget:
    """How alpha is divided among streams, so that all together keep it.

    The founders, which are those known when the first test begins, get like parts of most of it. Of the rest the k-th
    that turns up later gets 1 / (k (k + 1)), which adds up to 1 however many come.
    """

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._founders: frozenset[Hashable] = frozenset()
        self._late: dict[Hashable, int] = {}

    def found(self, streams: Iterable[Hashable]) -> None:
        """Says who the founders are. Must not depend on anything that is tested."""
        self._founders = frozenset(streams)

    def of(self, stream: Hashable) -> float:
        """The alpha of one stream; asked again it is the same."""
        if stream in self._founders:
            return self._alpha * (1 - LATE) / len(self._founders)
        rank = self._late.setdefault(stream, len(self._late) + 1)
        return self._alpha * LATE / (rank * (rank + 1))
