"""Histogram: counts durations and sizes in buckets, at the price of an append on the way of an answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

SORTED_AT = 256
"""So many observations wait unsorted at most."""


class Series:
    """The observations under one set of labels. From any thread: none is lost."""

    __slots__ = ("_bounds", "_counts", "_fresh", "_sorting", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._fresh: list[float] = []
        self._sorting = Lock()

    def observe(self, value: float) -> None:
        """Notes `value`; it is sorted into its bucket later, together with others."""
        fresh = self._fresh
        fresh.append(value)
        if len(fresh) >= SORTED_AT:
            self._sort()

    def read(self) -> tuple[list[int], float]:
        """How many fell into each bucket, the last one without a bound, and the sum of all values."""
        self._sort()
        with self._sorting:
            return list(self._counts), self._sum

    def _sort(self) -> None:
        with self._sorting:
            # What other threads append meanwhile stands behind these, and stays.
            count = len(self._fresh)
            values = self._fresh[:count]
            del self._fresh[:count]
            for value in values:
                # A bound belongs to its bucket, as Prometheus has it.
                self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += sum(values)


class Histogram(Collector):
    """A histogram of Prometheus, one `Series` for each set of labels."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labelnames = tuple(labelnames)
        self._bounds = tuple(buckets)
        self._names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Series] = {}
        if not labelnames:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these labels, in the order of their names; look it up once."""
        if len(values) != len(self._labelnames):
            raise ValueError(f"{self._name} has the labels {self._labelnames}, not {values}.")
        return self._series.get(values) or self._series.setdefault(values, Series(self._bounds))

    def observe(self, value: float) -> None:
        """Notes a value of a histogram without labels."""
        self.labels().observe(value)

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Its name, so that no other takes it."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """All that was observed."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, series in list(self._series.items()):
            counts, total = series.read()
            family.add_metric(values, list(zip(self._names, accumulate(counts), strict=True)), total)
        return [family]
