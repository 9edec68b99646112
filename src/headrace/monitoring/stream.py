"""Stream: one feature of one segment of one release under test; first it learns its bins, then it is watched."""

from __future__ import annotations

import msgspec
import numpy as np

from headrace.monitoring.bets import Floats
from headrace.monitoring.binning import CategoryBins, Ints, NumberBins
from headrace.monitoring.bursts import Bursts, BurstsState
from headrace.monitoring.detectors import ConformalBets, Wagers
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.quantile_sketch import QuantileSketch

LEARN = 200
"""Decisions from which the bins are learned, and which are not tested."""
_RECENT = 200.0
_MOST_A_BATCH = 500


class StreamState(msgspec.Struct):
    """A stream as it is stored."""

    numbers: QuantileSketch | None = None
    categories: HeavyCounts | None = None
    number_bins: NumberBins | None = None
    category_bins: CategoryBins | None = None
    counts: list[int] = []
    learned: list[int] = []
    milestones: list[list[int]] = []
    betting: list[float] = []
    steps: int = 0
    recent: list[float] = []
    tested: int = 0
    bursts: BurstsState = msgspec.field(default_factory=BurstsState)


class Stream:
    """Takes counts of a batch in and says how much evidence there is that something changed.

    The decisions of a batch lost their order; as long as nothing changes every order is as likely as any other, so they
    are tested in one drawn at random, and the promise holds. Where they come in bunches that are alike they are not as
    likely: then evidence is worth less, by as much as bunches have been seen.
    """

    def __init__(self, *, learn: int = LEARN) -> None:
        self._learn = learn
        self._learned: QuantileSketch | HeavyCounts | None = None
        self.bins: NumberBins | CategoryBins | None = None
        self._bets: ConformalBets | None = None
        self._wagers = Wagers()
        self.bursts = Bursts()
        self._recent: Floats = np.empty(0)
        self.tested = 0

    @property
    def is_learning(self) -> bool:
        """It has no bins yet, so it cannot raise an alarm."""
        return self.bins is None

    def take(self, seen: QuantileSketch | HeavyCounts, rng: np.random.Generator, *, bunched: float = 1.0) -> float:
        """What the highest capital within this batch is worth; 1 is where it began.

        `bunched` decisions are worth one, or more, by what other streams have seen.
        """
        if self.bins is None or self._bets is None:
            self._take_lesson(seen)
            return 1.0
        counts = self._counted(seen)
        total = int(counts.sum())
        if not total:
            return 1.0
        self._recent = self._recent * 0.5 ** (total / _RECENT) + counts
        order = rng.permutation(np.repeat(np.arange(len(counts)), counts))[:_MOST_A_BATCH]
        paid = self._bets.next(order, rng.random(len(order)))
        self.tested += len(order)
        highest = float(self._wagers.next(paid).max())
        self.bursts.take(np.log(paid))
        return self.bursts.worth(highest, self._wagers.betting, at_least=bunched)

    def capital(self) -> float:
        """What the capital of the bets is worth now; 1 is where it began."""
        return self.bursts.worth(self._wagers.capital(), self._wagers.betting)

    def won(self) -> float:
        """The capital itself, by which streams of the same decisions are told apart: bunches are the same in all."""
        return self._wagers.capital()

    def restart(self) -> None:
        """Begins the test anew, with what it knows of normal."""
        self._wagers.restart()

    def refit(self, seen: QuantileSketch | HeavyCounts) -> None:
        """Takes bins from `seen`, which is all that it was given so far, in place of those it began with.

        What it has bet stands: the next value is ranked among all before it, as any was, just in other bins.
        """
        if self.bins is None:
            return
        bins, counts = _binned(seen)
        self._begin(bins, counts)
        assert self._bets is not None
        self._bets.resume(counts.tolist(), ())

    def lift(self, value: float | str) -> float:
        """How much more often than before such values have come of late; 1 is as ever."""
        if self.bins is None or self._bets is None or not self._recent.sum():
            return 1.0
        place = self._place(value)
        known = self._bets.counts
        lately = (self._recent[place] + 0.5) / (self._recent.sum() + 1)
        return float(lately / ((known[place] + 0.5) / (known.sum() + 1)))

    def state(self) -> StreamState:
        """What has to be stored to go on from here."""
        learned, bins = self._learned, self.bins
        return StreamState(
            numbers=learned if isinstance(learned, QuantileSketch) else None,
            categories=learned if isinstance(learned, HeavyCounts) else None,
            number_bins=bins if isinstance(bins, NumberBins) else None,
            category_bins=bins if isinstance(bins, CategoryBins) else None,
            counts=[] if self._bets is None else self._bets.counts.tolist(),
            learned=[] if self._bets is None else self._bets.learned.tolist(),
            milestones=[] if self._bets is None else [each.tolist() for each in self._bets.milestones],
            betting=self._wagers.betting.tolist(),
            steps=self._wagers.steps,
            recent=self._recent.tolist(),
            tested=self.tested,
            bursts=self.bursts.state(),
        )

    @classmethod
    def resumed(cls, state: StreamState, *, learn: int = LEARN, is_anew: bool = False) -> Stream:
        """The stream that was stored; `is_anew`, with a test that begins now, for other bets were made until then."""
        stream = cls(learn=learn)
        stream._learned = state.numbers or state.categories
        bins = state.number_bins or state.category_bins
        if bins is not None:
            stream._begin(bins, np.array(state.learned or [0] * bins.count, np.int64))
            assert stream._bets is not None
            stream._bets.resume(state.counts, state.milestones)
            if not is_anew:
                stream._wagers.resume(state.betting, state.steps)
            stream._recent = np.array(state.recent)
            stream.tested = state.tested
            stream.bursts = Bursts(state.bursts)
        return stream

    def _take_lesson(self, seen: QuantileSketch | HeavyCounts) -> None:
        if self._learned is None:
            self._learned = QuantileSketch() if isinstance(seen, QuantileSketch) else HeavyCounts()
        learned = self._learned
        if isinstance(learned, QuantileSketch) and isinstance(seen, QuantileSketch):
            learned.merge(seen)
            if learned.count + learned.missing >= self._learn:
                self._begin(*_binned(learned))
        elif isinstance(learned, HeavyCounts) and isinstance(seen, HeavyCounts):
            learned.merge(seen)
            if learned.total >= self._learn:
                self._begin(*_binned(learned))

    def _begin(self, bins: NumberBins | CategoryBins, learned: Ints) -> None:
        self.bins, self._learned = bins, None
        self._bets = ConformalBets(learned)
        self._recent = np.zeros(bins.count)

    def _counted(self, seen: QuantileSketch | HeavyCounts) -> Ints:
        if isinstance(self.bins, NumberBins) and isinstance(seen, QuantileSketch):
            return self.bins.counted(seen)
        if isinstance(self.bins, CategoryBins) and isinstance(seen, HeavyCounts):
            return self.bins.counted(seen)
        # A feature that was a number and comes as a word says nothing that could be ranked.
        return np.zeros(1, np.int64)

    def _place(self, value: float | str) -> int:
        if isinstance(self.bins, NumberBins):
            return self.bins.place(float(value)) if isinstance(value, int | float) else self.bins.count - 1
        assert self.bins is not None
        return self.bins.place(str(value))


def _binned(seen: QuantileSketch | HeavyCounts) -> tuple[NumberBins | CategoryBins, Ints]:
    """Bins learned from a sketch, and how many of it lie in each."""
    if isinstance(seen, QuantileSketch):
        numbers = NumberBins.learned(seen)
        return numbers, numbers.counted(seen)
    categories = CategoryBins.learned(seen)
    return categories, categories.counted(seen)
