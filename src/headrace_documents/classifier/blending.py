"""How the scores of several linear parts become one: weights and temperature from scores on unseen examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Scores = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Pulls the weights a little towards an even share; it matters with a handful of examples only.
_PULL = 0.05


def probabilities(scores: Scores) -> Scores:
    """Softmax over the last axis; scores that are no numbers count as the worst."""
    finite = np.nan_to_num(np.asarray(scores, np.float64), nan=-1e9, posinf=1e9, neginf=-1e9)
    raised = np.exp(finite - finite.max(axis=-1, keepdims=True))
    shares: Scores = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def blend(parts: Mapping[str, Scores], truth: Ints) -> dict[str, float]:
    """The weight of each part, at least 0, under which the sum of `parts`, (examples, labels) each, is most likely.

    The scores must be of examples that the parts had not seen. As the weights set the sum's scale too, they hold the
    temperature (Guo et al., 2017): the softmax of the sum is calibrated.
    """
    names = list(parts)
    scales = [max(float(parts[name].std()), 1e-9) for name in names]
    stacked = np.stack([parts[name] / scale for name, scale in zip(names, scales, strict=True)])
    rows = np.arange(len(truth))

    def loss(weights: Scores) -> tuple[float, Scores]:
        shares = probabilities(np.tensordot(weights, stacked, axes=1))
        value = -np.log(np.maximum(shares[rows, truth], 1e-12)).sum() + _PULL * float(((weights - 1) ** 2).sum())
        shares[rows, truth] -= 1
        slope = np.array([(shares * part).sum() for part in stacked]) + 2 * _PULL * (weights - 1)
        return value / len(truth), slope / len(truth)

    found = minimize(loss, np.ones(len(names)), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(names))
    return {name: float(weight) / scale for name, weight, scale in zip(names, found.x, scales, strict=True)}


def mixed(parts: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The sum of the parts under their weights."""
    total: Scores = sum((parts[name] * weight for name, weight in weights.items()), np.zeros(()))
    return total


def log_loss(scores: Scores, truth: Ints) -> float:
    """Mean of -ln of the probability given to what was true."""
    shares = probabilities(scores)
    return float(-np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-12)).mean())


def calibration_error(scores: Scores, truth: Ints, *, bins: int = 15) -> float:
    """Expected calibration error: the gap between confidence and accuracy, over `bins` even bins of confidence."""
    shares = probabilities(scores)
    confidence = shares.max(axis=1)
    is_right = shares.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[place == b].sum() - is_right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(truth))


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
