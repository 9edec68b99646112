"""How the parts of a head are learned, each by itself, and how they fare on examples that they had not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from headrace_documents.classifier.softmax import Scores
from headrace_documents.classifier.surface import Ints, Surface
from headrace_documents.classifier.words import Vocabulary, pairs_of

Features = Any
"""(texts, width) float32: a `csr_matrix` of words, an array of pooled token vectors; or bags of single ones."""
Floats = npt.NDArray[np.float32]

# How much the examples count against the pull towards the labels' names. Ten to thirty fare alike on banking77,
# newsgroups and bills at 8, 32 and all examples a label; below three few examples are not believed enough.
_REGRESSION = 30.0
# How far the spread within labels is drawn towards an even one. Beside the regression, a half to four fifths lower the
# loss on unseen texts of all sets alike; a tenth does not.
_EVENED = 0.5
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class Part:
    """One linear part: `weights` (width, labels) and `base` (labels,), float64."""

    weights: Scores
    base: Scores

    def scores(self, features: Features) -> Scores:
        """(texts, labels) float64."""
        total: Scores = np.asarray(features @ self.weights) + self.base
        return total


class Scoring(Protocol):
    """What has been taught, and can be asked."""

    def scores(self, features: Any, /) -> Scores:
        """(texts, labels) float64."""
        ...


Teach = Callable[[Features, Ints], Scoring]
"""Makes a part from features and the number of each text's label."""


def taught(features: Features, truth: Ints, labels: int, *, seed: int) -> Part:
    """A support vector machine for each label against all others (Fan et al., 2008), squared hinge, C = 1.

    A label without an example gets no weights and the base of a clear no.
    """
    present = np.unique(truth)
    weights, base = np.zeros((features.shape[1], labels)), np.full(labels, -1.0)
    if len(present) == 1:
        base[present] = 1.0
        return Part(weights, base)
    machine = LinearSVC(C=1.0, dual=True, tol=2e-2, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        # A machine that stops a little early is as good here: its scores are judged on unseen examples anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(features, truth)
    rows, shifts = machine.coef_, machine.intercept_
    if len(present) == 2:
        rows, shifts = np.concatenate([-rows, rows]), np.concatenate([-shifts, shifts])
    weights[:, present] = rows.T
    base[present] = shifts
    return Part(weights, base)


def regressed(features: Floats, truth: Ints, labels: int, *, start: Scores) -> Part:
    """Softmax regression over dense features, pulled towards the weights `start` (width, labels) instead of nothing.

    `start` is what the labels' names say: with few examples they are worth as much as some more. A label without an
    example keeps them. Found by L-BFGS in float32 products, which suffices for a loss that is smooth and convex.
    """
    count, width = features.shape
    weigh = np.float32(1.0 / (_REGRESSION * count))
    rows = np.arange(count)
    offset = (features @ start.astype(np.float32)).astype(np.float32)

    def loss(flat: Scores) -> tuple[float, Scores]:
        both = flat.reshape(width + 1, labels)
        scores = features @ both[:-1].astype(np.float32) + both[-1].astype(np.float32) + offset
        scores -= scores.max(axis=1, keepdims=True)
        raised = np.exp(scores)
        sums = raised.sum(axis=1, keepdims=True)
        fit = float((np.log(sums[:, 0]) - scores[rows, truth]).mean(dtype=np.float64))
        raised /= sums
        raised[rows, truth] -= 1
        slope = np.empty_like(both)
        slope[:-1] = (features.T @ raised) / count + weigh * both[:-1]
        slope[-1] = raised.sum(axis=0, dtype=np.float64) / count
        return fit + 0.5 * float(weigh) * float(np.square(both[:-1]).sum()), slope.ravel()

    bounds = {"maxiter": 200, "gtol": 1e-5, "ftol": 1e-7}
    found = minimize(loss, np.zeros((width + 1) * labels), jac=True, method="L-BFGS-B", options=bounds)
    both = found.x.reshape(width + 1, labels)
    return Part(both[:-1] + start, both[-1])


def parted(features: Floats, truth: Ints, labels: int) -> Part:
    """Fisher's linear discriminant (1936): how near each label's mean is, in units of the spread within labels.

    The spread is drawn halfway towards an even one, as there are often fewer examples than directions. A label without
    an example stands as far away as the farthest.
    """
    width = features.shape[1]
    rows = features.astype(np.float64)
    centre = rows.mean(axis=0)
    counts = np.bincount(truth, minlength=labels)
    means = np.zeros((labels, width))
    np.add.at(means, truth, rows - centre)
    means /= np.maximum(counts, 1)[:, None]
    has_spread = len(rows) > np.count_nonzero(counts)
    rest = rows - centre - (means[truth] if has_spread else 0.0)
    spread = rest.T @ rest / max(len(rows) - np.count_nonzero(counts), 1)
    even = max(float(np.trace(spread)) / width, _LEAST_SPREAD)
    spread = (1 - _EVENED) * spread + _EVENED * even * np.eye(width)
    weights = np.linalg.solve(spread, means.T)
    distance = 0.5 * (means * weights.T).sum(axis=1)
    distance[counts == 0] = distance.max()
    return Part(weights, -distance - centre @ weights)


def unseen_scores(
    teach: Teach, features: Features, truth: Ints, folds: Ints, *, labels: int, each: Callable[[], None]
) -> Scores:
    """The scores of every text by a part taught without its fold, (texts, labels); calls `each` after each fold."""
    scores = np.zeros((len(truth), labels))
    for fold in np.unique(folds):
        held = folds == fold
        if held.all():
            continue
        scores[held] = teach(features[~held], truth[~held]).scores(features[held])
        each()
    return scores


def sparse_features(vocabulary: Vocabulary, surfaces: Sequence[Surface]) -> csr_matrix:
    """The features of all texts, (texts, columns) float32."""
    columns, values, starts = [], [], [0]
    for surface in surfaces:
        entries = vocabulary.entries(surface, pairs_of(surface))
        columns.append(entries.columns)
        values.append(entries.values)
        starts.append(starts[-1] + len(entries.columns))
    matrix = csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(starts)), shape=(len(surfaces), vocabulary.width)
    )
    matrix.sum_duplicates()
    return matrix
