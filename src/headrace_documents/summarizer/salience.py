"""How much each sentence of a text says for the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.summarizer.candidates import Candidate
from headrace_documents.summarizer.cues import is_contact, is_idle, tells
from headrace_documents.summarizer.headings import Role
from headrace_documents.summarizer.terms import Floats, Terms

LineVectors = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Gives one row of numbers a line, (lines, width) float32."""

# The weights are round on purpose. Halving or doubling any one of them moves ROUGE on the development papers by less
# than a point; without centre, opening or title it falls by two to five (benchmarks/summarisation.py measures the sum).
CENTRE = 1.0
OPENING = 0.4
TITLE_TERMS = 0.2
TITLE_MEANING = 0.5
TELLING = 0.12
CONCLUDING = 0.15
SUMMARISING = 0.35
LENGTH = 0.1
OPENING_SENTENCES = 10
OPENING_SHARE = 0.1
USUAL_WORDS = 25
FEWEST_WORDS = 6
MOST_WORDS = 70


def salience(
    candidates: Sequence[Candidate], terms: Terms, *, title: str, vectors: LineVectors | None = None
) -> Floats:
    """(candidates,) how much each says for all: near the centre of the terms, early, about the title, concluding.

    A centroid (Radev, 2004) with Edmundson's (1969) place, title and cue. With `vectors` a sentence may also share
    the title's meaning without its words.
    """
    words = np.array([max(candidate.words, 1) for candidate in candidates], dtype=np.float64)
    scores = CENTRE * _scaled(terms.similarity_to(terms.centroid())) + OPENING * _openings(len(candidates))
    scores -= LENGTH * np.log(np.maximum(words, 3) / USUAL_WORDS)
    if title:
        scores += TITLE_TERMS * terms.similarity_to(terms.direction_of(title))
        if vectors is not None:
            scores += TITLE_MEANING * _likeness([title, *(candidate.text for candidate in candidates)], vectors)
    scores += np.array([_manner(candidate) for candidate in candidates])
    scores -= 1.0 * (words < FEWEST_WORDS) + 0.5 * (words > MOST_WORDS)
    return scores


def _scaled(values: Floats) -> Floats:
    top = float(values.max(initial=0.0))
    scaled: Floats = values / top if top > 0 else values
    return scaled


def _openings(count: int) -> Floats:
    """From 1 at the first sentence down; slowly in short texts, whose first sentence is often a mere opening."""
    openings: Floats = np.exp(-np.arange(count) / max(OPENING_SENTENCES, OPENING_SHARE * count))
    return openings


def _likeness(lines: Sequence[str], vectors: LineVectors) -> Floats:
    """(lines - 1,) cosines of the other lines with the first."""
    rows = vectors(lines).astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines: Floats = rows[1:] @ rows[0]
    return cosines


def _manner(candidate: Candidate) -> float:
    line = candidate.text
    score = {Role.SUMMARY: SUMMARISING, Role.CONCLUSION: CONCLUDING}.get(candidate.role, 0.0)
    if is_idle(line) or is_contact(line):
        return score - 0.6
    if line.endswith((":", "?", "？", "؟")):
        # It asks or announces what another sentence says.
        return score - 0.25
    return score + TELLING * tells(line)
