"""What a text is about, as numbers: its mean token vector, and a few numbers that stand for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from headrace_documents.classifier.head import Floats

SIZE = 16


NOTHING: Floats = np.zeros(0, np.float32)
"""The embedding of a text of which no token has a vector."""


def embedding_of(pooled: Mapping[str, Floats]) -> Floats:
    """The mean vector of the text's tokens at length 1, of its `pooled` ones, (width,) float32; else `NOTHING`."""
    for _, found in sorted(pooled.items(), reverse=True):
        if found.any():
            return found
    return NOTHING


def projected(embedding: Floats) -> tuple[float, ...]:
    """`SIZE` numbers of an embedding, which keep near what is near (Johnson and Lindenstrauss, 1984)."""
    if not len(embedding):
        return ()
    found = np.asarray(embedding, np.float32) @ _projection(len(embedding))
    return tuple(found.astype(np.float64).round(5).tolist())


@cache
def _projection(width: int) -> Floats:
    """(width, SIZE) float32; always the same, so that embeddings of all processes and releases may be compared."""
    drawn = np.random.default_rng(20_260_101).normal(size=(width, SIZE)) / np.sqrt(SIZE)
    projection: Floats = drawn.astype(np.float32)
    return projection
