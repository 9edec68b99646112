"""Business outcomes: what decisions were worth, by release, variant and segment; what another threshold would be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from headrace.domain.report import Measured, Scorecard, ScorecardRow, ThresholdWorth

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

_Z = NormalDist().inv_cdf(0.975)
_MISSED, _ROUNDING = 0.05, 1e-12
_TERMS = (
    (_Z**3 + _Z) / 4,
    (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96,
    (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / 384,
    (79 * _Z**9 + 776 * _Z**7 + 1482 * _Z**5 - 1920 * _Z**3 - 945 * _Z) / 92_160,
)


@dataclass(frozen=True, slots=True)
class OutcomeMetric:
    """A figure that the business goes by, as `[outcomes.<name>]` declares it.

    `direction`: `up` when more is better, else `down`. `worth` is what one unit is worth in `currency`, below 0 for a
    cost. Outcomes count for a decision when they come within `within_s` of it. `cost_of_a_person`: what it costs, in
    `currency`, to have a decision made by a person instead. `least` and `most`: what an outcome can be, in units.
    """

    name: str
    unit: str = ""
    direction: str = "up"
    worth: float = 1.0
    currency: str = ""
    within_s: float = 30 * 24 * 3600.0
    cost_of_a_person: float | None = None
    least: float | None = None
    most: float | None = None

    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most that an outcome can be worth."""
        ends = [None if end is None else end * self.worth for end in (self.least, self.most)]
        return (ends[0], ends[1]) if self.worth >= 0 else (ends[1], ends[0])


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens that language models read or write cost, in `currency`."""

    prompt_million: float = 0.0
    completion_million: float = 0.0
    currency: str = ""

    def of(self, prompt: int, completion: int) -> float:
        """What so many tokens cost."""
        return (prompt * self.prompt_million + completion * self.completion_million) / 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What some decisions took together: seconds of computing, and tokens that language models read and wrote."""

    compute_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Group:
    """The sums of one group of decisions: their number, what they took, and the values of their outcomes."""

    decisions: int = 0
    compute_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    outcomes: int = 0
    total: float = 0.0
    squares: float = 0.0

    def answered(self, cost: Cost, *, decisions: int = 1) -> None:
        """Counts decisions and what they took together."""
        self.decisions += decisions
        self.compute_s += cost.compute_s
        self.prompt_tokens += cost.prompt_tokens
        self.completion_tokens += cost.completion_tokens

    def turned_out(self, value: float) -> None:
        """Counts what a decision was worth."""
        self.outcomes += 1
        self.total += value
        self.squares += value * value

    def value(self, least: float | None = None, most: float | None = None, *, unit: float = 1.0) -> Measured | None:
        """The mean value of the decisions with an outcome; the interval is Student's (1908), by their spread.

        What was not seen among so many may still come, and lie as far off as `least` and `most` (Clopper and Pearson,
        1934, for what never came). Where neither is told, and all are equal, that is as far off as the value is from
        nothing, and a `unit` at least: a spread of nothing would be an interval of no width.
        """
        if not self.outcomes:
            return None
        mean = self.total / self.outcomes
        spread = self._spread()
        unseen = 1 - (_MISSED / 2) ** (1 / self.outcomes)
        below, above = spread, spread
        if least is not None:
            below = max(_or_none(spread), unseen * (mean - least))
        if most is not None:
            above = max(_or_none(spread), unseen * (most - mean))
        if spread == 0.0:
            off = unseen * max(abs(mean), unit)
            below, above = below if least is not None else off, above if most is not None else off
        return Measured(mean, mean - below, mean + above)

    def _spread(self) -> float:
        """Half the width of Student's interval; infinity for one value, which says nothing of it."""
        if self.outcomes < 2:
            return math.inf
        mean = self.total / self.outcomes
        variance = max(0.0, self.squares / self.outcomes - mean**2) * self.outcomes / (self.outcomes - 1)
        # Sums of squares of equal values differ from the square of their sum by rounding.
        if variance <= _ROUNDING * mean**2:
            return 0.0
        return student(self.outcomes - 1) * math.sqrt(variance / self.outcomes)


