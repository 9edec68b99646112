"""Who looks for changes: the test of Headrace, and River's detectors, each over the same streams of many runs.

River's take numbers, so they are given what suits them best: durations as their logarithm, and labels as the surprise
that they were under the reference (minus the logarithm of their share).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from monitoring_parts.streams import FEATURES, LABELS, SEGMENTS, Step, Traffic
from river.drift import ADWIN, PageHinkley

from headrace.monitoring.binning import NumberBins
from headrace.monitoring.detectors import Budget, ConformalRanks, Wagers
from headrace.monitoring.quantile_sketch import bucket_of, sketch_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEARN = 200
STREAMS = len(FEATURES) * (1 + SEGMENTS)


class Headrace:
    """Every stream of every run, a column each: features in all decisions first, then segment by segment."""

    def __init__(self, traffic: Traffic, alpha: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.edges = learned_edges(traffic)
        self._bounds = _bounds(alpha)
        self.resize(traffic.runs)

    def resize(self, runs: int) -> None:
        """Begins anew with so many runs."""
        self.runs = runs
        bins = max(len(edges) for edges in self.edges) + 2
        self._ranks = ConformalRanks(runs * STREAMS, bins)
        self._wagers = Wagers(runs * STREAMS)
        self._capital = np.ones(runs * STREAMS)

    def take(self, step: Step) -> tuple[Ints, Ints]:
        """The runs that ring, and the stream that rings loudest in each."""
        rows = np.arange(self.runs)
        places = np.stack([np.searchsorted(e, v, side="left") for e, v in zip(self.edges, step.values, strict=True)])
        whole = (rows[None, :] * STREAMS + np.arange(len(FEATURES))[:, None]).ravel()
        part = whole + np.tile((step.segment + 1) * len(FEATURES), len(FEATURES))
        for streams in (whole, part):
            self._test(streams, places.ravel())
        evidence = np.log(np.maximum(self._capital, 1e-300)).reshape(self.runs, STREAMS) - self._bounds
        loudest = evidence.argmax(axis=1)
        rings = np.flatnonzero(evidence[rows, loudest] >= 0)
        return rings, loudest[rings]

    def _test(self, streams: Ints, bins: Ints) -> None:
        ranks, wagers = _view(self._ranks, self._wagers, streams)
        self._capital[streams] = wagers.next(ranks.next(bins, self._rng.random(len(bins))))
        self._ranks.counts[streams] = ranks.counts
        self._wagers.betting[streams], self._wagers.steps[streams] = wagers.betting, wagers.steps


def _view(ranks: ConformalRanks, wagers: Wagers, streams: Ints) -> tuple[ConformalRanks, Wagers]:
    """Those streams only, as objects of their own."""
    some, stakes = ConformalRanks(0, 0), Wagers(0)
    some.counts = ranks.counts[streams]
    stakes.betting, stakes.steps = wagers.betting[streams], wagers.steps[streams]
    return some, stakes


def learned_edges(traffic: Traffic) -> list[Floats]:
    """The bins of every feature, from decisions that are not tested."""
    return [_edges(traffic, place) for place in range(len(FEATURES))]


def _edges(traffic: Traffic, place: int) -> Floats:
    """Bins as a stream learns them from its first decisions, in the numbers themselves."""
    values = [float(traffic.step().values[place, 0]) for _ in range(LEARN)]
    if FEATURES[place] == "label":
        return np.arange(len(LABELS) + 1, dtype=np.float64) - 0.5
    bins = NumberBins.learned(sketch_of(values))
    known = np.unique([bucket_of(value) for value in values])
    kept = {int(edge) for edge in bins.edges}
    tops = [max(v for v in values if bucket_of(v) == bucket) for bucket in known if int(bucket) in kept]
    return np.unique([min(values) - 1e-9, *tops])


def _bounds(alpha: float) -> Floats:
    """The logarithm of what each stream's capital has to reach, (streams,)."""
    whole, parts = Budget(alpha / 2, most=128), Budget(alpha / 2, most=12_800)
    shares = [whole.of(stream) if stream < len(FEATURES) else parts.of(stream) for stream in range(STREAMS)]
    return -np.log(np.array(shares))


