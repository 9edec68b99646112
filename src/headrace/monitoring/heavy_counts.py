"""Categories in bounded memory: exact while there are few, the heavy ones kept when there are many.

What is too many goes by Space-Saving (Metwally, Agrawal and El Abbadi, ICDT 2005) in the mergeable form of Agarwal and
others ("Mergeable summaries", PODS 2012): the lightest give their counts to `others`, so totals stay exact and each
count that is kept is short by at most what `lost` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

MOST = 64
OTHERS = "(others)"
LONGEST = 120


class HeavyCounts(msgspec.Struct):
    """Counts by name; those of names that were dropped stand in `others`, of which `lost` bounds each one."""

    counts: dict[str, int] = {}
    others: int = 0
    lost: int = 0

    def add(self, name: str, times: int = 1) -> None:
        """Counts a name; a long one is cut."""
        name = name[:LONGEST]
        self.counts[name] = self.counts.get(name, 0) + times
        if len(self.counts) > 2 * MOST:
            self._drop()

    def add_all(self, names: Iterable[str]) -> None:
        """Counts names that are short enough."""
        for name, times in Counter(names).items():
            self.add(name, times)

    def take_back(self, name: str) -> None:
        """Counts a name that was counted once less; where it was dropped since, it is among the others."""
        name = name[:LONGEST]
        times = self.counts.get(name, 0)
        if times > 1:
            self.counts[name] = times - 1
        elif times:
            del self.counts[name]
        else:
            self.others = max(0, self.others - 1)

    def merge(self, other: HeavyCounts) -> None:
        """Takes in all that `other` has counted."""
        for name, times in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + times
        self.others += other.others
        self.lost += other.lost
        if len(self.counts) > 2 * MOST:
            self._drop()

    @property
    def total(self) -> int:
        """All that was counted."""
        return sum(self.counts.values()) + self.others

    def shares(self) -> Mapping[str, float]:
        """The share of each name, and of the others together; heaviest first."""
        total = self.total
        if not total:
            return {}
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        shares = {name: times / total for name, times in ranked}
        return shares | {OTHERS: self.others / total} if self.others else shares

    def _drop(self) -> None:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        for name, times in ranked[MOST:]:
            del self.counts[name]
            self.others += times
        self.lost = max(self.lost, ranked[MOST][1])


def weighed(weights: Mapping[str, float]) -> list[tuple[str, float]]:
    """Weights ready to be added to many sums: names are cut, and a weight that is not finite is left out."""
    return [(term[:LONGEST], weight) for term, weight in weights.items() if -1e300 < weight < 1e300]


class HeavySums(msgspec.Struct):
    """Sums of weights by term, heaviest by size kept; what others weighed stands in `others`, so sums stay exact."""

    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    others: float = 0.0

    def add(self, weights: Collection[tuple[str, float]]) -> None:
        """Adds the weights of some terms, as `weighed` gives them."""
        sums, counts = self.sums, self.counts
        for term, weight in weights:
            sums[term] = sums.get(term, 0.0) + weight
        for term, times in Counter([term for term, _ in weights]).items():
            counts[term] = counts.get(term, 0) + times
        if len(sums) > 8 * MOST:
            self._drop()

    def merge(self, other: HeavySums) -> None:
        """Takes in all that `other` has seen."""
        for term, weight in other.sums.items():
            self.sums[term] = self.sums.get(term, 0.0) + weight
            self.counts[term] = self.counts.get(term, 0) + other.counts[term]
        self.others += other.others
        if len(self.sums) > 8 * MOST:
            self._drop()

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return sum(self.sums.values()) + self.others

    def _drop(self) -> None:
        ranked = sorted(self.sums, key=lambda term: (-abs(self.sums[term]), term))
        for term in ranked[4 * MOST :]:
            self.others += self.sums.pop(term)
            del self.counts[term]
