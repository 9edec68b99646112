"""Calming: what a feature is like since it rang, until enough has come to say that it is as it was."""

from __future__ import annotations

from headrace.domain.report import Measured
from headrace.monitoring.drift import category_shift, number_shift, population_stability
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.quantile_sketch import QuantileSketch

Sketch = QuantileSketch | HeavyCounts


class Calming:
    """The last one or two generations of decisions: of fewer, chance alone makes what looks like a change.

    `idle` is how many decisions have come since the last one that it is about.
    """

    def __init__(self) -> None:
        self._former: Sketch | None = None
        self._recent: Sketch | None = None
        self.idle = 0

    @property
    def decisions(self) -> int:
        """How many it knows of."""
        return sum(_count(each) for each in (self._former, self._recent) if each is not None)

    def take(self, seen: Sketch, *, generation: int) -> None:
        """Takes in a batch; after so many decisions a generation is full, and the one before it is forgotten."""
        if self._recent is not None and _count(self._recent) >= generation:
            self._former, self._recent = self._recent, None
        self._recent = _joined(self._recent, seen)
        self.idle = 0

    def distance(self, reference: Sketch, *, bunched: float) -> Measured:
        """The population stability index against a reference; so many decisions are worth one as `bunched` says."""
        lately = _joined(self._former, self._recent)
        if isinstance(reference, QuantileSketch) and isinstance(lately, QuantileSketch):
            numbers = number_shift("", "", reference, lately)
            return population_stability(numbers.before, numbers.after, bunched=bunched)
        if isinstance(reference, HeavyCounts) and isinstance(lately, HeavyCounts):
            names = category_shift("", "", reference, lately)
            return population_stability(names.before, names.after, bunched=bunched)
        # What was a number and comes as a word is as far from what it was as can be.
        return Measured(1.0, 1.0, 1.0)


def _joined(one: Sketch | None, other: Sketch | None) -> Sketch:
    """A sketch of both, of its own; of two kinds the first."""
    there = [each for each in (one, other) if each is not None]
    if there and isinstance(there[0], QuantileSketch):
        numbers = QuantileSketch()
        for each in there:
            if isinstance(each, QuantileSketch):
                numbers.merge(each)
        return numbers
    names = HeavyCounts()
    for each in there:
        if isinstance(each, HeavyCounts):
            names.merge(each)
    return names


def _count(sketch: Sketch) -> int:
    return sketch.count + sketch.missing if isinstance(sketch, QuantileSketch) else sketch.total