def numbers_of(step: Step) -> Floats:
    """The values as River's detectors are given them, (features, runs), of unit size."""
    duration, confidence, label, garbled = step.values
    surprise = -np.log(np.append(LABELS, 0.002))[label.astype(int)]
    return np.stack([(np.log(duration) - 3.5) / 0.5, (confidence - 0.77) / 0.17, surprise, garbled * 10])


class PageHinkleys:
    """River's Page-Hinkley over all streams, vectorised: the same arithmetic for many runs at once."""

    def __init__(self, runs: int, delta: float, thresholds: Floats | None = None) -> None:
        self.runs, self.delta = runs, delta
        self.thresholds = np.full(len(FEATURES), np.inf) if thresholds is None else thresholds
        size = (runs, STREAMS)
        self._count, self._mean = np.zeros(size), np.zeros(size)
        self._up, self._down = np.zeros(size), np.zeros(size)
        self._least, self._most = np.full(size, np.inf), np.full(size, -1.0)
        self.highest = np.zeros(size)

    def take(self, step: Step) -> tuple[Ints, Ints]:
        """The runs that ring, and the stream that does."""
        rows = np.arange(self.runs)[:, None]
        features = np.arange(len(FEATURES))[None, :]
        values = numbers_of(step).T
        both = (features + 0 * rows, features + (step.segment[:, None] + 1) * len(FEATURES))
        over = [(streams, self._update(rows, streams, values)) for streams in both]
        ringing = np.concatenate([test > self.thresholds[None, :] for _, test in over], axis=1)
        rings = np.flatnonzero(ringing.any(axis=1))
        names = np.concatenate([streams for streams, _ in over], axis=1)
        return rings, names[rings, ringing[rings].argmax(axis=1)]

    def _update(self, rows: Ints, streams: Ints, values: Floats) -> Floats:
        at = (rows, streams)
        self._count[at] += 1
        self._mean[at] += (values - self._mean[at]) / self._count[at]
        away = values - self._mean[at]
        self._up[at] = (1 - 0.0001) * self._up[at] + away - self.delta
        self._down[at] = (1 - 0.0001) * self._down[at] + away + self.delta
        self._least[at] = np.minimum(self._least[at], self._up[at])
        self._most[at] = np.maximum(self._most[at], self._down[at])
        test = np.maximum(self._up[at] - self._least[at], self._most[at] - self._down[at])
        test = np.where(self._count[at] >= 30, test, 0.0)
        self.highest[at] = np.maximum(self.highest[at], test)
        return test


class Adwins:
    """River's ADWIN, one object a stream."""

    def __init__(self, runs: int, delta: float) -> None:
        self.runs = runs
        self._detectors = [[ADWIN(delta=delta) for _ in range(STREAMS)] for _ in range(runs)]

    def take(self, step: Step) -> tuple[Ints, Ints]:
        """The runs that ring, and the stream that does."""
        rings, streams = [], []
        for run, (segment, values) in enumerate(zip(step.segment.tolist(), numbers_of(step).T.tolist(), strict=True)):
            detectors = self._detectors[run]
            for feature, value in enumerate(values):
                for stream in (feature, feature + (segment + 1) * len(FEATURES)):
                    detector = detectors[stream]
                    detector.update(value)
                    if detector.drift_detected and (not rings or rings[-1] != run):
                        rings.append(run)
                        streams.append(stream)
        return np.array(rings, np.int64), np.array(streams, np.int64)


def agrees_with_river(traffic: Traffic, steps: int) -> bool:
    """Whether the vectorised Page-Hinkley rings at the very decision at which River's own does, on one stream."""
    ours, theirs = PageHinkleys(1, 0.05, np.full(len(FEATURES), 5.0)), PageHinkley(delta=0.05, threshold=5.0)
    first = [None, None]
    for place in range(steps):
        step = traffic.step()
        theirs.update(float(numbers_of(step)[0, 0]))
        ours.take(step)
        if first[0] is None and ours.highest[0, 0] > 5.0:
            first[0] = place
        if first[1] is None and theirs.drift_detected:
            first[1] = place
    return first[0] == first[1] is not None
