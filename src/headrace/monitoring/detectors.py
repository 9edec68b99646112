"""Is it different now? Tests that may be looked at after every decision and still keep their word.

A stream is one feature of one segment, as bins. Each new decision is ranked among all before it, with ties broken at
random. As long as nothing changes (the decisions are exchangeable) these ranks are independent and every one as likely,
whatever the distribution (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2nd edition 2022,
theorem 8.2), so what is bet on the next one may depend on all before it. Capital that bets so is a test martingale; by
Ville's inequality it ever reaches `1 / alpha` with probability at most alpha, over the whole run and not just by a
certain date.

The change comes at an unknown moment, so the capital is spread over all moments at which betting may begin, as in the
mixture of restarts that Shin, Ramdas and Rinaldo ("E-detectors", 2022, arXiv 2203.03532) take for detectors; here the
weights of the moments add up to 1, so that the mixture stays a test martingale. It is Shiryaev's mixture with a prior
that falls off as a power: a change after n decisions costs about 1.4 log n in evidence.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b

import numpy as np

from headrace.monitoring.bets import SHARES, TERMS, Floats, Ints, odds

HEAD_START = 2_000
"""Decisions within which a change is as likely as from there to 8,000, or from there to 46,000."""
_FALLS = 0.4
"""How fast the capital that does not bet yet runs out. What lies idle finds nothing; falling as a logarithm does, most
would in all of the first 100,000 decisions, and only after a million would changes be found sooner."""

IN_HAND = 0.01
"""What of every bet is held back, so that no value can ruin it."""
_MOST_PAID = 400.0
_FIRST_MILESTONE = 256
_CAP = 1e100
_ROWS = 60
"""Rows that are worked out in one go: no bet can leave the range of floats within them."""
LATE = 0.1
"""The part of alpha that is kept for streams that turn up after the first test has begun."""
BETTING = blake2b(repr((TERMS, HEAD_START, _FALLS, IN_HAND, _MOST_PAID)).encode(), digest_size=8).hexdigest()
"""Names the bets and the moments at which they begin: what was bet by others cannot go on by these."""


def unspent(moments: Ints) -> Floats:
    """The share of the capital that has not begun to bet after so many decisions: 1 at 0, falling to 0."""
    share: Floats = (1 + moments / HEAD_START) ** -_FALLS
    return share


class ConformalBets:
    """What the bets pay for each new value by its rank among all before it.

    Were the values so far in a row, ties in an order drawn at random, then a new one would be as likely to fall into
    any of the n + 1 gaps, as long as nothing changes. So a bet may pay whatever it likes for each gap, as long as the
    mean of that over all gaps is 1. Here it pays by the bin of the value below the gap, in proportion to how much more
    often than in a reference it expects values of that bin. The reference is what had come when there was a quarter
    of what there is now: one that goes along would soon hold as much of the new as of the old.
    """

    def __init__(self, learned: Ints) -> None:
        self.counts: Ints = np.zeros_like(learned)
        self.learned = learned
        self.milestones: list[Ints] = []
        self._odds = odds(learned)

    def next(self, bins: Ints, ties: Floats) -> Floats:
        """What each bet pays, (rows, bets), for `(rows,)` values one after the other.

        `ties`, (rows,), are uniform in [0, 1) and independent of everything else.
        """
        self._look_back()
        rows = np.arange(len(bins))
        once = np.zeros((len(bins), len(self.counts)), np.int64)
        once[rows, bins] = 1
        before = self.counts + np.cumsum(once, axis=0) - once
        self.counts = self.counts + once.sum(axis=0)
        gaps = before.astype(np.float64)
        gaps[:, -1] += 1
        mean = (gaps @ self._odds) / gaps.sum(axis=1)[:, None]
        paid: Floats = self._odds[_landed(before, bins, ties)] / mean
        return np.minimum(IN_HAND + (1 - IN_HAND) * paid, _MOST_PAID)

    def resume(self, counts: Sequence[int], milestones: Sequence[Sequence[int]]) -> None:
        """Goes on from what was stored."""
        self.counts = np.array(counts, np.int64)
        self.milestones = [np.array(each, np.int64) for each in milestones]
        self._refer()

    def _look_back(self) -> None:
        """Notes what has come by every doubling, and takes for reference what had come at a quarter of now."""
        latest = int(self.milestones[-1].sum()) if self.milestones else _FIRST_MILESTONE // 2
        if self.counts.sum() >= 2 * latest:
            self.milestones = [*self.milestones[-2:], self.counts]
            self._refer()

    def _refer(self) -> None:
        old = [each for each in self.milestones if 4 * each.sum() <= self.counts.sum()]
        self._odds = odds(self.learned + old[-1] if old else self.learned)


def _landed(before: Ints, bins: Ints, ties: Floats) -> Ints:
    """The bins that pay, (rows,): a value's own, or that of the next above when it falls above all of its own.

    The highest gap of all belongs to the last bin, which has that one more than values.
    """
    rows, last = np.arange(len(bins)), before.shape[1] - 1
    is_above = (ties * (before[rows, bins] + 1) < 1) & (bins < last)
    held = before > 0
    held[:, last] = True
    above = (held & (np.arange(last + 1) > bins[:, None])).argmax(axis=1)
    return np.where(is_above, above, bins)


class Wagers:
    """The capital of one test, which begins at 1 and grows only when bets pay more than they should."""

    def __init__(self) -> None:
        self.betting: Floats = np.zeros(len(SHARES))
        self.steps = 0

    def next(self, paid: Floats) -> Floats:
        """The capital, (rows,), after each of `(rows, bets)` that bets have paid."""
        capital = [self._some_rows(paid[start : start + _ROWS]) for start in range(0, len(paid), _ROWS)]
        return np.concatenate(capital) if capital else np.empty(0)

    def _some_rows(self, paid: Floats) -> Floats:
        """In one go: after row t a bet has grown by F(t), so it holds F(t) * (before + sum of begun(j) / F(j-1))."""
        left = unspent(self.steps + np.arange(len(paid) + 1))
        grown = np.cumprod(paid, axis=0)
        begun = (left[:-1] - left[1:])[:, None] / np.vstack([np.ones_like(SHARES), grown[:-1]])
        betting = np.minimum(grown * (self.betting + np.cumsum(begun, axis=0)), _CAP)
        # A copy: the row alone would keep the whole table in memory, for every stream.
        self.betting = betting[-1].copy()
        self.steps += len(paid)
        capital: Floats = betting @ SHARES + left[1:]
        return capital

    def capital(self) -> float:
        """What it has now."""
        return float(self.betting @ SHARES + unspent(np.array(self.steps)))

    def resume(self, betting: Sequence[float], steps: int) -> None:
        """Goes on from what was stored, by the bets that `BETTING` names."""
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
