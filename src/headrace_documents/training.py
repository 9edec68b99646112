"""How the classifier is taught: parts of one kind of feature each, blended by how they fare on unseen examples."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from headrace import (
    ClassFigures,
    Example,
    Field,
    InvalidInput,
    OnProgress,
    Shelf,
    Signature,
    TrainedModel,
    TrainingReport,
)
from headrace_documents.classification import token_readers
from headrace_documents.classifier.blending import (
    Ints,
    Scores,
    blend,
    calibration_error,
    class_figures,
    confusion_of,
    log_loss,
    mixed,
    right_by_confidence,
)
from headrace_documents.classifier.encoder import encoder_is_available
from headrace_documents.classifier.head import TERMS, WORDS, Floats, Head
from headrace_documents.classifier.lessons import (
    Features,
    Part,
    folds_of,
    regressed,
    sparse_features,
    taught,
    unseen_scores,
)
from headrace_documents.classifier.office_labels import OFFICE_LABELS
from headrace_documents.classifier.surface import Surface, surface_of
from headrace_documents.classifier.tokens import StaticReader, TokenReader
from headrace_documents.classifier.words import Vocabulary, vocabulary_of
from headrace_documents.classifier.zero_shot import centred, label_in_words, literal_terms, nearness

# Milliseconds that a feature adds to a text of 200 tokens on one core; measured by benchmarks/classification.py.
_COST_MS = {WORDS: 1.0, "static": 1.0, "minilm": 35.0}
# A dearer set of features must lower the loss on unseen examples by this share.
_WORTH = 0.02
_MOST_WEIGHTS = 12_000_000
_MOST_COLUMNS = 100_000
_CHARACTERS = 100_000
_TOKENS = (508, 254, 127, 64)
# Vectors are learned together, the table's shorter than the encoder's, which know more; and as near to the labels'
# names at the start as a cosine of 1 is worth 5 in the score. Both matter below 32 examples a label only.
_SCALES = {"static": 0.6, "minilm": 1.0}
_NAMED = 5.0
_AND = "+"
# Texts to come are a little unlike those learned from, so the temperature found on these is too sure by about this
# much: on newsgroups parted by date the best is 1.1 to 1.3, on sets parted at random 1.0 to 1.1.
_CAUTION = 1.15
_READING_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class ClassifierTrainer:
    """Keeps the Trainer promise for the document classifier.

    `features` are the kinds to use, or `auto`: the cheapest set that fares as well as any on unseen examples, within
    `latency_ms` for a text of 200 tokens. `descriptions` say in words what a label means, where its name does not.
    `readers` may be given to share what was opened already.
    """

    features: tuple[str, ...] | Literal["auto"] = "auto"
    latency_ms: float = 100.0
    cache: str = ".headrace/cache"
    descriptions: Mapping[str, str] = field(default_factory=lambda: OFFICE_LABELS)
    readers: Mapping[str, TokenReader] = field(default_factory=dict)
    model: str = "document-classifier"

    def train(
        self,
        examples: Sequence[Example],
        *,
        seed: int = 0,
        budget_s: float = 60.0,
        on_progress: OnProgress = lambda _stage, _done, _total: None,
    ) -> TrainedModel:
        """A head taught from `examples`; its figures are of examples held out of what judged them.

        Raises:
            InvalidInput: no examples, or all of one label.
        """
        lesson = _lesson(examples, seed)
        names, notes = self._affordable()
        tokens = _tokens_within(lesson, budget_s) if "minilm" in names else _TOKENS[0]
        if tokens == 0:
            names = [name for name in names if name != "minilm"]
            tokens = _TOKENS[0]
            notes.append(f"minilm was left out: reading all texts with it does not fit a budget of {budget_s:g} s.")
        elif tokens < _TOKENS[1] and any(len(text) > 4 * tokens for text in lesson.texts):
            notes.append(f"minilm reads the first {tokens} tokens of a text; a budget above {budget_s:g} s reads more.")
        readers = {name: self.readers[name] for name in names if name in self.readers}
        readers |= token_readers([n for n in names if n != WORDS and n not in readers], Path(self.cache), Shelf())
        course = _Course(lesson, readers, tokens, seed, on_progress)
        sets = self._sets(names)
        course.read(sets, self.descriptions)
        chosen = _chosen(course, sets, notes)
        return _trained(course, chosen, lesson.notes + tuple(notes))

    def _affordable(self) -> tuple[list[str], list[str]]:
        if self.features != "auto":
            return list(dict.fromkeys(self.features)), []
        names, notes = [WORDS, "static"], []
        if not encoder_is_available() and "minilm" not in self.readers:
            notes.append("minilm was not considered: its weights are not installed.")
        elif _COST_MS["minilm"] > self.latency_ms:
            notes.append(f"minilm was not considered: it does not fit a latency of {self.latency_ms:g} ms.")
        else:
            names.append("minilm")
        return names, notes

    def _sets(self, names: Sequence[str]) -> list[list[str]]:
        """Sets of features to choose from, the cheapest first; only all of them when they were asked for."""
        if self.features != "auto":
            return [list(names)]
        sets = [[name for name in names if name in kept] for kept in ((WORDS,), (WORDS, "static"), _COST_MS)]
        return [kept for place, kept in enumerate(sets) if kept not in sets[:place]]


def _chosen(course: _Course, sets: Sequence[list[str]], notes: list[str]) -> list[str]:
    """The cheapest set whose loss on unseen examples is nearly the best."""
    if len(sets) == 1:
        return sets[0]
    losses = [log_loss(course.blended(kept)[1], course.lesson.truth) for kept in sets]
    place = next(i for i, loss in enumerate(losses) if loss <= min(losses) * (1 + _WORTH))
    told = ", ".join(f"{'+'.join(kept)} {loss:.3f}" for kept, loss in zip(sets, losses, strict=True))
    notes.append(f"Loss on unseen examples: {told}; chosen: {'+'.join(sets[place])}.")
    return sets[place]


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The examples in an order of their own, `truth` (texts,) the number of each label."""

    texts: tuple[str, ...]
    truth: Ints
    labels: tuple[str, ...]
    folds: Ints
    digest: str
    notes: tuple[str, ...]


