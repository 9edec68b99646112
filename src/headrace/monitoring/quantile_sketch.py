"""Numbers in bounded memory: quantiles to within a relative error, and moments.

The buckets are those of DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", PVLDB 12, 2019): bucket i holds values between g^(i-1) and g^i, so two sketches are merged
by adding counts, exactly and in any order. When there are too many buckets those of the smallest sizes are joined,
which costs accuracy next to 0 only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ACCURACY = 0.02
MOST_BUCKETS = 256
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_SMALLEST = 1e-9
_OFFSET = math.ceil(math.log(_SMALLEST) / _LOG_GAMMA) - 1
"""Bucket of the smallest size that is told from 0; buckets of numbers count from here."""
MISSING = -(1 << 30)
"""The bucket of NaN, below all others."""


def bucket_of(value: float) -> int:
    """The bucket of a number: 0 for 0, negative for negative ones; infinities are taken for the largest float."""
    if value != value:  # noqa: PLR0124 - NaN is not itself
        return MISSING
    size = abs(value)
    if size < _SMALLEST:
        return 0
    place = math.ceil(math.log(min(size, 1e300)) / _LOG_GAMMA) - _OFFSET
    return place if value > 0 else -place


def buckets_of(values: Floats) -> npt.NDArray[np.int64]:
    """The bucket of each number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.ceil(np.log(np.minimum(np.abs(values), 1e300)) / _LOG_GAMMA) - _OFFSET
    found = np.where(np.abs(values) < _SMALLEST, 0.0, np.copysign(places, values))
    found[np.isnan(values)] = MISSING
    return found.astype(np.int64)


def value_of(bucket: int) -> float:
    """The number that stands for a bucket: within `ACCURACY` of everything in it."""
    if bucket == MISSING:
        return math.nan
    if bucket == 0:
        return 0.0
    size = 2 * _GAMMA ** (abs(bucket) + _OFFSET) / (_GAMMA + 1)
    return size if bucket > 0 else -size


