"""Which sentences are taken, within a length: the most salient that do not say what another said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace_documents.summarizer.candidates import Candidate
from headrace_documents.summarizer.terms import Terms

REPETITION = 0.3
"""What full agreement with a sentence already taken costs (the lambda of Carbonell and Goldstein, 1998)."""

SAME = 0.8
"""Sentences so alike, by cosine, are one sentence said twice."""

MOST_CONSIDERED = 400


@dataclass(frozen=True, slots=True)
class Length:
    """How long a summary may be: all bounds hold."""

    sentences: int
    characters: int | None = None
    words: int | None = None

    def allows(self, taken: Sequence[Candidate], candidate: Candidate) -> bool:
        """Whether `candidate` may join `taken`; sentences are parted by one space."""
        if len(taken) >= self.sentences:
            return False
        characters = sum(len(each.text) + 1 for each in taken) + len(candidate.text)
        words = sum(each.words for each in taken) + candidate.words
        return (self.characters is None or characters <= self.characters) and (
            self.words is None or words <= self.words
        )


def select(candidates: Sequence[Candidate], scores: npt.NDArray[np.float64], terms: Terms, length: Length) -> list[int]:
    """The numbers of the candidates taken, in reading order; each next one is the best of those that still fit."""
    ranked = np.argsort(-scores, kind="stable")[:MOST_CONSIDERED]
    remaining = scores[ranked].astype(np.float64)
    likeness = np.zeros(len(ranked))
    taken: list[int] = []
    said: set[str] = set()
    while len(taken) < length.sentences and np.isfinite(remaining).any():
        best = int(np.argmax(remaining - REPETITION * likeness))
        number, candidate = int(ranked[best]), candidates[ranked[best]]
        remaining[best] = -np.inf
        plain = candidate.text.casefold()
        if (
            likeness[best] >= SAME
            or plain in said
            or not length.allows([candidates[each] for each in taken], candidate)
        ):
            continue
        taken.append(number)
        said.add(plain)
        likeness = np.maximum(likeness, terms.similarity_to(terms.row(number))[ranked])
    return sorted(taken)
