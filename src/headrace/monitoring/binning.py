"""Binning: how one feature becomes a few bins in order, for ranks and for effect sizes.

It is learned from a first portion of a stream, which is not tested itself: so the bins do not depend on what they will
be held against.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.monitoring.heavy_counts import OTHERS, HeavyCounts
from headrace.monitoring.quantile_sketch import MISSING, QuantileSketch, bucket_of

Ints = npt.NDArray[np.int64]

BINS = 32
_NOVEL = 1


class NumberBins(msgspec.Struct, frozen=True):
    """Bins of a number between `edges`, sketch buckets from `origin`; a bin holds those above one edge up to the next.

    Beyond the edges there are the bin of all that is higher and, last of all, the one of NaN.
    """

    edges: tuple[int, ...]
    origin: float = 0.0

    @classmethod
    def learned(cls, sketch: QuantileSketch, *, bins: int = BINS) -> NumberBins:
        """About `bins` bins of like weight, and one each for what lies below and above all that was seen."""
        if not sketch.count:
            return cls((), sketch.origin)
        keys, counts = sketch.columns()
        upto = np.cumsum(counts)
        wanted = np.arange(1, bins) / bins * upto[-1]
        inner = keys[np.searchsorted(upto, wanted)]
        edges = np.unique(np.concatenate([[keys[0] - 1], inner, [keys[-1]]]))
        return cls(tuple(int(edge) for edge in edges), sketch.origin)

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 2

    def counted(self, sketch: QuantileSketch) -> Ints:
        """How many of the sketch lie in each bin, (count,)."""
        counts = np.zeros(self.count, np.int64)
        buckets = sketch.measured_from(self.origin)
        if buckets:
            keys, times = np.array([*buckets], np.int64), np.array([*buckets.values()], np.int64)
            np.add.at(counts, np.searchsorted(self.edges, keys, side="left"), times)
        counts[-1] = sketch.missing
        return counts

    def place(self, value: float) -> int:
        """The bin of one number."""
        bucket = bucket_of(value - self.origin)
        return self.count - 1 if bucket == MISSING else int(np.searchsorted(self.edges, bucket, side="left"))


class CategoryBins(msgspec.Struct, frozen=True):
    """A bin for each of `names`, heaviest first; the last one is for all that was never seen while learning."""

    names: tuple[str, ...]

    @classmethod
    def learned(cls, counts: HeavyCounts, *, bins: int = BINS) -> CategoryBins:
        """The heaviest `bins` names; the others that were seen share a bin of their own."""
        ranked = [name for name in counts.shares() if name != OTHERS]
        rest = (OTHERS,) if len(ranked) > bins or counts.others else ()
        return cls((*ranked[:bins], *rest))

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.names) + _NOVEL

    def counted(self, counts: HeavyCounts) -> Ints:
        """How many lie in each bin, (count,)."""
        places = {name: place for place, name in enumerate(self.names)}
        novel = places.get(OTHERS, len(self.names))
        found = np.zeros(self.count, np.int64)
        for name, times in counts.counts.items():
            found[places.get(name, novel)] += times
        found[novel] += counts.others
        return found

    def place(self, name: str) -> int:
        """The bin of one name."""
        if name in self.names:
            return self.names.index(name)
        return self.names.index(OTHERS) if OTHERS in self.names else len(self.names)
