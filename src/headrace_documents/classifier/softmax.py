"""Scores of labels as probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def probabilities(scores: Scores) -> Scores:
    """Softmax over the last axis; scores that are no numbers count as the worst."""
    finite = np.nan_to_num(np.asarray(scores, np.float64), nan=-1e9, posinf=1e9, neginf=-1e9)
    raised = np.exp(finite - finite.max(axis=-1, keepdims=True))
    shares: Scores = raised / raised.sum(axis=-1, keepdims=True)
    return shares
