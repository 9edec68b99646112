"""In a few numbers what a text is about: its mean token vector, projected at random (Johnson-Lindenstrauss)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from headrace_documents.classifier.head import Floats
from headrace_documents.classifier.tokens import Tokens

SIZE = 16


def embedding_of(tokens: Mapping[str, Tokens]) -> tuple[float, ...]:
    """`SIZE` numbers, which keep near what is near; none where no token has a vector."""
    for _, found in sorted(tokens.items(), reverse=True):
        pooled = found.pooled()
        if pooled.any():
            return tuple(round(float(value), 5) for value in pooled @ _projection(len(pooled)))
    return ()


@cache
def _projection(width: int) -> Floats:
    """(width, SIZE) float32; always the same, so that embeddings of all processes and releases may be compared."""
    drawn = np.random.default_rng(20_260_101).normal(size=(width, SIZE)) / np.sqrt(SIZE)
    projection: Floats = drawn.astype(np.float32)
    return projection
