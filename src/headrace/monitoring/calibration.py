"""Calibration: how often answers of a confidence are right, and what is not known of that.

A curve by beta calibration (Kull, Silva Filho and Flach, AISTATS 2017): the log-odds of being right are
`a ln c - b ln(1 - c) + d`, fitted by the posterior mode under a prior around "confidences are right" (a = b = 1,
d = 0). Each of `CONFIDENCE_BINS` bins then moves from the curve towards its own share, as far as its examples allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.domain.report import Measured
from headrace.monitoring.window import CONFIDENCE_BINS

Floats = npt.NDArray[np.float64]

_Z = 1.96
_PRIOR_MEAN = np.array([1.0, 1.0, 0.0])
_PRIOR_PRECISION = np.diag(1 / np.array([0.5, 0.5, 0.7]) ** 2)
_CURVE_EXAMPLES = 40.0
"""As many examples as the curve counts for in each bin."""
_STEPS = 25
_SHORTEST = 1e-4

_MIDDLES = (np.arange(CONFIDENCE_BINS) + 0.5) / CONFIDENCE_BINS
_TERMS = np.stack([np.log(_MIDDLES), -np.log1p(-_MIDDLES), np.ones(CONFIDENCE_BINS)], axis=1)


def bin_of(confidence: float) -> int:
    """The bin of a confidence, `CONFIDENCE_BINS` of equal width."""
    return min(max(int(confidence * CONFIDENCE_BINS), 0), CONFIDENCE_BINS - 1)


class Calibration(msgspec.Struct):
    """How often answers of each bin of confidence were right, on examples that the model had not seen."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * CONFIDENCE_BINS)
    hits: list[int] = msgspec.field(default_factory=lambda: [0] * CONFIDENCE_BINS)

    @classmethod
    def fitted(cls, confidences: Sequence[float], correct: Sequence[bool]) -> Calibration:
        """From answers and whether they were right."""
        calibration = cls()
        for confidence, is_right in zip(confidences, correct, strict=True):
            calibration.counts[bin_of(confidence)] += 1
            calibration.hits[bin_of(confidence)] += bool(is_right)
        return calibration

    @property
    def examples(self) -> int:
        """How many answers it was fitted from."""
        return sum(self.counts)

    def curve(self) -> tuple[Floats, Floats]:
        """The chance to be right by bin, (bins,), and the covariance of a, b and d, (3, 3); by Newton's method."""
        counts, hits = np.array(self.counts, np.float64), np.array(self.hits, np.float64)
        found = _PRIOR_MEAN.copy()
        precision = _PRIOR_PRECISION
        for _ in range(_STEPS):
            chance = _logistic(_TERMS @ found)
            slope = _TERMS.T @ (hits - counts * chance) - _PRIOR_PRECISION @ (found - _PRIOR_MEAN)
            precision = (_TERMS * (counts * chance * (1 - chance))[:, None]).T @ _TERMS + _PRIOR_PRECISION
            step = np.linalg.solve(precision, slope)
            share = min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
            # Far from the prior a whole step leaps over the top and back again, and never comes to rest.
            reached = _evidence(found, counts, hits)
            while share > _SHORTEST and _evidence(found + share * step, counts, hits) < reached:
                share /= 2
            found = found + share * step
            if float(np.abs(step).max()) < 1e-9:
                break
        covariance = np.asarray(np.linalg.inv(precision), np.float64)
        return _logistic(_TERMS @ found), covariance

    def expected(self) -> tuple[Floats, Floats]:
        """By bin the chance to be right and its deviation, (bins,) each."""
        chance, own, slopes, covariance = self._parts()
        common = np.einsum("bi,ij,bj->b", slopes, covariance, slopes)
        return chance, np.sqrt(own + common)

    def _parts(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Chance and own variance by bin, how it moves with the curve (bins, 3), and the covariance of the curve."""
        curve, covariance = self.curve()
        counts, hits = np.array(self.counts, np.float64), np.array(self.hits, np.float64)
        chance = (hits + _CURVE_EXAMPLES * curve) / (counts + _CURVE_EXAMPLES)
        own = chance * (1 - chance) / (counts + _CURVE_EXAMPLES + 1)
        leaning = _CURVE_EXAMPLES / (counts + _CURVE_EXAMPLES)
        slopes = _TERMS * (curve * (1 - curve) * leaning)[:, None]
        return chance, own, slopes, covariance

    def mean(self, weights: Floats) -> tuple[float, float]:
        """The chance to be right of answers that fall into the bins by `weights`, (bins,), and its variance."""
        chance, own, slopes, covariance = self._parts()
        slope = weights @ slopes
        return float(weights @ chance), float(np.sum(weights**2 * own) + slope @ covariance @ slope)


def estimated_accuracy(confidence: Mapping[int, int], calibration: Calibration) -> Measured | None:
    """The accuracy to expect of answers counted by bin of confidence; the interval is for what will be counted.

    It covers chance in the answers, and what the calibration does not know; None without answers.
    """
    counts = np.zeros(CONFIDENCE_BINS)
    for place, times in confidence.items():
        counts[place] += times
    total = float(counts.sum())
    if not total:
        return None
    value, variance = calibration.mean(counts / total)
    # What will be counted comes in steps of one answer: in small windows half a step is more than the rest.
    half = _Z * math.sqrt(variance + value * (1 - value) / total) + 0.5 / total
    return Measured(value, max(0.0, value - half), min(1.0, value + half))


def _evidence(curve: Floats, counts: Floats, hits: Floats) -> float:
    """How well a curve fits, as the logarithm of what Newton's method looks for the top of."""
    scores, moved = _TERMS @ curve, curve - _PRIOR_MEAN
    return float(hits @ scores - counts @ np.logaddexp(0.0, scores) - moved @ _PRIOR_PRECISION @ moved / 2)


def _logistic(values: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return chance
