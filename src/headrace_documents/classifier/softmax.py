"""Scores of labels as probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

UNITS = 1_000_000
"""Probabilities are told to six places."""


def probabilities(scores: Scores) -> Scores:
    """Softmax over the last axis; scores that are no numbers count as the worst."""
    finite = np.nan_to_num(np.asarray(scores, np.float64), nan=-1e9, posinf=1e9, neginf=-1e9)
    raised = np.exp(finite - finite.max(axis=-1, keepdims=True))
    shares: Scores = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def told(shares: Scores) -> list[float]:
    """Probabilities of one text in six places that still add up to 1, in the order in which they are given.

    What rounding down leaves over goes to those that lost most by it, so that no two change places.
    """
    units = shares * UNITS
    whole = np.floor(units)
    left = max(0, round(UNITS - float(whole.sum())))
    whole[np.argsort(whole - units, kind="stable")[:left]] += 1.0
    counted: list[float] = (whole / UNITS).tolist()
    return counted
