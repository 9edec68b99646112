"""How a head is taught: parts of one kind of feature each, blended by how they fare on unseen examples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from headrace import OnProgress
from headrace_documents.classifier.blending import blend, mixed
from headrace_documents.classifier.head import TERMS, WORDS, Floats, Head
from headrace_documents.classifier.lesson import COST_MS, Lesson
from headrace_documents.classifier.parts import Features, Part, regressed, sparse_features, taught, unseen_scores
from headrace_documents.classifier.softmax import Scores
from headrace_documents.classifier.surface import Ints, Surface, surface_of
from headrace_documents.classifier.tokens import StaticReader, TokenReader
from headrace_documents.classifier.words import Vocabulary, vocabulary_of
from headrace_documents.classifier.zero_shot import centred, label_in_words, literal_terms, nearness

_MOST_WEIGHTS = 12_000_000
_MOST_COLUMNS = 100_000
# Vectors are learned together, the table's shorter than the encoder's, which know more; and as near to the labels'
# names at the start as a cosine of 1 is worth 5 in the score. Both matter below 32 examples a label only.
_SCALES = {"static": 0.6, "minilm": 1.0}
_NAMED = 5.0
_AND = "+"
# Texts to come are a little unlike those learned from, so the temperature found on these is too sure by about this
# much: on newsgroups parted by date the best is 1.1 to 1.3, on sets parted at random 1.0 to 1.1.
_CAUTION = 1.15


@dataclass(slots=True)
class Course:
    """What a training gathers: the features of each kind, and the scores of each part on examples it had not seen."""

    lesson: Lesson
    readers: Mapping[str, TokenReader]
    tokens: int
    seed: int
    on_progress: OnProgress
    features: dict[str, Features] = field(default_factory=dict)
    unseen: dict[str, Scores] = field(default_factory=dict)
    prior: dict[str, Floats] = field(default_factory=dict)
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    surfaces: list[Surface] = field(default_factory=list)

    def read(self, sets: Sequence[Sequence[str]], descriptions: Mapping[str, str]) -> None:
        """Reads all texts with every feature of `sets` and scores each with parts that had not seen it."""
        labels = len(self.lesson.labels)
        names = sorted({name for kept in sets for name in kept}, key=list(COST_MS).index)
        parts = dict.fromkeys(part for kept in sets for part in parts_of(kept))
        steps = len(parts) * len(np.unique(self.lesson.folds))
        done = 0

        def each() -> None:
            nonlocal done
            done += 1
            self.on_progress("learn", done, steps)

        described = {label: descriptions.get(label, "") for label in self.lesson.labels}
        words = [f"{label_in_words(label)} {told}" for label, told in described.items()]
        if WORDS in names:
            table = self.readers.get(StaticReader.name) or StaticReader()
            self.surfaces = [surface_of(text) for text in self.lesson.texts]
            self.vocabularies[TERMS], self.prior[TERMS] = literal_terms(described, table)
            self.unseen[f"prior.{TERMS}"] = self._sparse(TERMS) @ self.prior[TERMS].astype(np.float64)
            columns = max(1000, min(_MOST_COLUMNS, _MOST_WEIGHTS // labels // 2))
            self.vocabularies[WORDS] = vocabulary_of(self.surfaces, columns=columns)
        for name in names:
            self.features[name] = self._sparse(name) if name == WORDS else self._dense(name)
            if name != WORDS:
                self.prior[name] = nearness(words, self.readers[name])
                self.unseen[f"prior.{name}"] = self.features[name] @ self.prior[name].astype(np.float64)
        for name in parts:
            self.unseen[name] = unseen_scores(
                partial(self.part, name), self._together(name), self.lesson.truth, self.lesson.folds,
                labels=labels, each=each,
            )  # fmt: skip

    def part(self, name: str, features: Features, truth: Ints) -> Part:
        """The part `name` taught from some of the texts: words, or the token vectors of one or more readers."""
        labels = len(self.lesson.labels)
        if name == WORDS:
            return taught(features, truth, labels, seed=self.seed)
        readers = name.split(_AND)
        start = np.concatenate([_SCALES[each] * _NAMED * centred(self.prior[each]) for each in readers])
        return regressed(features, truth, labels, start=start.astype(np.float64))

    def _together(self, name: str) -> Features:
        if name == WORDS:
            return self.features[WORDS]
        return np.hstack([_SCALES[each] * self.features[each] for each in name.split(_AND)])

    def _parted(self, name: str, weights: Scores) -> list[tuple[str, Scores]]:
        """The rows of a part's `weights` (width, labels) by feature, for features that are not scaled any more."""
        if name == WORDS:
            return [(WORDS, weights)]
        readers = name.split(_AND)
        ends = np.cumsum([self.readers[each].width for each in readers])[:-1]
        return [(each, rows * _SCALES[each]) for each, rows in zip(readers, np.split(weights, ends), strict=True)]

    def _sparse(self, name: str) -> Features:
        return sparse_features(self.vocabularies[name], self.surfaces)

    def _dense(self, name: str) -> Features:
        limit = self.tokens if name == "minilm" else None
        rows = []
        # Readers let the interpreter go while they work, and no text's vectors depend on another's.
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as readers:
            for row in readers.map(
                lambda text: self.readers[name].read(text, tokens=limit).pooled(), self.lesson.texts
            ):
                rows.append(row)
                self.on_progress(f"read {name}", len(rows), len(self.lesson.texts))
        return np.array(rows, np.float32)

    def blended(self, names: Sequence[str]) -> tuple[dict[str, float], Scores]:
        """The weights of the parts of these features, and their scores together on unseen examples."""
        kept = [*parts_of(names), *(f"prior.{name}" for name in names if name != WORDS)]
        kept += [f"prior.{TERMS}"] if WORDS in names else []
        parts = {name: self.unseen[name] for name in kept}
        weights = {name: weight / _CAUTION for name, weight in blend(parts, self.lesson.truth).items()}
        return weights, mixed(parts, weights)

    def head(self, names: Sequence[str], weights: Mapping[str, float]) -> Head:
        """All parts taught from all examples, in one sum under `weights`."""
        labels = self.lesson.labels
        base = np.zeros(len(labels))
        joint: dict[str, Floats] = {}
        for name in parts_of(names):
            part = self.part(name, self._together(name), self.lesson.truth)
            base += part.base * weights[name]
            for feature, rows in self._parted(name, part.weights * weights[name]):
                named = self.prior[feature] * weights[f"prior.{feature}"] if feature != WORDS else 0.0
                joint[feature] = (rows + named).astype(np.float32)
        if WORDS in names:
            joint[TERMS] = (self.prior[TERMS] * weights[f"prior.{TERMS}"]).astype(np.float32)
        return Head(
            labels=labels,
            base=base.astype(np.float32),
            weights=joint,
            vocabularies=self.vocabularies if WORDS in names else {},
            tokens=self.tokens,
            readers={name: reader.digest for name, reader in self.readers.items() if name in names},
        )


def parts_of(names: Sequence[str]) -> list[str]:
    """The parts that these features are learned in: words by themselves, all token vectors together."""
    vectors = _AND.join(name for name in names if name != WORDS)
    return [name for name in (WORDS if WORDS in names else "", vectors) if name]
