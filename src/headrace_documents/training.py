"""ClassifierTrainer: what the classifier is taught from, with which features, and within which budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headrace import Example, OnProgress, Shelf, TrainedModel
from headrace_documents.classification import token_readers
from headrace_documents.classifier.encoder import encoder_is_available
from headrace_documents.classifier.head import WORDS
from headrace_documents.classifier.judging import log_loss
from headrace_documents.classifier.lesson import COST_MS, TOKENS, lesson_of, tokens_within
from headrace_documents.classifier.office_labels import OFFICE_LABELS
from headrace_documents.classifier.tokens import TokenReader

if TYPE_CHECKING:
    from headrace_documents.classifier.course import Course

# A dearer set of features must lower the loss on unseen examples by this share.
_WORTH = 0.02


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
        # scikit-learn, scipy and the detector of languages take seconds to import, and only who teaches needs them.
        from headrace_documents.classifier.course import Course  # noqa: PLC0415
        from headrace_documents.classifier.trained import trained_model  # noqa: PLC0415

        lesson = lesson_of(examples, seed)
        names, notes = self._affordable()
        tokens = tokens_within(lesson, budget_s) if "minilm" in names else TOKENS[0]
        if tokens == 0:
            names = [name for name in names if name != "minilm"]
            tokens = TOKENS[0]
            notes.append(f"minilm was left out: reading all texts with it does not fit a budget of {budget_s:g} s.")
        elif tokens < TOKENS[1] and any(len(text) > 4 * tokens for text in lesson.texts):
            notes.append(f"minilm reads the first {tokens} tokens of a text; a budget above {budget_s:g} s reads more.")
        readers = {name: self.readers[name] for name in names if name in self.readers}
        readers |= token_readers([n for n in names if n != WORDS and n not in readers], Path(self.cache), Shelf())
        course = Course(lesson, readers, tokens, seed, on_progress)
        sets = self._sets(names)
        # What answers without the encoder is learned as well, whether or not it is a set to choose.
        course.read([*sets, [name for name in names if name != "minilm"]], self.descriptions)
        chosen = _chosen(course, sets, notes)
        head, weights, scores = course.head(chosen)
        told = [*lesson.notes, *notes]
        pooled = {name: course.features[name] for name in chosen if name != WORDS}
        return trained_model(lesson, head, scores, pooled=pooled, weights=weights, seed=seed, notes=told)

    def _affordable(self) -> tuple[list[str], list[str]]:
        if self.features != "auto":
            return list(dict.fromkeys(self.features)), []
        names, notes = [WORDS, "static"], []
        if not encoder_is_available() and "minilm" not in self.readers:
            notes.append("minilm was not considered: its weights are not installed.")
        elif COST_MS["minilm"] > self.latency_ms:
            notes.append(f"minilm was not considered: it does not fit a latency of {self.latency_ms:g} ms.")
        else:
            names.append("minilm")
        return names, notes

    def _sets(self, names: Sequence[str]) -> list[list[str]]:
        """Sets of features to choose from, the cheapest first; only all of them when they were asked for."""
        if self.features != "auto":
            return [list(names)]
        sets = [[name for name in names if name in kept] for kept in ((WORDS,), (WORDS, "static"), COST_MS)]
        return [kept for place, kept in enumerate(sets) if kept not in sets[:place]]


def _chosen(course: Course, sets: Sequence[list[str]], notes: list[str]) -> list[str]:
    """The cheapest set whose loss on unseen examples is nearly the best."""
    if len(sets) == 1:
        return sets[0]
    losses = [log_loss(course.blended(kept).scores, course.lesson.truth) for kept in sets]
    place = next(i for i, loss in enumerate(losses) if loss <= min(losses) * (1 + _WORTH))
    told = ", ".join(f"{'+'.join(kept)} {loss:.3f}" for kept, loss in zip(sets, losses, strict=True))
    notes.append(f"Loss on unseen examples: {told}; chosen: {'+'.join(sets[place])}.")
    return sets[place]
