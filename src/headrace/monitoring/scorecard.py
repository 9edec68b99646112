"""Business outcomes: what decisions were worth, by release, variant and segment; what another threshold would be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from headrace.domain.report import Measured, Scorecard, ScorecardRow, ThresholdWorth

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

_Z = NormalDist().inv_cdf(0.975)
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
    `currency`, to have a decision made by a person instead.
    """

    name: str
    unit: str = ""
    direction: str = "up"
    worth: float = 1.0
    currency: str = ""
    within_s: float = 30 * 24 * 3600.0
    cost_of_a_person: float | None = None


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

    def value(self) -> Measured | None:
        """The mean value of the decisions with an outcome; the interval is Student's (1908), by their spread."""
        if not self.outcomes:
            return None
        mean = self.total / self.outcomes
        if self.outcomes < 2:
            return Measured(mean, -math.inf, math.inf)
        variance = max(0.0, self.squares / self.outcomes - mean**2) * self.outcomes / (self.outcomes - 1)
        half = student(self.outcomes - 1) * math.sqrt(variance / self.outcomes)
        return Measured(mean, mean - half, mean + half)


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
                value=group.value(),
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
