"""Simulated traffic: what a release that classifies documents would be seen to do, as numbers in columns.

A run is many decisions, each of one segment. Features are independent of each other; every one is a stream in all
decisions and one in each segment. Everything is drawn a step at a time for many runs side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEATURES = ("duration_ms", "confidence", "label", "garbled")
SEGMENTS = 4
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
LABELS = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
LOST = len(LABELS)
"""The label that nobody has seen before."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A change that is injected: of `feature`, in `segment` (None: everywhere), by `size`."""

    name: str
    feature: str
    segment: int | None
    size: float


SHIFTS = (
    Shift("latency up by half a deviation in one segment of four", "duration_ms", 1, 0.5),
    Shift("latency up by one deviation in one segment of four", "duration_ms", 1, 1.0),
    Shift("confidence down by a half deviation everywhere", "confidence", None, -0.5),
    Shift("new label, 5 % of answers", "label", None, 0.05),
    Shift("garbled text, 10 % of the inputs of one segment", "garbled", 2, 0.1),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of each run: its segment, (runs,), and its value of each feature, (features, runs)."""

    segment: Ints
    values: Floats


class Traffic:
    """Decisions of `runs` runs side by side."""

    def __init__(self, runs: int, seed: int) -> None:
        self.runs = runs
        self._rng = np.random.default_rng(seed)

    def step(self, shift: Shift | None = None) -> Step:
        """The next decision of each run, changed by `shift`."""
        rng, runs = self._rng, self.runs
        segment = np.searchsorted(np.cumsum(SHARES)[:-1], rng.random(runs), side="right")
        scores = rng.normal(size=(2, runs))
        label = np.searchsorted(np.cumsum(LABELS)[:-1], rng.random(runs), side="right").astype(np.float64)
        garbled = np.where(rng.random(runs) < 0.01, rng.beta(2, 5, runs), 0.0)
        if shift is not None:
            here = np.ones(runs, bool) if shift.segment is None else segment == shift.segment
            if shift.feature == "duration_ms":
                scores[0] += here * shift.size
            elif shift.feature == "confidence":
                scores[1] += here * shift.size
            elif shift.feature == "label":
                label = np.where(here & (rng.random(runs) < shift.size), LOST, label)
            else:
                garbled = np.where(here & (rng.random(runs) < shift.size), rng.beta(2, 5, runs), garbled)
        duration = np.exp(3.5 + 0.5 * scores[0])
        confidence = 1 / (1 + np.exp(-(1.5 + 1.2 * scores[1])))
        return Step(segment, np.stack([duration, confidence, label, garbled]))
