"""Whether a sentence that a model wrote says what its source says, and which sentences of the source say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace_documents.summarizer.abbreviations import words
from headrace_documents.summarizer.candidates import Candidate
from headrace_documents.summarizer.salience import LineVectors
from headrace_documents.summarizer.terms import Floats, terms_of, weigh

MOST_SOURCES = 3
COVERED = 0.6
"""So much of a sentence's terms, by their rarity, must stand in its sources."""

LOOSELY_COVERED = 0.4
ALIKE = 0.8
"""Of a sentence whose meaning is so near to a source, by cosine, fewer terms need to stand there."""

LEAST_GAIN = 0.08
RETOLD = 0.6
"""A sentence with so many of a source's terms tells all of it, with what it denies."""

_NUMBER = re.compile(r"\d+(?:[.,  '’]\d+)*")
_SEPARATORS = re.compile(r"[.,  '’]")
_NEGATIONS = words(
    "no not never none without cannot nicht kein keine keinen nie ohne ne pas jamais aucun aucune sans nunca sin",
    "non mai senza não sem niet geen nooit не нет никогда без",
)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Support:
    """The numbers of the source's sentences that say what a sentence says, best first, and how well: 0 to 1."""

    sources: tuple[int, ...]
    share: float
    is_supported: bool


class Grounding:
    """The sentences of a source, against which what was written of them is held.

    A sentence is supported when its terms stand together in at most three of the source's, every number of it stands
    in one of those, every name somewhere in the source, and it denies what the nearest of them denies. This is a
    check of words, not of understanding: it cannot tell who did what to whom.
    """

    def __init__(self, source: Sequence[Candidate], *, language: str | None, vectors: LineVectors) -> None:
        self._lines = [each.text for each in source]
        self._terms = weigh(self._lines)
        self._held = [set(terms_of(line)) for line in self._lines]
        self._all = set().union(*self._held) if self._held else set()
        # German writes every noun like a name.
        self._knows_names = language != "de"
        self._vectors = vectors
        self._rows = vectors(self._lines).astype(np.float64) if self._lines else np.zeros((0, 1))

    def support(self, sentence: str) -> Support:
        """What in the source supports `sentence`."""
        terms = set(terms_of(sentence)) - _NEGATIONS
        if not terms or not self._lines:
            return Support((), 0.0, is_supported=False)
        rarity = {term: self._rarity(term) for term in terms}
        cosines = self._rows @ self._vectors([sentence])[0].astype(np.float64)
        sources, share = self._sources(rarity, cosines)
        if not sources:
            return Support((), 0.0, is_supported=False)
        told = " ".join(self._lines[number] for number in sources)
        needed = LOOSELY_COVERED if float(cosines[list(sources)].max()) >= ALIKE else COVERED
        is_supported = (
            share >= needed
            and numbers_of(sentence) <= numbers_of(told)
            and self._names(sentence)
            and self._agrees(sentence, sources[0])
        )
        return Support(sources, round(share, 4), is_supported=is_supported)

    def _rarity(self, term: str) -> float:
        """A term that the source does not have at all is as rare as its rarest."""
        column = self._terms.vocabulary.get(term)
        rarest = float(np.log1p(max(self._terms.count, 1)))
        return rarest if column is None else float(self._terms.rarity[column])

    def _sources(self, rarity: dict[str, float], cosines: Floats) -> tuple[tuple[int, ...], float]:
        """Sentences taken one after the other, each for what it adds to the terms covered."""
        total = sum(rarity.values())
        missing = set(rarity)
        taken: list[int] = []
        while missing and len(taken) < MOST_SOURCES:
            gains = [sum(rarity[term] for term in missing & held) / total for held in self._held]
            # The meaning decides between sentences that cover alike.
            best = int(np.argmax(np.array(gains) + 0.05 * cosines))
            if gains[best] < LEAST_GAIN:
                break
            taken.append(best)
            missing -= self._held[best]
        return tuple(taken), 1 - sum(rarity[term] for term in missing) / total

    def _agrees(self, sentence: str, source: int) -> bool:
        """Whether it denies when its nearest source does; a part of a source may leave out what another part denies."""
        line = self._lines[source]
        if _denies(sentence) or not _denies(line):
            return _denies(sentence) == _denies(line)
        held = self._held[source] - _NEGATIONS
        return len(held & set(terms_of(sentence))) < RETOLD * len(held)

    def _names(self, sentence: str) -> bool:
        if not self._knows_names:
            return True
        later = _WORD.findall(sentence)[1:]
        return all(term in self._all for word in later if word[0].isupper() for term in terms_of(word))


def numbers_of(line: str) -> set[str]:
    """The numbers in `line`, without what parts their thousands and decimals."""
    return {_SEPARATORS.sub("", number) for number in _NUMBER.findall(line)}


def _denies(line: str) -> bool:
    lowered = line.lower()
    return "n't" in lowered or "n’t" in lowered or not _NEGATIONS.isdisjoint(_WORD.findall(lowered))
