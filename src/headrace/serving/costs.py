"""Costs: how long calls take, as a function of how many questions share them and how long these are; learned."""

from __future__ import annotations

from math import log2

from headrace.serving.service_time import ServiceTime

STEPS_A_DOUBLING = 2
TRUSTED_AFTER = 3
WORTHWHILE, SURE = 0.95, 1.5
"""Company has to be cheaper by so much, and by so many standard errors of both: all who share a call wait for all."""

LOOK_AGAIN_EVERY = 128


def bucket_of(size: int) -> int:
    """The bucket of questions of like length: in one bucket none is longer than 1.42 times another."""
    return 0 if size < 1 else 1 + int(STEPS_A_DOUBLING * log2(size))


class Costs:
    """What calls of one method took, by bucket and by count; from several threads, for a lost update harms nothing.

    Counts are learned in levels 1, 2, 4, 8 and so on. Company is tried a doubling at a time while each doubling makes
    a question cheaper, and a level is looked at again now and then, for machines and models change.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}

    def learn(self, bucket: int, count: int, seconds: float) -> None:
        """Notes that a call with `count` questions took `seconds`."""
        known = self._buckets.get(bucket)
        if known is None:
            known = self._buckets[bucket] = _Bucket()
        level = count.bit_length() - 1
        while len(known.levels) <= level:
            known.levels.append(ServiceTime())
        known.levels[level].learn(seconds / count)
        known.recent.learn(seconds / count)

    def best_count(self, bucket: int, most: int) -> int:
        """How many of `most` questions that wait are best answered by one call: 1 where company does not pay."""
        if most < 2:
            return most
        known = self._buckets.get(bucket)
        if known is None:
            return 1
        return min(most, 1 << known.best_level(most.bit_length() - 1)) if not known.wants_all(most) else most

    def recent(self, bucket: int) -> ServiceTime | None:
        """The seconds of a question in the company that it lately had; None while too little is known."""
        known = self._buckets.get(bucket)
        return None if known is None or known.recent.count < TRUSTED_AFTER else known.recent


class _Bucket:
    """The seconds a question of each level, and which level is cheapest."""

    __slots__ = ("_choices", "levels", "recent")

    def __init__(self) -> None:
        self.levels: list[ServiceTime] = []
        self.recent = ServiceTime()
        self._choices = 0

    def wants_all(self, most: int) -> bool:
        """Whether the cheapest level is the highest that `most` questions reach: then none is left out."""
        return self._cheapest() >= most.bit_length() - 1 > 0

    def best_level(self, highest: int) -> int:
        """The cheapest level up to `highest`, or the one that is worth a look."""
        self._choices += 1
        best = min(self._cheapest(), highest)
        if best < highest and self._is_worth_a_look(best):
            return best + 1
        return best

    def _cheapest(self) -> int:
        """The lowest level that no higher one beats for sure by enough to be worth the longer wait."""
        best, best_s, doubt_s = 0, float("inf"), 0.0
        for level, time in enumerate(self.levels):
            if not time.count:
                continue
            if level == 0 or time.typical_s + SURE * (time.doubt_s + doubt_s) < WORTHWHILE * best_s:
                best, best_s, doubt_s = level, time.typical_s, time.doubt_s
        return best

    def _is_worth_a_look(self, best: int) -> bool:
        """Whether the next doubling is not known well enough, or was looked at long ago."""
        following = self.levels[best + 1].count if best + 1 < len(self.levels) else 0
        return following < TRUSTED_AFTER or self._choices % LOOK_AGAIN_EVERY == 0