def _or_none(spread: float) -> float:
    """A spread that is not known counts for nothing beside bounds that are."""
    return spread if math.isfinite(spread) else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision: `groups` are those that it belongs to, `age_s` how long after it the outcome came."""

    metric: str
    value: float
    age_s: float
    groups: tuple[str, ...]
    confidence: float | None = None


@dataclass(slots=True)
class Scoring:
    """Gathers one metric over decisions and outcomes."""

    metric: OutcomeMetric
    prices: Prices = Prices()
    groups: dict[str, Group] = field(default_factory=dict)
    late: int = 0
    answers: list[tuple[float, float]] = field(default_factory=list)

    def answered(self, groups: Iterable[str], cost: Cost, *, decisions: int = 1) -> None:
        """Counts decisions, and what they took together, in each of their groups."""
        for name in groups:
            self.groups.setdefault(name, Group()).answered(cost, decisions=decisions)

    def turned_out(self, outcome: Outcome) -> None:
        """Counts an outcome, unless it came too late or has no finite value."""
        if outcome.metric != self.metric.name or not math.isfinite(outcome.value):
            return
        if not 0 <= outcome.age_s <= self.metric.within_s:
            self.late += 1
            return
        if outcome.confidence is not None:
            self.answers.append((outcome.confidence, outcome.value * self.metric.worth))
        for name in outcome.groups:
            self.groups.setdefault(name, Group()).turned_out(outcome.value * self.metric.worth)

    def card(self, note: str = "") -> Scorecard:
        """The scorecard, a row a group."""
        rows = tuple(
            ScorecardRow(
                group=name,
                decisions=group.decisions,
                outcomes=group.outcomes,
                value=group.value(*self.metric.bounds(), unit=abs(self.metric.worth)),
                cost_s=group.compute_s,
                tokens=group.prompt_tokens + group.completion_tokens,
                tokens_cost=self.prices.of(group.prompt_tokens, group.completion_tokens),
            )
            for name, group in sorted(self.groups.items())
        )
        unit = self.metric.currency or self.metric.unit
        name, direction = self.metric.name, self.metric.direction
        return Scorecard(
            metric=name,
            unit=unit,
            direction=direction,
            rows=rows,
            late=self.late,
            note=note,
            thresholds=self._thresholds(),
            currency=self.prices.currency,
        )

    def _thresholds(self) -> tuple[ThresholdWorth, ...]:
        cost = self.metric.cost_of_a_person
        if cost is None or not self.answers:
            return ()
        return tuple(worth_of_thresholds(self.answers, THRESHOLDS, cost_of_a_person=cost))


def student(freedom: int) -> float:
    """So many standard errors hold 95 % either way; of two outcomes the normal 1.96 would hold 70 %.

    Exact for 1 and 2 degrees of freedom, else by the series in 1 / `freedom`, to within an eighth of a percent (Fisher
    and Cornish, "The percentile points of distributions having known cumulants", Technometrics 2, 1960).
    """
    if freedom <= 2:
        return math.tan(0.475 * math.pi) if freedom == 1 else 0.95 * math.sqrt(2 / (1 - 0.95**2))
    return _Z + math.fsum(term / freedom**power for power, term in enumerate(_TERMS, 1))


def worth_of_thresholds(
    answers: Sequence[tuple[float, float]], thresholds: Sequence[float], *, cost_of_a_person: float
) -> list[ThresholdWorth]:
    """Replays the log: `answers` are (confidence, worth) of decisions; each handed over costs `cost_of_a_person`."""
    found = []
    for threshold in thresholds:
        kept = [worth for confidence, worth in answers if confidence >= threshold]
        over = len(answers) - len(kept)
        found.append(ThresholdWorth(threshold, len(kept), over, math.fsum(kept) - over * cost_of_a_person))
    return found
