"""What is learned from: the examples in an order of their own, parted into folds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace import Example, InvalidInput
from headrace_documents.classifier.head import WORDS
from headrace_documents.classifier.surface import Ints

COST_MS = {WORDS: 1.0, "static": 1.0, "minilm": 35.0}
"""Milliseconds that a feature adds to a text of 200 tokens on one core; measured by benchmarks/classification.py."""

TOKENS = (508, 254, 127, 64)
"""How many tokens of a text the encoder may read."""

_CHARACTERS = 100_000
_READING_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Lesson:
    """The examples in an order of their own, `truth` (texts,) the number of each label."""

    texts: tuple[str, ...]
    truth: Ints
    labels: tuple[str, ...]
    folds: Ints
    digest: str
    notes: tuple[str, ...]


def lesson_of(examples: Sequence[Example], seed: int) -> Lesson:
    """The lesson that `examples` make, the same in whatever order they come.

    Raises:
        InvalidInput: there are none with text, or all are of one label.
    """
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
    return Lesson(texts, truth, labels, folds, f"sha256:{digest}", tuple(notes))


def tokens_within(lesson: Lesson, budget_s: float) -> int:
    """How many tokens of each text the encoder can read in its share of the budget; 0 when too few to be of use.

    Reckoned from lengths and a fixed pace, never by the clock: the same budget gives the same model everywhere.
    """
    for tokens in TOKENS:
        total = sum(min(tokens, len(text) / 4) + 8 for text in lesson.texts)
        if total / 6000 <= budget_s * _READING_SHARE:
            return tokens
    return 0


def folds_of(texts: Sequence[str], truth: Ints, *, count: int, seed: int) -> Ints:
    """A fold for every text, (texts,): each label is spread evenly, and equal texts never part.

    The order within a label comes from a digest of text and seed, not from the order of the examples.
    """
    digests = [hashlib.sha256(f"{seed}\n{text}".encode(errors="replace")).digest() for text in texts]
    fold_of: dict[bytes, int] = {}
    dealt: dict[int, int] = {}
    for place in sorted(range(len(texts)), key=lambda place: (int(truth[place]), digests[place])):
        if digests[place] not in fold_of:
            label = int(truth[place])
            # Labels start at different folds, so that labels of one or two examples do not all fall into the first.
            fold_of[digests[place]] = (dealt.get(label, label)) % count
            dealt[label] = dealt.get(label, label) + 1
    return np.array([fold_of[digest] for digest in digests], np.int64)
