"""The Trainer promise, and what training takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from headrace.domain.model import UNKNOWN, Signature
from headrace.domain.observation import Observation

OnProgress = Callable[[str, int, int], None]
"""Told `(stage, done, total)` as training goes on."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what it is; `source` says where it came from: a path, or a line of a file."""

    text: str
    label: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How one label fared on examples that the model had not seen: shares from 0 to 1."""

    label: str
    examples: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What to tell people of a training: `confusion[i][j]` counts examples of `labels[i]` answered as `labels[j]`.

    `classes` come in the order of `labels`. `notes` say in words what was chosen, left out, or should be known.
    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassFigures, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The files of a new model by name, its figures on examples that it had not seen, and the report for people.

    `lineage` tells what it was made from, `signature` what it takes and gives. `observations` are what would have been
    seen of its answers to those examples, so that the watch knows from the first decision on what is normal. All of it
    is a function of examples, seed and budget.
    """

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]
    report: TrainingReport
    lineage: Mapping[str, str] = field(default_factory=dict)
    signature: Signature = UNKNOWN
    observations: Sequence[Observation] = ()


def _silent(_stage: str, _done: int, _total: int) -> None:
    return None


@runtime_checkable
class Trainer(Protocol):
    """Teaches the model named `model` from examples."""

    @property
    def model(self) -> str:
        """The name in the registry that it teaches."""
        ...

    def train(
        self,
        examples: Sequence[Example],
        *,
        seed: int = 0,
        budget_s: float = 60.0,
        on_progress: OnProgress = _silent,
    ) -> TrainedModel:
        """A new model; the same examples, seed and budget give the same bytes, in whatever order the examples come.

        `budget_s` bounds the time on one core: by it the trainer decides beforehand what it can afford.

        Raises:
            InvalidInput: there is nothing to learn from these examples; the message says what to add.
        """
        ...