def _lesson(examples: Sequence[Example], seed: int) -> _Lesson:
    kept = sorted({(example.label, example.text[:_CHARACTERS]) for example in examples if example.text.strip()})
    labels = tuple(sorted({label for label, _ in kept}))
    if len(labels) < 2:
        what = f"are all {labels[0]!r}" if labels else "hold no text"
        raise InvalidInput(
            f"The {len(examples)} examples {what}, so there is nothing to tell apart.",
            remedy="Give examples of at least two labels: DATA_DIR/<label>/<document>, or lines of text and label.",
        )
    number = {label: place for place, label in enumerate(labels)}
    texts, truth = tuple(text for _, text in kept), np.array([number[label] for label, _ in kept], np.int64)
    notes = []
    if blank := sum(not example.text.strip() for example in examples):
        notes.append(f"{blank} examples without any text were left out.")
    if doubles := len(examples) - blank - len(kept):
        notes.append(f"{doubles} examples were the same as another and counted once.")
    if disputed := len(texts) - len(set(texts)):
        notes.append(f"{disputed} texts stand under more than one label.")
    if few := [label for label, times in Counter(label for label, _ in kept).items() if times < 5]:
        notes.append(f"Fewer than 5 examples: {', '.join(few[:10])}. The figures of these labels say little.")
    count = max(2, min(5 if len(texts) < 2500 else 3, max(Counter(truth.tolist()).values())))
    digest = hashlib.sha256(json.dumps(kept, ensure_ascii=True).encode()).hexdigest()
    folds = folds_of(texts, truth, count=count, seed=seed)
    return _Lesson(texts, truth, labels, folds, f"sha256:{digest}", tuple(notes))


def _tokens_within(lesson: _Lesson, budget_s: float) -> int:
    """How many tokens of each text the encoder can read in its share of the budget; 0 when too few to be of use.

    Reckoned from lengths and a fixed pace, never by the clock: the same budget gives the same model everywhere.
    """
    for tokens in _TOKENS:
        total = sum(min(tokens, len(text) / 4) + 8 for text in lesson.texts)
        if total / 6000 <= budget_s * _READING_SHARE:
            return tokens
    return 0


@dataclass(slots=True)
class _Course:
    """What a training gathers: the features of each kind, and the scores of each part on examples it had not seen."""

    lesson: _Lesson
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
        names = sorted({name for kept in sets for name in kept}, key=list(_COST_MS).index)
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


def _trained(course: _Course, names: Sequence[str], notes: tuple[str, ...]) -> TrainedModel:
    lesson = course.lesson
    weights, scores = course.blended(names)
    head = course.head(names, weights)
    confusion = confusion_of(scores.argmax(axis=1).astype(np.int64), lesson.truth, len(lesson.labels))
    figures = class_figures(confusion)
    metrics = {
        "accuracy": round(float(np.trace(confusion) / confusion.sum()), 6),
        "macro_f1": round(float(np.mean([f1 for *_, f1 in figures])), 6),
        "calibration_error": round(calibration_error(scores, lesson.truth), 6),
        "log_loss": round(log_loss(scores, lesson.truth), 6),
        "examples": float(len(lesson.texts)),
    }
    report = TrainingReport(
        labels=lesson.labels,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        classes=tuple(
            ClassFigures(label, count, *(round(share, 6) for share in shares))
            for label, (count, *shares) in zip(lesson.labels, figures, strict=True)
        ),
        notes=notes,
    )
    lineage = {"data": lesson.digest, "seed": str(course.seed), "features": "+".join(names)}
    files = head.files() | {"report.json": _report(report, metrics, weights)}
    files["calibration.json"] = json.dumps({"bins": right_by_confidence(scores, lesson.truth)}).encode()
    signature = Signature(
        inputs=(Field("text", "string"),),
        outputs=(Field("label", "string", lesson.labels), Field("confidence", "double")),
    )
    return TrainedModel(files=files, metrics=metrics, report=report, lineage=lineage, signature=signature)


def _report(report: TrainingReport, metrics: Mapping[str, float], weights: Mapping[str, float]) -> bytes:
    content: dict[str, Any] = {
        "metrics": dict(metrics),
        "labels": list(report.labels),
        "confusion": [list(row) for row in report.confusion],
        "classes": [
            {
                "label": row.label,
                "examples": row.examples,
                "precision": row.precision,
                "recall": row.recall,
                "f1": row.f1,
            }
            for row in report.classes
        ],
        "notes": list(report.notes),
        "blend": {name: round(weight, 6) for name, weight in weights.items()},
    }
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False).encode()
