"""How scores fare against the truth: loss, calibration, confusion, and the figures of every label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.classifier.softmax import Scores, probabilities
from headrace_documents.classifier.surface import Ints


def log_loss(scores: Scores, truth: Ints) -> float:
    """Mean of -ln of the probability given to what was true."""
    shares = probabilities(scores)
    return float(-np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-12)).mean())


def calibration_error(scores: Scores, truth: Ints, *, bins: int = 15) -> float:
    """Expected calibration error: the gap between confidence and accuracy, over `bins` even bins of confidence."""
    shares = probabilities(scores)
    return calibration_error_of(shares.max(axis=1), shares.argmax(axis=1) == truth, bins=bins)


def calibration_error_of(confidence: Scores, is_right: npt.NDArray[np.bool_], *, bins: int = 15) -> float:
    """The same, of answers (texts,) that are so sure."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[place == b].sum() - is_right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(confidence))


def confusion_of(predicted: Ints, truth: Ints, size: int) -> Ints:
    """Counts of `[true label, answered label]`, (size, size)."""
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size).astype(np.int64)


def class_figures(confusion: Ints) -> Sequence[tuple[int, float, float, float]]:
    """For every label: examples, precision, recall, F1; a share of nothing is 0."""
    right = np.diag(confusion).astype(np.float64)
    answered, there = confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = right / np.maximum(answered, 1), right / np.maximum(there, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return list(zip(there.tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True))


def right_by_confidence(scores: Scores, truth: Ints, *, bins: int = 50) -> list[list[int]]:
    """How many answers of each bin of confidence there are, and how many of them are right; bins of equal width."""
    shares = probabilities(scores)
    place = np.minimum((shares.max(axis=1) * bins).astype(np.int64), bins - 1)
    right = shares.argmax(axis=1) == truth
    counts = np.bincount(place, minlength=bins)
    return [
        [int(count), int(hits)] for count, hits in zip(counts, np.bincount(place[right], minlength=bins), strict=True)
    ]
