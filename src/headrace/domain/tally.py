"""Tally: figures of a variant that add up over requests and processes: how many, how long, how sure, how right."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

REQUESTS, FAILED, DEGRADED_ANSWERS, LOW_CONFIDENCES = "requests", "failed", "degraded", "low_confidence"
CONFIDENCE, AGREED, RIGHT = "confidence", "agreed", "right"
CONFIDENCE_CHANGE = "confidence_change"
DROPPED_SHADOWS, FAILED_SHADOWS = "dropped_shadows", "failed_shadows"
OUTCOME_VALUE, DURATION = "outcome:", "duration_ms:"
"""Beginnings of measures: `outcome:minutes_saved`; `duration_ms:25` counts answers of up to 25 ms."""

EDGES_MS = tuple(round(10 ** (place / 12), 3) for place in range(-3, 61))
"""Upper ends of the buckets of durations, each a fifth larger than the last: from 0.6 ms to 100 s."""

_ROUNDING = 1e-12
"""Of equal values the mean of squares may differ by so much from the square of the mean, of either."""


class Measure(NamedTuple):
    """What is added up, and for which variant."""

    variant: str
    name: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many, their sum, and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def less(self, other: Tally) -> Tally:
        """Without the other, which was part of it."""
        return Tally(self.count - other.count, self.total - other.total, self.squares - other.squares)

    @classmethod
    def of(cls, value: float) -> Tally:
        """One value."""
        return cls(1, value, value * value)

    @property
    def mean(self) -> float | None:
        """None of none."""
        return self.total / self.count if self.count else None


Tallies = Mapping[Measure, Tally]


def added(*tallies: Tallies) -> dict[Measure, Tally]:
    """All of them together."""
    found: dict[Measure, Tally] = {}
    for each in tallies:
        for measure, tally in each.items():
            found[measure] = found.get(measure, Tally()).plus(tally)
    return found


def bucket_of(duration_ms: float) -> str:
    """The measure that counts an answer of this duration."""
    place = min(len(EDGES_MS) - 1, bisect_left(EDGES_MS, duration_ms))
    return f"{DURATION}{EDGES_MS[place]:g}"


def quantile_ms(tallies: Tallies, variants: Iterable[str], *, at: float) -> float | None:
    """A quantile of the durations of `variants` together, to within a fifth; None without any."""
    wanted = set(variants)
    counts = {float(measure.name.removeprefix(DURATION)): 0 for measure in tallies if measure.name.startswith(DURATION)}
    for measure, tally in tallies.items():
        if measure.variant in wanted and measure.name.startswith(DURATION):
            counts[float(measure.name.removeprefix(DURATION))] += tally.count
    below, needed = 0, at * sum(counts.values())
    for edge, count in sorted(counts.items()):
        below += count
        if count and below >= needed:
            return edge
    return None


def mean_between(tally: Tally, *, level: float) -> tuple[float, float] | None:
    """An asymptotic confidence sequence for a mean: at any time, however often one looks, once there are some tens.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52(6), theorem 2.2, tightest near 500 values. None for less than 10, and
    for values that are all the same: their spread is not seen yet, and it would have no width.
    """
    if tally.count < 10:
        return None
    mean = tally.total / tally.count
    variance = tally.squares / tally.count - mean * mean
    if not variance > _ROUNDING * mean * mean:
        return None
    rho_squared = (-2 * math.log(level) + math.log(-2 * math.log(level) + 1)) / 500
    spread = tally.count * rho_squared
    width = math.sqrt(2 * (spread + 1) / (tally.count * spread) * math.log(math.sqrt(spread + 1) / level) * variance)
    return (mean - width, mean + width)
