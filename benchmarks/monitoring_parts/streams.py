"""Simulated traffic: what a release that classifies documents would be seen to do, as numbers in columns.

A run is many decisions, each of one segment. Features are independent of each other; every one is a stream in all
decisions and one in each segment. Everything is drawn for many runs side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEATURES = ("latency", "confidence", "label", "garbled")
SEGMENTS = 4
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
LABELS = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
STREAMS = len(FEATURES) * (1 + SEGMENTS)
"""All features in all decisions come first, then segment by segment."""
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
    Shift("latency up by half a deviation in one segment of four", "latency", 1, 0.5),
    Shift("latency up by one deviation in one segment of four", "latency", 1, 1.0),
    Shift("confidence down by a half deviation everywhere", "confidence", None, -0.5),
    Shift("new label, 5 % of answers", "label", None, 0.05),
    Shift("garbled text, 10 % of the inputs of one segment", "garbled", 2, 0.1),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Decisions of each run, in order: their segments, (runs, decisions), and values, (features, runs, decisions)."""

    segment: Ints
    values: Floats

    @property
    def decisions(self) -> int:
        """How many of each run."""
        return self.segment.shape[1]

    def stream(self, run: int, stream: int) -> tuple[Ints, Floats]:
        """Where in the run the decisions of one stream stand, and their values."""
        feature, segment = stream % len(FEATURES), stream // len(FEATURES) - 1
        values = self.values[feature, run]
        if segment < 0:
            return np.arange(len(values)), values
        places = np.flatnonzero(self.segment[run] == segment)
        return places, values[places]


class Traffic:
    """Decisions of `runs` runs side by side."""

    def __init__(self, runs: int, seed: int) -> None:
        self.runs = runs
        self._rng = np.random.default_rng(seed)

    def next(self, decisions: int, shift: Shift | None = None) -> Stretch:
        """The next decisions of each run, changed by `shift`."""
        rng, size = self._rng, (self.runs, decisions)
        segment = np.searchsorted(np.cumsum(SHARES)[:-1], rng.random(size), side="right")
        scores = rng.normal(size=(2, *size))
        label = np.searchsorted(np.cumsum(LABELS)[:-1], rng.random(size), side="right").astype(np.float64)
        garbled = np.where(rng.random(size) < 0.01, rng.beta(2, 5, size), 0.0)
        if shift is not None:
            here = np.ones(size, bool) if shift.segment is None else segment == shift.segment
            if shift.feature == "latency":
                scores[0] += here * shift.size
            elif shift.feature == "confidence":
                scores[1] += here * shift.size
            elif shift.feature == "label":
                label = np.where(here & (rng.random(size) < shift.size), LOST, label)
            else:
                garbled = np.where(here & (rng.random(size) < shift.size), rng.beta(2, 5, size), garbled)
        latency = np.exp(3.5 + 0.5 * scores[0])
        confidence = 1 / (1 + np.exp(-(1.5 + 1.2 * scores[1])))
        return Stretch(segment, np.stack([latency, confidence, label, garbled]))


def joined(stretches: Sequence[Stretch]) -> Stretch:
    """All runs of several stretches of like length, side by side."""
    segments = np.concatenate([each.segment for each in stretches])
    return Stretch(segments, np.concatenate([each.values for each in stretches], axis=1))
