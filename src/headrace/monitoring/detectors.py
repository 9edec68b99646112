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

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from headrace.monitoring.bets import SHARES, Floats, stakes

Ints = npt.NDArray[np.int64]

HEAD_START = 100
"""Decisions within which a change is as likely as in any later tenfold."""

_CAP = 1e200
_ROWS = 40
"""Rows that are worked out in one go: no bet can leave the range of floats within them."""


def unspent(moments: Ints) -> Floats:
    """The share of the capital that has not begun to bet after so many decisions: 1 at 0, falling to 0."""
    log_start = np.log(HEAD_START)
    share: Floats = log_start / np.log(moments + HEAD_START)
    return share


class ConformalRanks:
    """Ranks each new value among all before it; `streams` side by side, each a count of every bin."""

    def __init__(self, streams: int, bins: int) -> None:
        self.counts: Ints = np.zeros((streams, bins), np.int64)

    def absorb(self, counts: Ints) -> None:
        """Takes in `(streams, bins)` that are known to be normal; nothing is tested."""
        self.counts += counts

    def next(self, bins: Ints, ties: Floats) -> Floats:
        """The p-values, (streams,), of one value in each stream; small is high among the values so far.

        `ties` are uniform in [0, 1) and independent of everything else.
        """
        here = np.arange(len(bins))
        equal = self.counts[here, bins]
        above = np.where(np.arange(self.counts.shape[1]) > bins[:, None], self.counts, 0).sum(axis=1)
        total = self.counts.sum(axis=1)
        self.counts[here, bins] += 1
        p: Floats = (above + ties * (equal + 1)) / (total + 1)
        return p

    def next_rows(self, stream: int, bins: Ints, ties: Floats) -> Floats:
        """The same for `(rows,)` values of one stream, one after the other."""
        counts = self.counts[stream]
        once = np.zeros((len(bins), len(counts)), np.int64)
        once[np.arange(len(bins)), bins] = 1
        before = counts + np.cumsum(once, axis=0) - once
        rows = np.arange(len(bins))
        equal = before[rows, bins]
        upto = np.cumsum(before, axis=1)
        above = upto[:, -1] - upto[rows, bins]
        self.counts[stream] = counts + once.sum(axis=0)
        p: Floats = (above + ties * (equal + 1)) / (upto[:, -1] + 1)
        return p


class Wagers:
    """The capital of `streams` tests, which begins at 1 each and grows only when the p-values are not uniform."""

    def __init__(self, streams: int) -> None:
        self.betting: Floats = np.zeros((streams, len(SHARES)))
        self.steps: Ints = np.zeros(streams, np.int64)

    def next(self, p: Floats) -> Floats:
        """The capital of each stream, (streams,), after one p-value in each."""
        begun = unspent(self.steps) - unspent(self.steps + 1)
        self.betting = np.minimum((self.betting + begun[:, None]) * stakes(p), _CAP)
        self.steps += 1
        return self.capital()

    def next_rows(self, stream: int, p: Floats) -> Floats:
        """The capital of one stream after each of `(rows,)` p-values."""
        capital = [self._some_rows(stream, p[start : start + _ROWS]) for start in range(0, len(p), _ROWS)]
        return np.concatenate(capital) if capital else np.empty(0)

    def _some_rows(self, stream: int, p: Floats) -> Floats:
        """In one go: after row t a bet has grown by F(t), so it holds F(t) * (before + sum of begun(j) / F(j-1))."""
        left = unspent(self.steps[stream] + np.arange(len(p) + 1))
        grown = np.cumprod(stakes(p), axis=0)
        begun = (left[:-1] - left[1:])[:, None] / np.vstack([np.ones_like(SHARES), grown[:-1]])
        betting = np.minimum(grown * (self.betting[stream] + np.cumsum(begun, axis=0)), _CAP)
        self.betting[stream] = betting[-1]
        self.steps[stream] += len(p)
        capital: Floats = betting @ SHARES + left[1:]
        return capital

    def capital(self) -> Floats:
        """What each stream has now, (streams,)."""
        now: Floats = self.betting @ SHARES + unspent(self.steps)
        return now

    def restart(self, stream: int) -> None:
        """Begins that test anew, with a promise of its own for the run from here on."""
        self.betting[stream] = 0.0
        self.steps[stream] = 0


class Budget:
    """How alpha is divided among streams that turn up over time, so that all together keep it.

    The k-th to turn up gets a share in proportion to 1 / k, up to `most` of them; later ones get nothing. The first
    streams, which are those of all traffic, thereby get the most.
    """

    def __init__(self, alpha: float, *, most: int) -> None:
        self._first = alpha / float(np.sum(1.0 / np.arange(1, most + 1)))
        self._most = most
        self._ranks: dict[Hashable, int] = {}

    def of(self, stream: Hashable) -> float:
        """The alpha of one stream; asked again it is the same."""
        rank = self._ranks.setdefault(stream, len(self._ranks) + 1)
        return self._first / rank if rank <= self._most else 0.0
