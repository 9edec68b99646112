"""Exposure: which keys a rollout has counted, each once, so that a busy key does not count for many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from headrace.domain.rollout_figures import Figures, GuardFigures, Marks, Pairs, Stratum

ANSWERED_BY_CANDIDATE = 1.0
"""What is remembered of a key that the candidate has answered; its place is known, and it tells nothing new."""


class Kind(StrEnum):
    """What a count is about."""

    ARRIVALS = "arrivals"
    MARKS = "marks"
    STRATA = "strata"
    PAIRS = "pairs"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one request told the guards. `key` may be a fingerprint; `share` is the candidate's at that request.

    `bad` has the guards that could be measured. `is_late`: told after the answer, by feedback or an outcome. For a
    shadow `bad` is the candidate's, `champion_bad` what the champion gave to the same question.
    """

    key: str
    step: int
    share: float
    is_candidate: bool
    bad: Mapping[str, bool]
    champion_bad: Mapping[str, bool] | None = None
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """Where and how a decision was answered, for what is told of it later; `labels` by variant, the shadow's too.

    `told` is what was told of it last, the right label under "" and outcomes under their names: figures for people
    follow a correction, while what counts as evidence stands.
    """

    rollout_id: str
    key: str
    step: int
    share: float
    is_candidate: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str | float] = field(default_factory=dict)


class SeenAs(NamedTuple):
    """What is remembered of a key: `what` is an arrival, or a guard with one of its kinds of counts."""

    what: str
    key: str


class CountOf(NamedTuple):
    """What a row of counts is about; for `PAIRS` the share is 0."""

    kind: Kind
    guard: str
    step: int
    share: float


@dataclass(frozen=True, slots=True)
class Count:
    """A row of counts; of `PAIRS` they are: both, each badly, only the candidate badly, only the champion."""

    candidate: int = 0
    champion: int = 0
    bad_candidate: int = 0
    bad_champion: int = 0

    def plus(self, other: Count) -> Count:
        """Both together."""
        return Count(
            self.candidate + other.candidate,
            self.champion + other.champion,
            self.bad_candidate + other.bad_candidate,
            self.bad_champion + other.bad_champion,
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """What a rollout remembers: of each key the largest share at which the champion answered it, and the counts."""

    seen: Mapping[SeenAs, float] = field(default_factory=dict)
    counts: Mapping[CountOf, Count] = field(default_factory=dict)


ARRIVED = "arrived"


def wanted(observations: Iterable[Observation]) -> set[SeenAs]:
    """What has to be known of the past to count `observations`."""
    found: set[SeenAs] = set()
    for each in observations:
        found.add(SeenAs(ARRIVED, each.key))
        for guard in each.bad:
            found |= {SeenAs(f"{kind}:{guard}", each.key) for kind in ("bad", "late", "pair")}
    return found


def counted(observations: Iterable[Observation], tables: Tables) -> Tables:
    """`tables` with `observations` added, in their order; pure."""
    counting = _Counting(dict(tables.seen), dict(tables.counts))
    for each in observations:
        counting.add(each)
    return Tables(counting.seen, counting.counts)


@dataclass(slots=True)
class _Counting:
    seen: dict[SeenAs, float]
    counts: dict[CountOf, Count]

    def add(self, it: Observation) -> None:
        if it.champion_bad is not None:
            self._add_pair(it, it.champion_bad)
        elif 0 < it.share < 1:
            if not it.is_late:
                self._add_arrival(it)
            else:
                self._add_late(it)
            self._add_marks(it)

    def _add_arrival(self, it: Observation) -> None:
        """A key counts when it is new, and again when a larger share could have moved it to the candidate.

        Of a key that the champion answered at the share a, it is known that its place is not below a. At a larger
        share b the candidate gets it with the chance (b - a) / (1 - a), whatever it has met before.
        """
        name = SeenAs(ARRIVED, it.key)
        before = self.seen.get(name, 0.0)
        if it.share <= before:
            return
        self.seen[name] = ANSWERED_BY_CANDIDATE if it.is_candidate else it.share
        chance = (it.share - before) / (1 - before)
        self._count(CountOf(Kind.ARRIVALS, "", it.step, chance), it, is_bad=False)
        for guard, is_bad in it.bad.items():
            self._count(CountOf(Kind.STRATA, guard, it.step, chance), it, is_bad=is_bad)

    def _add_late(self, it: Observation) -> None:
        for guard, is_bad in it.bad.items():
            if self._is_first(SeenAs(f"late:{guard}", it.key), it.share):
                self._count(CountOf(Kind.STRATA, guard, it.step, it.share), it, is_bad=is_bad)

    def _add_marks(self, it: Observation) -> None:
        for guard, is_bad in it.bad.items():
            if is_bad and self._is_first(SeenAs(f"bad:{guard}", it.key), it.share):
                self._count(CountOf(Kind.MARKS, guard, 0, it.share), it, is_bad=False)

    def _add_pair(self, it: Observation, champion_bad: Mapping[str, bool]) -> None:
        for guard, is_bad in it.bad.items():
            if guard in champion_bad and self._is_first(SeenAs(f"pair:{guard}", it.key), it.share):
                was_bad = champion_bad[guard]
                pair = Count(1, int(is_bad and was_bad), int(is_bad and not was_bad), int(was_bad and not is_bad))
                self._plus(CountOf(Kind.PAIRS, guard, -1, 0.0), pair)

    def _is_first(self, name: SeenAs, share: float) -> bool:
        if name in self.seen:
            return False
        self.seen[name] = share
        return True

    def _count(self, what: CountOf, it: Observation, *, is_bad: bool) -> None:
        own = int(it.is_candidate)
        self._plus(what, Count(own, 1 - own, own * is_bad, (1 - own) * is_bad))

    def _plus(self, what: CountOf, count: Count) -> None:
        self.counts[what] = self.counts.get(what, Count()).plus(count)


def figures_of(tables: Tables) -> Figures:
    """The counts as the judge reads them, in a fixed order."""
    rows = sorted(tables.counts.items())
    guards = sorted({what.guard for what, _ in rows if what.guard})
    return Figures(
        guards={guard: _guard_figures(guard, rows) for guard in guards},
        arrivals=tuple(_stratum(what, count) for what, count in rows if what.kind is Kind.ARRIVALS),
    )


def _guard_figures(guard: str, rows: list[tuple[CountOf, Count]]) -> GuardFigures:
    own = [(what, count) for what, count in rows if what.guard == guard]
    pairs = [count for what, count in own if what.kind is Kind.PAIRS]
    return GuardFigures(
        marks=tuple(Marks(what.share, it.candidate, it.champion) for what, it in own if what.kind is Kind.MARKS),
        strata=tuple(_stratum(what, it) for what, it in own if what.kind is Kind.STRATA),
        pairs=_pairs(pairs[0]) if pairs else Pairs(),
    )


def _pairs(it: Count) -> Pairs:
    return Pairs(it.candidate, it.bad_candidate, it.bad_champion, it.champion)


def _stratum(what: CountOf, it: Count) -> Stratum:
    return Stratum(what.share, it.candidate, it.champion, it.bad_candidate, it.bad_champion, what.step)
