"""How a head is taught: parts of one kind of feature each, blended by how they fare on unseen examples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from headrace import OnProgress
from headrace_documents.classifier.blending import blend, blended_unseen, caution_at, mixed, scale_of
from headrace_documents.classifier.head import TERMS, WORDS, Floats, Head, Spare
from headrace_documents.classifier.lesson import COST_MS, Lesson
from headrace_documents.classifier.parts import (
    Features,
    Part,
    parted,
    regressed,
    sparse_features,
    taught,
    unseen_scores,
)
from headrace_documents.classifier.prototypes import Bags, Halves, Prototypes, evenly_drawn, prototypes_of
from headrace_documents.classifier.scale import Scale
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
_MEANS = "means of "
_NEAREST = "nearest of "
# Readers whose token vectors say what a word means where it stands: only of these is it told how near they come to
# those of the examples. How many of these are kept of all texts: 150 MB.
_CONTEXTUAL = frozenset({"minilm"})
_MOST_TOKENS = 200_000
_MOST_NAMED = 32
_BY_WORDS = {WORDS: WORDS, TERMS: f"prior.{TERMS}"}
# What parts weigh with many examples, each in units of its own spread; see `blend`.
_USUAL = {
    WORDS: 0.3,
    "vectors": 1.3,
    "means": 0.6,
    "nearest": 0.3,
    f"prior.{TERMS}": 0.1,
    "prior.static": 0.15,
    "prior.minilm": 0.2,
}
_WORDS_ALONE = 1.5
# This many examples a label are worth as much as the labels' names.
_FEW = 8.0
# With more examples than this, how well they fare hardly depends on whether they helped to weigh the parts: the
# temperature by less than a hundredth.
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Blend:
    """The weights of parts, the scale of their sum, and the scores of examples that neither had seen."""

    weights: Mapping[str, float]
    scale: Scale
    scores: Scores


@dataclass(slots=True)
class Course:
    """What a training gathers: the features of each kind, and the scores of each part on examples it had not seen."""

    lesson: Lesson
    readers: Mapping[str, TokenReader]
    tokens: int
    seed: int
    on_progress: OnProgress
    features: dict[str, Features] = field(default_factory=dict)
    bags: dict[str, Bags] = field(default_factory=dict)
    named: dict[str, Bags] = field(default_factory=dict)
    unseen: dict[str, Scores] = field(default_factory=dict)
    prior: dict[str, Floats] = field(default_factory=dict)
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)
    surfaces: list[Surface] = field(default_factory=list)
    learned: dict[str, Part | Prototypes] = field(default_factory=dict)
    blends: dict[tuple[str, ...], Blend] = field(default_factory=dict)

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
                self._named(name, words)
                self.unseen[f"prior.{name}"] = self.features[name] @ self.prior[name].astype(np.float64)
        for name in parts:
            self.unseen[name] = unseen_scores(
                partial(self.part, name), self._together(name), self.lesson.truth, self.lesson.folds,
                labels=labels, each=each,
            )  # fmt: skip

    def part(self, name: str, features: Features, truth: Ints) -> Part | Prototypes:
        """The part `name` taught from some of the texts: words, or the token vectors of one or more readers."""
        labels = len(self.lesson.labels)
        if name.startswith(_NEAREST):
            # What a label's name says is one more example, of which no fold is deprived.
            named = self.named[name.removeprefix(_NEAREST)]
            return prototypes_of(features + named, np.concatenate([truth, np.arange(labels)]), labels, seed=self.seed)
        if name == WORDS:
            return taught(features, truth, labels, seed=self.seed)
        if name.startswith(_MEANS):
            return parted(features, truth, labels)
        readers = name.split(_AND)
        start = np.concatenate([_SCALES[each] * _NAMED * centred(self.prior[each]) for each in readers])
        return regressed(features, truth, labels, start=start.astype(np.float64))

    def _together(self, name: str) -> Features:
        if name == WORDS:
            return self.features[WORDS]
        if name.startswith(_NEAREST):
            return self.bags[name.removeprefix(_NEAREST)]
        return np.hstack([_SCALES[each] * self.features[each] for each in _readers_of(name)])

    def _parted(self, name: str, weights: Scores) -> list[tuple[str, Scores]]:
        """The rows of a part's `weights` (width, labels) by feature, for features that are not scaled any more."""
        if name == WORDS:
            return [(WORDS, weights)]
        readers = _readers_of(name)
        ends = np.cumsum([self.readers[each].width for each in readers])[:-1]
        return [(each, rows * _SCALES[each]) for each, rows in zip(readers, np.split(weights, ends), strict=True)]

    def _sparse(self, name: str) -> Features:
        return sparse_features(self.vocabularies[name], self.surfaces)

    def _dense(self, name: str) -> Features:
        limit = self.tokens if name == "minilm" else None
        kept = max(1, _MOST_TOKENS // len(self.lesson.texts)) if name in _CONTEXTUAL else 0
        rows, bags = [], []

        def read(text: str) -> tuple[Floats, Halves]:
            tokens = self.readers[name].read(text, tokens=limit)
            return tokens.pooled(), evenly_drawn(tokens.vectors, kept)

        # Readers let the interpreter go while they work, and no text's vectors depend on another's.
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as readers:
            for row, bag in readers.map(read, self.lesson.texts):
                rows.append(row)
                bags.append(bag)
                self.on_progress(f"read {name}", len(rows), len(self.lesson.texts))
        if kept:
            self.bags[name] = Bags.of(bags, width=self.readers[name].width)
        return np.array(rows, np.float32)

    def _named(self, name: str, words: Sequence[str]) -> None:
        """What the words of the labels' names and descriptions say to a reader, as a text and as single tokens."""
        reader = self.readers[name]
        self.prior[name] = nearness(words, reader)
        if name in _CONTEXTUAL:
            tokens = [evenly_drawn(reader.read(each).vectors, _MOST_NAMED) for each in words]
            self.named[name] = Bags.of(tokens, width=reader.width)

    def blended(self, names: Sequence[str]) -> Blend:
        """How the parts of these features are added up; found once."""
        key = tuple(names)
        if key not in self.blends:
            self.blends[key] = self._blended(names)
        return self.blends[key]

    def _blended(self, names: Sequence[str]) -> Blend:
        kept = [*parts_of(names), *(f"prior.{name}" for name in names if name != WORDS)]
        kept += [f"prior.{TERMS}"] if WORDS in names else []
        parts = {name: self.unseen[name] for name in kept}
        # What names and descriptions say counts for more, the fewer examples there are.
        scarcity = 1 + _FEW / self._each()
        usual = {name: _USUAL[_sort_of(name)] * (scarcity if name.startswith("prior.") else 1.0) for name in parts}
        if not any(_sort_of(name) == "vectors" for name in parts):
            usual[WORDS] = _WORDS_ALONE
        truth, folds = self.lesson.truth, self.lesson.folds
        weights = blend(parts, truth, usual=usual)
        is_many = len(truth) > _MANY
        scores = mixed(parts, weights) if is_many else blended_unseen(parts, truth, folds, usual=usual)
        scale = scale_of(scores, truth, caution=caution_at(self._each()))
        return Blend(weights, scale, scale.applied(scores))

    def _each(self) -> float:
        """How many examples a label has, in the mean."""
        return len(self.lesson.texts) / len(self.lesson.labels)

    def head(self, names: Sequence[str]) -> tuple[Head, Mapping[str, float], Scores]:
        """A head of these features with its weights of the parts, and its scores on unseen examples.

        Beside the encoder it holds what answers without it, with weights of its own.
        """
        found = self.blended(names)
        base, summed = self._summed(names, found.weights)
        prototypes = {
            name: replace(learned, weight=found.weights[part])
            for part, name in _nearest_of(names).items()
            if isinstance(learned := self._learned(part), Prototypes)
        }
        rest = [name for name in names if name != "minilm"]
        spare = None
        if rest != list(names) and rest:
            own = self.blended(rest)
            lone, apart = self._summed(rest, own.weights)
            factors = {
                name: own.weights[part] / found.weights[part] for name, part in _BY_WORDS.items() if part in own.weights
            }
            vectors = {name: value for name, value in apart.items() if name not in factors}
            spare = Spare(lone, vectors, factors, own.scale)
        head = Head(
            labels=self.lesson.labels,
            base=base,
            weights=summed,
            vocabularies=self.vocabularies if WORDS in names else {},
            tokens=self.tokens,
            readers={name: reader.digest for name, reader in self.readers.items() if name in names},
            spare=spare,
            scale=found.scale,
            prototypes=prototypes,
        )
        return head, found.weights, found.scores

    def _summed(self, names: Sequence[str], weights: Mapping[str, float]) -> tuple[Floats, dict[str, Floats]]:
        """All parts taught from all examples, in one sum under `weights`: the base, and the weights of each feature."""
        base = np.zeros(len(self.lesson.labels))
        summed = {name: self.prior[name] * weights[f"prior.{name}"] for name in names if name != WORDS}
        if WORDS in names:
            summed[TERMS] = self.prior[TERMS] * weights[f"prior.{TERMS}"]
        for name in parts_of(names):
            part = self._learned(name)
            if isinstance(part, Prototypes):
                continue
            base += part.base * weights[name]
            for feature, rows in self._parted(name, part.weights * weights[name]):
                summed[feature] = summed.get(feature, 0.0) + rows
        order = [*names, *([TERMS] if WORDS in names else [])]
        return base.astype(np.float32), {name: summed[name].astype(np.float32) for name in order}

    def _learned(self, name: str) -> Part | Prototypes:
        """The part taught from all examples; once."""
        if name not in self.learned:
            self.learned[name] = self.part(name, self._together(name), self.lesson.truth)
        return self.learned[name]


def parts_of(names: Sequence[str]) -> list[str]:
    """The parts that these features are learned in: words by themselves, all token vectors together and in two ways.

    And contextual ones each by itself, by how near single tokens come to those of the examples.
    """
    vectors = _AND.join(name for name in names if name != WORDS)
    together = [vectors, f"{_MEANS}{vectors}"] if vectors else []
    return [*([WORDS] if WORDS in names else []), *together, *_nearest_of(names)]


def _nearest_of(names: Sequence[str]) -> dict[str, str]:
    """The readers whose single tokens are compared, by the names of the parts that do it."""
    return {f"{_NEAREST}{name}": name for name in names if name in _CONTEXTUAL}


def _readers_of(part: str) -> list[str]:
    return part.removeprefix(_MEANS).split(_AND)


def _sort_of(part: str) -> str:
    if part == WORDS or part.startswith("prior."):
        return part
    if part.startswith(_NEAREST):
        return "nearest"
    return "means" if part.startswith(_MEANS) else "vectors"
