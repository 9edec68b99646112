"""Quality without labels: what accuracy to expect from confidences, and whether that expectation may be trusted.

Confidence-based estimation (Guillory and others, ICCV 2021; NannyML's CBPE): when confidences are calibrated, their
mean is the expected accuracy, also when the mix of inputs shifts. It is wrong when the meaning of inputs changes
(concept drift), which only labels can show: so labels, when they come, are held against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from headrace.domain.report import Estimate, Measured
from headrace.monitoring.calibration import Calibration, Floats, bin_of, estimated_accuracy
from headrace.monitoring.detectors import unspent
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.window import CONFIDENCE_BINS, WindowSketch

_Z = 1.96
_TOLERANCE = 0.03
"""An estimate may be this far off before it is called wrong."""
_BETS = np.array([-0.9, -0.5, -0.2, 0.2, 0.5, 0.9])
_MOST_LOG = 400.0
FEWEST_TO_RECALIBRATE = 50


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer whose label has come: what was predicted, what proved true, and how sure the answer was."""

    predicted: str
    actual: str
    confidence: float


class Truth(msgspec.Struct):
    """Answers of one segment whose labels have come, and the capital that bets against the estimate.

    The bets are on (right - expected) with a tolerance either way, so the capital is a test supermartingale as long as
    the estimate is right to within it, and reaches 1 / alpha with probability at most alpha. Half of it is spread over
    the moments at which betting may begin. A bet of these is placed by the first label of an answer and cannot be taken
    back; the other half bets from the beginning on, so its capital goes by the counts alone, which follow the last.
    """

    labels: int = 0
    right: int = 0
    counts: dict[int, int] = {}
    hits: dict[int, int] = {}
    said: HeavyCounts = msgspec.field(default_factory=HeavyCounts)
    proved: HeavyCounts = msgspec.field(default_factory=HeavyCounts)
    agreed: HeavyCounts = msgspec.field(default_factory=HeavyCounts)
    betting: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_BETS))
    highest: float = 1.0
    is_revised: bool = False
    sure: dict[int, float] = {}

    def add(self, answer: Labelled, calibration: Calibration) -> None:
        """Takes in the first label of an answer."""
        is_right = answer.predicted == answer.actual
        place = bin_of(answer.confidence)
        self._bet(is_right, calibration, place)
        self.labels += 1
        self.right += is_right
        self.counts[place] = self.counts.get(place, 0) + 1
        self.hits[place] = self.hits.get(place, 0) + is_right
        # What was counted before sums were kept lies in the middle of its bin, as far as anybody knows.
        self.sure[place] = self._sum_in(place, self.counts[place] - 1) + answer.confidence
        self.said.add(answer.predicted)
        self.proved.add(answer.actual)
        if is_right:
            self.agreed.add(answer.actual)

    def revise(self, answer: Labelled, former: str) -> None:
        """Takes in a further label of an answer in place of `former`."""
        place = bin_of(answer.confidence)
        moved = (answer.predicted == answer.actual) - (answer.predicted == former)
        self.is_revised = True
        self.right += moved
        self.hits[place] = self.hits.get(place, 0) + moved
        self.proved.take_back(former)
        self.proved.add(answer.actual)
        if answer.predicted == former:
            self.agreed.take_back(former)
        if answer.predicted == answer.actual:
            self.agreed.add(answer.actual)

    def evidence(self, calibration: Calibration) -> float:
        """The capital against the estimate, as high as it was by first labels and as it is by the last; it began at 1.

        The two halves are not looked at as one sum, so each keeps half of alpha for itself.
        """
        return max(self.highest, self._from_the_beginning(calibration) if self.is_revised else 0.0) / 2

    def _from_the_beginning(self, calibration: Calibration) -> float:
        """What bets that began with the first label have now: products over bins, whatever the order was."""
        right, times = np.zeros(CONFIDENCE_BINS), np.zeros(CONFIDENCE_BINS)
        for place, count in self.counts.items():
            right[place], times[place] = self.hits[place], count
        above, below = _bounds(calibration)
        wrong, held_against = times - right, np.where(_BETS[:, None] > 0, above, below)
        grown = np.log1p(_BETS[:, None] * (1 - held_against)) @ right + np.log1p(-_BETS[:, None] * held_against) @ wrong
        return float(np.exp(np.minimum(grown, _MOST_LOG)).mean())

    def realised(self) -> Measured | None:
        """The accuracy by labels, with Wilson's interval (1927)."""
        if not self.labels:
            return None
        n, share = self.labels, self.right / self.labels
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        return Measured(share, max(0.0, middle - half), min(1.0, middle + half))

    def macro_f1(self) -> float | None:
        """The mean over labels of their F1; None without labels, and where there are more kinds than are counted."""
        said, proved, agreed = (each.counts for each in (self.said, self.proved, self.agreed))
        names = sorted({*said, *proved})
        if not names or self.said.others or self.proved.others:
            return None
        figures = [2 * agreed.get(name, 0) / (said.get(name, 0) + proved.get(name, 0)) for name in names]
        return float(np.mean(figures))

    def calibration_error(self) -> float | None:
        """Expected calibration error: the mean distance of confidence and accuracy, by bin; None without labels."""
        if not self.labels:
            return None
        gaps = [abs(self._sum_in(place, times) - self.hits[place]) for place, times in self.counts.items()]
        return sum(gaps) / self.labels

    def _sum_in(self, place: int, times: int) -> float:
        """The sum of the confidences of a bin."""
        return self.sure.get(place, (place + 0.5) / CONFIDENCE_BINS * times)

    def recalibrated(self) -> Calibration:
        """A calibration from these labels."""
        calibration = Calibration()
        for place, times in self.counts.items():
            calibration.counts[place], calibration.hits[place] = times, self.hits[place]
        return calibration

    def _bet(self, is_right: bool, calibration: Calibration, place: int) -> None:  # noqa: FBT001 - the outcome of a bet
        above, below = _bounds(calibration)
        moved = np.where(_BETS > 0, is_right - above[place], is_right - below[place])
        begun = unspent(np.array([self.labels, self.labels + 1]))
        paid = 1 + _BETS * moved
        self.betting = [float(x) for x in np.minimum((self.betting + (begun[0] - begun[1])) * paid, 1e200)]
        self.highest = max(self.highest, float(np.mean(self.betting)) + float(begun[1]))