class QuantileSketch(msgspec.Struct):
    """Counts by bucket, with `missing` NaNs apart; `count` is of numbers, `total` and `squares` are their sums.

    Buckets are of the distance from `origin`, so next to it the finest differences are seen.
    """

    origin: float = 0.0
    buckets: dict[int, int] = {}
    count: int = 0
    missing: int = 0
    total: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def add(self, value: float, bucket: int, times: int = 1) -> None:
        """Takes a number in; `bucket` is that of its distance from `origin`, worked out once for many sketches."""
        if bucket == MISSING:
            self.missing += times
            return
        if not -1e150 < value < 1e150:
            value = min(max(value, -1e150), 1e150)
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + times
        self.count += times
        weighted = value * times
        self.total += weighted
        self.squares += value * weighted
        # Often for every decision: comparing is a third of the time of a call.
        if value < self.least:  # noqa: PLR1730
            self.least = value
        if value > self.most:  # noqa: PLR1730
            self.most = value
        if len(buckets) > MOST_BUCKETS:
            self._join()

    def add_all(self, values: Floats) -> None:
        """Takes numbers in, (rows,): as `add` one by one, but for the order in which they are summed."""
        found, times = np.unique(buckets_of(values - self.origin), return_counts=True)
        buckets = self.buckets
        for bucket, count in zip(found.tolist(), times.tolist(), strict=True):
            if bucket == MISSING:
                self.missing += count
                values = values[~np.isnan(values)]
            else:
                buckets[bucket] = buckets.get(bucket, 0) + count
        if not len(values):
            return
        values = np.clip(values, -1e150, 1e150)
        self.count += len(values)
        self.total += float(values.sum())
        self.squares += float((values * values).sum())
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))
        if len(buckets) > MOST_BUCKETS:
            self._join()

    def add_counted(self, buckets: Iterable[int], sums: tuple[float, float], ends: tuple[float, float]) -> None:
        """Takes numbers in by their buckets, of which none is `MISSING`; `sums` are theirs and of their squares."""
        count = 0
        for bucket, times in Counter(buckets).items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times
            count += times
        self.count += count
        self.total += sums[0]
        self.squares += sums[1]
        self.least = min(self.least, ends[0])
        self.most = max(self.most, ends[1])
        if len(self.buckets) > MOST_BUCKETS:
            self._join()

    def merge(self, other: QuantileSketch) -> None:
        """Takes in all that `other` has seen."""
        if not self.count + self.missing:
            self.origin = other.origin
        theirs, mine = other.measured_from(self.origin), self.buckets
        if mine:
            for bucket, times in theirs.items():
                mine[bucket] = mine.get(bucket, 0) + times
        else:
            mine.update(theirs)
        self.count += other.count
        self.missing += other.missing
        self.total += other.total
        self.squares += other.squares
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        if len(self.buckets) > MOST_BUCKETS:
            self._join()

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """The numbers below which these shares of all numbers lie; NaN while there are none."""
        if not self.count:
            return [math.nan] * len(shares)
        keys, counts = self.columns()
        upto = np.cumsum(counts)
        found = []
        for share in shares:
            place = int(np.searchsorted(upto, share * (self.count - 1), side="right"))
            middle = self.origin + value_of(int(keys[min(place, len(keys) - 1)]))
            found.append(min(max(middle, self.least), self.most))
        return found

    def measured_from(self, origin: float) -> dict[int, int]:
        """Its counts by the buckets of another origin."""
        if origin == self.origin:
            return self.buckets
        moved: dict[int, int] = {}
        for bucket, times in self.buckets.items():
            place = bucket_of(value_of(bucket) + self.origin - origin)
            moved[place] = moved.get(place, 0) + times
        return moved

    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Buckets in order of their numbers, and their counts."""
        keys = np.array(sorted(self.buckets), np.int64)
        return keys, np.array([self.buckets[key] for key in keys.tolist()], np.int64)

    @property
    def mean(self) -> float:
        """NaN while there are no numbers."""
        return self.total / self.count if self.count else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers seen; NaN while there are none."""
        if not self.count:
            return math.nan
        return math.sqrt(max(0.0, self.squares / self.count - self.mean**2))

    def _join(self) -> None:
        """Joins the smallest sizes, which lie next to 0, until three quarters of the room are taken."""
        by_size = sorted(self.buckets, key=abs)
        spare = by_size[: len(by_size) - MOST_BUCKETS * 3 // 4]
        into = by_size[len(spare)]
        for bucket in spare:
            times = self.buckets.pop(bucket)
            # Signs are kept apart: -0.001 must not turn up as 5.
            home = into if (bucket >= 0) == (into >= 0) else -into
            self.buckets[home] = self.buckets.get(home, 0) + times


def add_columns(sketches: Sequence[QuantileSketch], rows: Floats) -> None:
    """Takes in the columns of (rows, sketches): as `add_all` of each, with a tenth of the calls."""
    missing = np.isnan(rows).any(axis=0)
    for place in np.flatnonzero(missing).tolist():
        sketches[place].add_all(rows[:, place])
    whole = np.flatnonzero(~missing)
    kept, rows = [sketches[place] for place in whole.tolist()], rows[:, whole]
    buckets = buckets_of(rows - np.array([sketch.origin for sketch in kept])).T.tolist()
    rows = np.clip(rows, -1e150, 1e150)
    sums, squares = rows.sum(axis=0).tolist(), (rows * rows).sum(axis=0).tolist()
    least, most = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
    for sketch, places, *figures in zip(kept, buckets, sums, squares, least, most, strict=True):
        total, square, lowest, highest = figures
        sketch.add_counted(places, (total, square), (lowest, highest))


def sketch_of(values: Sequence[float] | Floats, *, origin: float = 0.0) -> QuantileSketch:
    """A sketch of these numbers."""
    sketch = QuantileSketch(origin=origin)
    for value in values:
        sketch.add(float(value), bucket_of(float(value) - origin))
    return sketch


def copied(sketch: Any) -> Any:
    """A sketch of its own with the same content."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(sketch), type=type(sketch))
