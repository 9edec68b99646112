"""How the scores of several linear parts become one: weights and temperature from scores on unseen examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from headrace_documents.classifier.softmax import Scores, probabilities
from headrace_documents.classifier.surface import Ints

# Pulls the weights towards `usual` ones, which matters with a handful of examples a label only: as much as one example
# or two. Eight makes answers taught from three examples a label far too unsure.
_PULL = 1.0
# No part is left out altogether, so that what is left without the encoder can be told by a factor.
_LEAST = 1e-3


def blend(parts: Mapping[str, Scores], truth: Ints, *, usual: Mapping[str, float]) -> dict[str, float]:
    """The weight of each part, at least 0, under which the sum of `parts`, (examples, labels) each, is most likely.

    `usual` are the weights to begin with, of scores in units of their own spread. The scores must be of examples that
    the parts had not seen. As the weights set the sum's scale too, they hold the temperature (Guo et al., 2017): the
    softmax of the sum is calibrated.
    """
    names = list(parts)
    start = np.array([usual[name] for name in names])
    scales = [max(float(parts[name].std()), 1e-9) for name in names]
    stacked = np.stack([parts[name] / scale for name, scale in zip(names, scales, strict=True)])
    rows = np.arange(len(truth))

    def loss(weights: Scores) -> tuple[float, Scores]:
        shares = probabilities(np.tensordot(weights, stacked, axes=1))
        value = -np.log(np.maximum(shares[rows, truth], 1e-12)).sum() + _PULL * float(((weights - start) ** 2).sum())
        shares[rows, truth] -= 1
        slope = np.array([(shares * part).sum() for part in stacked]) + 2 * _PULL * (weights - start)
        return value / len(truth), slope / len(truth)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(_LEAST, None)] * len(names))
    return {name: float(weight) / scale for name, weight, scale in zip(names, found.x, scales, strict=True)}


def mixed(parts: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The sum of the parts under their weights."""
    total: Scores = sum((parts[name] * weight for name, weight in weights.items()), np.zeros(()))
    return total
