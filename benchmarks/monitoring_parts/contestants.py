"""Who looks for changes: the test of Headrace, and River's detectors, each over the same streams of many runs.

River's take numbers, so they are given what suits them best: durations as their logarithm, and labels as the surprise
that they were under the reference (minus the logarithm of their share).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from monitoring_parts.streams import FEATURES, LABELS, STREAMS, Stretch, Traffic
from river.drift import ADWIN, PageHinkley

from headrace.monitoring.binning import NumberBins
from headrace.monitoring.bursts import LEEWAY, Bursts, common_effect
from headrace.monitoring.detectors import Budget, ConformalBets, Wagers
from headrace.monitoring.quantile_sketch import bucket_of, sketch_of
from headrace.monitoring.watch import WHOLE_PART
from headrace.monitoring.window import ORIGINS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEARN = 200
_AT_ONCE = 100
"""Decisions of all traffic that are looked at together, as they are in production."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The first decision at which each run rings, counted from 0, and its stream; -1 for runs that do not."""

    at: Ints
    stream: Ints


class Headrace:
    """Every stream of every run, each tested by what tests it in production; bins are learned as streams learn them."""

    def __init__(self, runs: int, alpha: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        values = Traffic(1, 1).next(LEARN).values[:, 0]
        self._edges = [_edges(name, some) for name, some in zip(FEATURES, values, strict=True)]
        learned = [_binned(edges, some) for edges, some in zip(self._edges, values, strict=True)]
        self._bounds = _bounds(alpha)
        self._streams = [
            [(ConformalBets(learned[stream % len(FEATURES)]), Wagers(), Bursts()) for stream in range(STREAMS)]
            for _ in range(runs)
        ]
        self._bunched = [1.0] * runs

    def take(self, stretch: Stretch) -> Rung:
        """Goes on through the next decisions of every run."""
        rung = [self._run(run, stretch) for run in range(len(self._streams))]
        return Rung(np.array([at for at, _ in rung]), np.array([stream for _, stream in rung]))

    def _run(self, run: int, stretch: Stretch) -> tuple[int, int]:
        streams = []
        for stream in range(STREAMS):
            places, values = stretch.stream(run, stream)
            streams.append((places, np.searchsorted(self._edges[stream % len(FEATURES)], values, side="left")))
        for start in range(0, stretch.decisions, _AT_ONCE):
            first, which = stretch.decisions, -1
            for stream, (places, bins) in enumerate(streams):
                begin, end = np.searchsorted(places, (start, start + _AT_ONCE))
                at = self._looked_at(run, stream, bins[begin:end])
                if at is not None and places[begin + at] < first:
                    first, which = int(places[begin + at]), stream
            self._bunched[run] = common_effect([bursts for _, _, bursts in self._streams[run][: len(FEATURES)]])
            if which >= 0:
                return first, which
        return -1, -1

    def _looked_at(self, run: int, stream: int, bins: Ints) -> int | None:
        """The first of some decisions of a stream at which it rings."""
        if not len(bins):
            return None
        bets, wagers, bursts = self._streams[run][stream]
        paid = bets.next(bins, self._rng.random(len(bins)))
        capital = wagers.next(paid)
        bursts.take(np.log(paid))
        effect = max(bursts.effect(wagers.betting), self._bunched[run])
        # As much capital as is worth the bound, see `Bursts.worth`.
        over = np.log(capital) >= (np.log(self._bounds[stream]) + LEEWAY) * effect - LEEWAY
        return int(np.argmax(over)) if over.any() else None


def _binned(edges: Floats, values: Floats) -> Ints:
    """How many values lie in each bin, with the bin of what is no number."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 2)


def _edges(feature: str, values: Floats) -> Floats:
    if feature == "label":
        return np.arange(len(LABELS), dtype=np.float64) + 0.5
    origin = ORIGINS.get(feature, 0.0)
    bins = NumberBins.learned(sketch_of(values, origin=origin))
    # Sketches count by buckets; between two numbers of neighbouring buckets lies what parts them.
    buckets = np.array([bucket_of(value - origin) for value in values])
    tops = [values[buckets <= edge].max(initial=values.min() - 1e-9) for edge in bins.edges]
    return np.unique(tops)


def _bounds(alpha: float) -> Floats:
    """What each stream's capital has to reach, (streams,)."""
    whole, parts = Budget(alpha * WHOLE_PART), Budget(alpha * (1 - WHOLE_PART))
    whole.found(range(len(FEATURES)))
    parts.found(range(len(FEATURES), STREAMS))
    return 1 / np.array([(whole if stream < len(FEATURES) else parts).of(stream) for stream in range(STREAMS)])


def numbers_of(stretch: Stretch) -> Floats:
    """The values as River's detectors are given them, (features, runs, decisions), of unit size."""
    latency, confidence, label, garbled = stretch.values
    surprise = -np.log(np.append(LABELS, 0.002))[label.astype(int)]
    return np.stack([(np.log(latency) - 3.5) / 0.5, (confidence - 0.77) / 0.17, surprise, garbled * 10])


class PageHinkleys:
    """River's Page-Hinkley over all streams: the same arithmetic, for many runs at once.

    Its forgetting factor is 1, as in the test of Page and Hinkley: River's default of 0.9999 makes it ring all the time
    in runs longer than 10,000, so that thresholds of equal false alarms would be ten times as high.
    """

    def __init__(self, runs: int, delta: float, thresholds: Floats | None = None) -> None:
        self._runs, self._delta = runs, delta
        self._thresholds = np.full(len(FEATURES), np.inf) if thresholds is None else thresholds
        size = (runs, STREAMS)
        self._count, self._mean = np.zeros(size), np.zeros(size)
        self._up, self._down = np.zeros(size), np.zeros(size)
        self._least, self._most = np.full(size, np.inf), np.full(size, -1.0)
        self.highest = np.zeros(size)

    def take(self, stretch: Stretch) -> Rung:
        """Goes on through the next decisions of every run, until all have rung."""
        values = np.moveaxis(numbers_of(stretch), 0, 1)
        rows, features = np.arange(self._runs)[:, None], np.arange(len(FEATURES))[None, :]
        rung = Rung(np.full(self._runs, -1), np.full(self._runs, -1))
        for place in range(stretch.decisions):
            part = features + (stretch.segment[:, place, None] + 1) * len(FEATURES)
            for streams in (features + 0 * rows, part):
                over = self._update(rows, streams, values[:, :, place]) > self._thresholds
                fresh = np.flatnonzero(over.any(axis=1) & (rung.at < 0))
                rung.at[fresh], rung.stream[fresh] = place, streams[fresh, over[fresh].argmax(axis=1)]
            if (rung.at >= 0).all():
                break
        return rung

    def _update(self, rows: Ints, streams: Ints, values: Floats) -> Floats:
        at = (rows, streams)
        count = self._count[at] = self._count[at] + 1
        mean = self._mean[at] = self._mean[at] + (values - self._mean[at]) / count
        up = self._up[at] = self._up[at] + values - mean - self._delta
        down = self._down[at] = self._down[at] + values - mean + self._delta
        least = self._least[at] = np.minimum(self._least[at], up)
        most = self._most[at] = np.maximum(self._most[at], down)
        test = np.where(count >= 30, np.maximum(up - least, most - down), 0.0)
        self.highest[at] = np.maximum(self.highest[at], test)
        return test


class Together:
    """Page-Hinkley with several deltas side by side: whoever rings first counts, one test for changes of any size."""

    def __init__(self, runs: int, thresholds: Mapping[float, Floats]) -> None:
        self._each = [PageHinkleys(runs, delta, bounds) for delta, bounds in thresholds.items()]

    def take(self, stretch: Stretch) -> Rung:
        """Goes on through the next decisions of every run."""
        rung = [each.take(stretch) for each in self._each]
        at = np.array([np.where(each.at < 0, stretch.decisions, each.at) for each in rung])
        first, runs = at.argmin(axis=0), np.arange(at.shape[1])
        streams = np.array([each.stream for each in rung])[first, runs]
        return Rung(np.where(at[first, runs] < stretch.decisions, at[first, runs], -1), streams)


class Adwins:
    """River's ADWIN, one object a stream."""

    def __init__(self, runs: int, delta: float) -> None:
        self._detectors = [[ADWIN(delta=delta) for _ in range(STREAMS)] for _ in range(runs)]

    def take(self, stretch: Stretch) -> Rung:
        """Goes on through the next decisions of every run."""
        numbers = Stretch(stretch.segment, numbers_of(stretch))
        rung = [_first_ring(detectors, numbers, run) for run, detectors in enumerate(self._detectors)]
        return Rung(np.array([at for at, _ in rung]), np.array([stream for _, stream in rung]))


def _first_ring(detectors: list[ADWIN], numbers: Stretch, run: int) -> tuple[int, int]:
    first, which = numbers.decisions, -1
    for stream, detector in enumerate(detectors):
        places, values = numbers.stream(run, stream)
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            detector.update(value)
            if detector.drift_detected:
                first, which = (place, stream) if place < first else (first, which)
                break
    return (-1, -1) if which < 0 else (first, which)


def agrees_with_river(decisions: int) -> bool:
    """Whether the Page-Hinkley of many runs rings at the very decision at which River's own does, on one stream."""
    stretch = Traffic(1, 5).next(decisions, None)
    stretch.values[1:] = stretch.values[1:, :, :1]
    ours = PageHinkleys(1, 0.05, np.array([5.0, np.inf, np.inf, np.inf])).take(
        Stretch(np.full((1, decisions), 3), stretch.values)
    )
    theirs = PageHinkley(delta=0.05, threshold=5.0, alpha=1.0)
    for place, value in enumerate(numbers_of(stretch)[0, 0].tolist()):
        theirs.update(value)
        if theirs.drift_detected:
            return place == ours.at[0]
    return False


Maker = Callable[[int], "Headrace | PageHinkleys | Together | Adwins"]
