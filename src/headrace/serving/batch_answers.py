"""The answers of one batch, which have to be as many as its questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.errors import ServiceFailed


def each_of(values: object, title: str, *, asked: int) -> list[Any]:
    """The answers one by one: of a list, a tuple, or the rows of an array; `title` is the method that gave them.

    Raises:
        ServiceFailed: they are something else, or not `asked` of them.
    """
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values) if values.ndim > 1 else values.tolist()
    if not isinstance(values, (list, tuple)) or len(values) != asked:
        given = len(values) if isinstance(values, (list, tuple)) else f"{type(values).__name__} for"
        raise ServiceFailed(
            f"{title} was asked {asked} questions and gave {given} answers.",
            remedy="Return a list with one answer for each question, in their order.",
        )
    return list(values)