def _bounds(calibration: Calibration) -> tuple[Floats, Floats]:
    """By bin of confidence the most and the least of answers that are right as long as the estimate holds."""
    chance, deviation = calibration.expected()
    slack = _TOLERANCE + 2 * deviation
    return np.minimum(chance + slack, 1.0), np.maximum(chance - slack, 0.0)


class Estimator(msgspec.Struct):
    """Estimates by segment for one release, each trusted until labels show that it was wrong.

    `since` is the cursor of the last label before those that `truths` have counted.
    """

    calibration: Calibration = msgspec.field(default_factory=Calibration)
    is_calibrated: bool = False
    alpha: float = 0.01
    truths: dict[str, Truth] = {}
    distrusted: dict[str, str] = {}
    since: str = ""

    def learn(self, segments: Sequence[str], answer: Labelled) -> list[str]:
        """Takes in the first label of an answer; gives the segments whose estimates have just lost their trust."""
        for segment in segments:
            self.truths.setdefault(segment, Truth()).add(answer, self.calibration)
        return self._lost(segments)

    def revise(self, segments: Sequence[str], answer: Labelled, *, former: str) -> list[str]:
        """As `learn`, for a label in place of one that came before."""
        for segment in segments:
            if segment in self.truths:
                self.truths[segment].revise(answer, former)
        return self._lost(segments)

    def _lost(self, segments: Sequence[str]) -> list[str]:
        lost = []
        for segment in segments:
            if segment in self.distrusted or segment not in self.truths:
                continue
            # The whole gets half of alpha, the k-th segment 1 / (k (k + 1)) of the other half.
            rank = list(self.truths).index(segment)
            share = self.alpha / 2 / (rank * (rank + 1) if rank else 1)
            truth = self.truths[segment]
            if truth.evidence(self.calibration) * share >= 1:
                self.distrusted[segment] = self._reason(truth)
                lost.append(segment)
        return lost

    def may_act(self, segment: str) -> bool:
        """Whether the estimate of a segment may be acted upon without asking anyone."""
        return self.is_calibrated and segment not in self.distrusted

    def estimate(self, segment: str, window: WindowSketch) -> Estimate:
        """How good the answers of a window are."""
        truth = self.truths.get(segment, Truth())
        note = self.distrusted.get(segment, "")
        if not note and not self.is_calibrated:
            note = "No calibration came with the release: confidences are taken at their word."
        return Estimate(
            segment=segment,
            decisions=window.count,
            estimated=estimated_accuracy(window.confidence, self.calibration),
            labels=truth.labels,
            realised=truth.realised(),
            macro_f1=truth.macro_f1(),
            calibration_error=truth.calibration_error(),
            is_trusted=segment not in self.distrusted,
            note=note,
        )

    def recalibrate(self, truth: Truth, *, through: str = "") -> bool:
        """Trusts again, by these labels, which are those up to the cursor `through`; False when they are too few."""
        if truth.labels < FEWEST_TO_RECALIBRATE:
            return False
        self.calibration, self.is_calibrated = truth.recalibrated(), True
        self.truths, self.distrusted, self.since = {}, {}, through
        return True

    def _reason(self, truth: Truth) -> str:
        expected = estimated_accuracy(truth.counts, self.calibration)
        realised = truth.realised()
        assert expected is not None
        assert realised is not None
        return (
            f"Labels of {truth.labels} decisions say {realised.value:.1%} right where {expected.value:.1%} were "
            "expected: the estimate is not acted upon until it is recalibrated."
        )
