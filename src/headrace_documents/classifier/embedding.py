"""What a text is about, as numbers: its mean token vector, and a few numbers that stand for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from headrace_documents.classifier.head import Floats

SIZE = 16


def embedding_of(pooled: Mapping[str, Floats]) -> tuple[float, ...]:
    """The mean vector of the text's tokens at length 1, of its `pooled` ones; empty where no token has a vector."""
    for _, found in sorted(pooled.items(), reverse=True):
        if found.any():
            return tuple(found.tolist())
    return ()


def projected(embedding: Sequence[float]) -> tuple[float, ...]:
    """`SIZE` numbers of an embedding, which keep near what is near (Johnson and Lindenstrauss, 1984)."""
    if not embedding:
        return ()
    found = np.asarray(embedding, np.float32) @ _projection(len(embedding))
    return tuple([round(value, 5) for value in found.tolist()])


@cache
def _projection(width: int) -> Floats:
    """(width, SIZE) float32; always the same, so that embeddings of all processes and releases may be compared."""
    drawn = np.random.default_rng(20_260_101).normal(size=(width, SIZE)) / np.sqrt(SIZE)
    projection: Floats = drawn.astype(np.float32)
    return projection
