"""Classifier: a head and the readers that it was taught with, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from headrace import InvalidConfiguration, SharedWork
from headrace_documents.classifier.contributions import contributions_of
from headrace_documents.classifier.embedding import embedding_of
from headrace_documents.classifier.head import Head, Reading, Scored
from headrace_documents.classifier.softmax import probabilities, told
from headrace_documents.classifier.surface import Ints, Surface, surface_of
from headrace_documents.classifier.tokens import TokenReader
from headrace_documents.classifier.words import pairs_of
from headrace_documents.schema import Classification, Explanation, Text

# Of the time that a caller has left, reading may take this share: scoring and the services beside it need the rest.
_SHARE_OF_TIME = 0.5
EVIDENCE = 10
"""How many contributions an answer lists, unless its caller asks for more or fewer."""

_FEWEST_TOKENS = 32
_FEWEST_CHARACTERS = 2_000


@dataclass(slots=True)
class Pace:
    """How fast something is read, in units a second, learned as it goes; starts from a careful guess."""

    per_s: float

    def learn(self, units: int, seconds: float) -> None:
        """Moves a fifth of the way to what was just seen; short readings tell nothing."""
        if units >= _FEWEST_TOKENS and seconds > 0:
            self.per_s += 0.2 * (units / seconds - self.per_s)

    def within(self, seconds: float, *, least: int) -> int:
        """How many units can be read in `seconds`: a power of two of `least`, so that small changes change nothing."""
        units = least
        while units * 2 <= seconds * self.per_s:
            units *= 2
        return units


class Classifier:
    """Answers with a label, its probability and what each word adds; each text is computed by itself."""

    def __init__(self, head: Head, readers: Mapping[str, TokenReader], *, contextual: str = "minilm") -> None:
        for name, digest in head.readers.items():
            if name not in readers or readers[name].digest != digest:
                raise InvalidConfiguration(
                    f"The model was taught with token vectors {name!r} of {digest[:24]}, which are not here.",
                    remedy="Install them as they were, or train the model again.",
                )
        self.head = head
        self._readers = {name: readers[name] for name in head.readers}
        self._contextual = contextual
        self._words_pace = Pace(200_000.0)
        self._tokens_pace = Pace(3_000.0)

    def without_encoder(self) -> Classifier:
        """The same without the contextual token vectors, which take most of the time; for when there is little."""
        if self._contextual not in self._readers:
            return self
        names = [name for name in self._readers if name != self._contextual]
        return Classifier(self.head.without(self._contextual), {name: self._readers[name] for name in names})

    def read(self, characters: str, *, remaining_s: float | None = None, work: SharedWork | None = None) -> Reading:
        """What the head needs of a text. Less of it is read when `remaining_s` seconds would not do for all.

        All that does not depend on the head is computed once for all heads that share `work`.
        """
        work = work or SharedWork()
        budget_s = None if remaining_s is None else remaining_s * _SHARE_OF_TIME
        wanted, limit = len(characters), self.head.tokens
        if budget_s is not None:
            characters = characters[: self._words_pace.within(budget_s / 2, least=_FEWEST_CHARACTERS)]
            limit = min(limit, self._tokens_pace.within(budget_s / 2, least=_FEWEST_TOKENS))
        begun = perf_counter()
        surface, pairs = work.once(("words", characters), lambda: _words_of(characters))
        entries = {
            name: work.once((terms, characters), partial(terms.entries, surface, pairs))
            for name, terms in self.head.vocabularies.items()
        }
        tokens = {
            name: work.once((reader.digest, characters), partial(reader.read, characters))
            for name, reader in self._readers.items()
            if name != self._contextual
        }
        self._words_pace.learn(len(characters), perf_counter() - begun)
        if self._contextual in self._readers:
            begun = perf_counter()
            reader = self._readers[self._contextual]
            read_tokens = partial(reader.read, characters, tokens=limit)
            tokens[self._contextual] = work.once((reader.digest, characters, limit), read_tokens)
            self._tokens_pace.learn(len(tokens[self._contextual].ends), perf_counter() - begun)
        read = min((part.read for part in tokens.values()), default=len(characters))
        is_cut = len(characters) < wanted or (limit < self.head.tokens and read < len(characters))
        return Reading(surface, pairs, entries, tokens, read, is_cut)

    def classification(self, text: Text, reading: Reading, *, model: str, evidence: int = EVIDENCE) -> Classification:
        """The answer for a text that was read.

        Probabilities have six places and add up to 1. `total` of the explanation is the label's score; the softmax of
        all labels' scores is `probabilities`.
        """
        scored = self.head.scored(reading)
        shares = probabilities(scored.scores)
        order = np.argsort(-shares, kind="stable")
        ranked = list(zip((self.head.labels[place] for place in order.tolist()), told(shares[order]), strict=True))
        listed, whole = self.explained(text, reading, scored, label=int(order[0]), evidence=evidence)
        return Classification(
            label=ranked[0][0],
            confidence=ranked[0][1],
            probabilities=dict(ranked),
            explanation=listed,
            contributions=whole,
            characters_read=reading.read,
            model=model,
            embedding=embedding_of(scored.pooled),
        )

    def explained(
        self, text: Text, reading: Reading, scored: Scored, *, label: int, evidence: int = EVIDENCE
    ) -> tuple[Explanation, Explanation]:
        """Why the text has the score of `label`: by the strongest contributions, and by all of them."""
        found = contributions_of(self.head, reading, scored, label)
        return found.explanation(text, evidence=evidence), found.whole(text)


def _words_of(characters: str) -> tuple[Surface, Ints]:
    surface = surface_of(characters)
    return surface, pairs_of(surface)
