"""How the scores of several linear parts become one: weights and scale from scores on unseen examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from headrace_documents.classifier.judging import log_loss
from headrace_documents.classifier.scale import MOST_POWER, Scale
from headrace_documents.classifier.softmax import Scores, probabilities
from headrace_documents.classifier.surface import Ints

# Pulls the weights towards `usual` ones, which matters with a handful of examples a label only: as much as one example
# or two. Eight makes answers taught from three examples a label far too unsure.
_PULL = 1.0
# What the power of the scale is with few examples, and how many it takes to say otherwise. Between 0.2 and 0.65 on the
# training parts of newsgroups, bills, banking77 and clinc150 at 8, 32 and all examples a label.
_USUAL_POWER = 0.4
_EVEN_PULL = 15.0
# How far the temperature is drawn towards that which the weights hold already, as if its logarithm were spread by 0.3:
# as much as a dozen examples. Without it, a few examples that all fare well would make every answer certain.
_LEVEL_PULL = 1 / (2 * 0.3**2)
_ENOUGH = 4000
# Texts to come are a little unlike those learned from, so a scale found on these is too sure (Ovadia et al., 2019). The
# scores of unseen examples are themselves too unsure where a label has few, as parts and weights were found with still
# fewer: with 14 a label that makes up for half of it. No training set shows how unlike texts to come will be: this is
# what leaves the mean confidence nearest to the accuracy on all that were tried, by date and at random.
_CAUTION = 0.12
_UNSURE = 14.0
# No part is left out altogether, so that what is left without the encoder can be told by a factor.
_LEAST = 1e-3


def blend(parts: Mapping[str, Scores], truth: Ints, *, usual: Mapping[str, float]) -> dict[str, float]:
    """The weight of each part, at least 0, under which the sum of `parts`, (examples, labels) each, is most likely.

    `usual` are the weights to begin with, of scores in units of their own spread. The scores must be of examples that
    the parts had not seen. As the weights set the sum's scale too, they hold a temperature for all (Guo et al., 2017).
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


def blended_unseen(parts: Mapping[str, Scores], truth: Ints, folds: Ints, *, usual: Mapping[str, float]) -> Scores:
    """The sum of `parts` for each example, under weights that were found without its fold.

    Under weights that it helped to find it fares a little better than others will, the more so the fewer there are.
    """
    scores = np.zeros_like(next(iter(parts.values())))
    for fold in np.unique(folds):
        held = folds == fold
        rest = held if held.all() else ~held
        weights = blend({name: part[rest] for name, part in parts.items()}, truth[rest], usual=usual)
        scores[held] = mixed({name: part[held] for name, part in parts.items()}, weights)
    return scores


def scale_of(scores: Scores, truth: Ints, *, caution: float) -> Scale:
    """Under which scale the truth is most likely, for scores (examples, labels) of unseen examples; a little less sure.

    The scores must be sums under weights that `blend` found. `caution` is the share by which the answers to texts that
    are unlike those learned from would be too sure.
    """
    # Two numbers need no more than some thousands; these are of all labels, as the examples are in their order.
    step = -(-len(truth) // _ENOUGH)
    scores, truth = scores[::step], truth[::step]
    spread = np.log(np.maximum(scores.std(axis=1), 1e-6))
    typical = float(spread.mean())

    def loss(flat: Scores) -> float:
        lower, power = float(flat[0]), float(flat[1])
        factors = np.exp(-(lower + power * (spread - typical)))
        pull = _EVEN_PULL * (power - _USUAL_POWER) ** 2 + _LEVEL_PULL * lower**2
        return log_loss(scores * factors[:, None], truth) + pull / len(truth)

    found = minimize(loss, np.array([0.0, _USUAL_POWER]), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6})
    lower, power = float(found.x[0]), min(max(float(found.x[1]), 0.0), MOST_POWER)
    return Scale(gain=float(np.exp(power * typical - lower)) / (1 + caution), power=power)


def caution_at(each: float) -> float:
    """The `caution` that becomes a scale found on so many examples of each label."""
    return _CAUTION * each**2 / (each**2 + _UNSURE**2)


def mixed(parts: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The sum of the parts under their weights."""
    total: Scores = sum((parts[name] * weight for name, weight in weights.items()), np.zeros(()))
    return total
