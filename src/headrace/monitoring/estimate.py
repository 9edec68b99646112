"""Quality without labels: what accuracy to expect from confidences, and whether that expectation may be trusted.

Confidence-based estimation (Guillory and others, ICCV 2021; NannyML's CBPE): when confidences are calibrated, their
mean is the expected accuracy, also when the mix of inputs shifts. It is wrong when the meaning of inputs changes
(concept drift), which only labels can show: so labels, when they come, are held against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from headrace.domain.report import Estimate, Measured
from headrace.monitoring.calibration import Calibration, bin_of, estimated_accuracy
from headrace.monitoring.detectors import unspent
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.window import CONFIDENCE_BINS, WindowSketch

_Z = 1.96
_TOLERANCE = 0.03
"""An estimate may be this far off before it is called wrong."""
_BETS = np.array([-0.9, -0.5, -0.2, 0.2, 0.5, 0.9])
_PARTED = "\x1f"
FEWEST_TO_RECALIBRATE = 50


class Truth(msgspec.Struct):
    """Answers of one segment whose labels have come, and the capital that bets against the estimate.

    The bets are on (right - expected) with a tolerance either way, so the capital is a test supermartingale as long as
    the estimate is right to within it, and reaches 1 / alpha with probability at most alpha.
    """

    labels: int = 0
    right: int = 0
    counts: dict[int, int] = {}
    hits: dict[int, int] = {}
    pairs: HeavyCounts = msgspec.field(default_factory=HeavyCounts)
    betting: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_BETS))
    highest: float = 1.0

    def add(self, predicted: str, actual: str, confidence: float, calibration: Calibration) -> None:
        """Takes in a label for an answer of that confidence."""
        is_right = predicted == actual
        place = bin_of(confidence)
        self._bet(is_right, calibration, place)
        self.labels += 1
        self.right += is_right
        self.counts[place] = self.counts.get(place, 0) + 1
        self.hits[place] = self.hits.get(place, 0) + is_right
        self.pairs.add(f"{predicted}{_PARTED}{actual}")

    def capital(self) -> float:
        """What the bets against the estimate have now; it began at 1."""
        return float(np.mean(self.betting)) + float(unspent(np.array([self.labels]))[0])

    def realised(self) -> Measured | None:
        """The accuracy by labels, with Wilson's interval (1927)."""
        if not self.labels:
            return None
        n, share = self.labels, self.right / self.labels
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
        return Measured(share, max(0.0, middle - half), min(1.0, middle + half))

    def macro_f1(self) -> float | None:
        """The mean over labels of their F1; None without labels."""
        pairs = [(*_pair(name), times) for name, times in self.pairs.counts.items()]
        names = sorted({name for predicted, actual, _ in pairs for name in (predicted, actual)})
        if not names:
            return None
        figures = []
        for name in names:
            hits = sum(times for predicted, actual, times in pairs if predicted == actual == name)
            said = sum(times for predicted, _, times in pairs if predicted == name)
            was = sum(times for _, actual, times in pairs if actual == name)
            figures.append(2 * hits / (said + was))
        return float(np.mean(figures))

    def calibration_error(self) -> float | None:
        """Expected calibration error: the mean distance of confidence and accuracy, by bin; None without labels."""
        if not self.labels:
            return None
        gaps = [abs((place + 0.5) / CONFIDENCE_BINS * times - self.hits[place]) for place, times in self.counts.items()]
        return sum(gaps) / self.labels

    def recalibrated(self) -> Calibration:
        """A calibration from these labels."""
        calibration = Calibration()
        for place, times in self.counts.items():
            calibration.counts[place], calibration.hits[place] = times, self.hits[place]
        return calibration

    def _bet(self, is_right: bool, calibration: Calibration, place: int) -> None:  # noqa: FBT001 - the outcome of a bet
        chance, deviation = calibration.expected()
        slack = _TOLERANCE + 2 * float(deviation[place])
        above = min(float(chance[place]) + slack, 1.0)
        below = max(float(chance[place]) - slack, 0.0)
        moved = np.where(_BETS > 0, is_right - above, is_right - below)
        begun = unspent(np.array([self.labels, self.labels + 1]))
        paid = 1 + _BETS * moved
        self.betting = [float(x) for x in np.minimum((self.betting + (begun[0] - begun[1])) * paid, 1e200)]
        self.highest = max(self.highest, float(np.mean(self.betting)) + float(begun[1]))


def _pair(name: str) -> tuple[str, str]:
    predicted, _, actual = name.partition(_PARTED)
    return predicted, actual


class Estimator(msgspec.Struct):
    """Estimates by segment for one release, each trusted until labels show that it was wrong."""

    calibration: Calibration = msgspec.field(default_factory=Calibration)
    is_calibrated: bool = False
    alpha: float = 0.01
    truths: dict[str, Truth] = {}
    distrusted: dict[str, str] = {}

    def learn(self, segments: Sequence[str], *, predicted: str, actual: str, confidence: float) -> list[str]:
        """Takes in a label; gives the segments whose estimates have just lost their trust."""
        lost = []
        for segment in segments:
            truth = self.truths.setdefault(segment, Truth())
            truth.add(predicted, actual, confidence, self.calibration)
            # The whole gets half of alpha, the k-th segment 1 / (k (k + 1)) of the other half.
            rank = list(self.truths).index(segment)
            share = self.alpha / 2 / (rank * (rank + 1) if rank else 1)
            if truth.highest * share >= 1 and segment not in self.distrusted:
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

    def recalibrate(self, truth: Truth) -> bool:
        """Trusts again, by these labels; False when they are too few."""
        if truth.labels < FEWEST_TO_RECALIBRATE:
            return False
        self.calibration, self.is_calibrated = truth.recalibrated(), True
        self.truths, self.distrusted = {}, {}
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
