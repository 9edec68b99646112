"""Feedback and Outcome: what proved true of an answer, and what it was worth to the business."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from headrace.domain.decision import Decision, new_id
from headrace.errors import InvalidInput

LONGEST_LABEL = 200
LONGEST_SOURCE = 200


@dataclass(frozen=True, slots=True)
class Feedback:
    """Someone says what the answer should have been. Late, repeated or contradicting ones are all kept; the last wins.

    `release` and `variant` are those of the decision, so that it counts for who answered. `by` says who says so.
    """

    id: str
    decision_id: str
    created_at: datetime
    release: str
    variant: str
    label: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an answer, as one number under the name `metric`. All are kept; the last of a metric wins."""

    id: str
    decision_id: str
    created_at: datetime
    release: str
    variant: str
    metric: str
    value: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All that was said of one decision, the oldest first."""

    feedback: tuple[Feedback, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @property
    def label(self) -> str | None:
        """What the answer should have been, by the last one who said so."""
        return self.feedback[-1].label if self.feedback else None

    def values(self) -> dict[str, float]:
        """The last value of each metric."""
        return {each.metric: each.value for each in self.outcomes}


def feedback_on(decision: Decision, label: str, *, by: str = "", now: datetime) -> Feedback:
    """Feedback that was just given; raises `InvalidInput` for a label that is none."""
    _check_name("A label", label, LONGEST_LABEL)
    _check_source(by)
    return Feedback(new_id("fbk"), decision.id, now, decision.release, decision.variant, label, by)


def outcome_of(decision: Decision, metric: str, value: float, *, by: str = "", now: datetime) -> Outcome:
    """An outcome that was just told; raises `InvalidInput` for a name that is none or a value that is not finite."""
    _check_name("A metric", metric, LONGEST_LABEL)
    _check_source(by)
    if not math.isfinite(value):
        raise InvalidInput(f"The value of {metric!r} is {value}.", remedy="It has to be a finite number.")
    return Outcome(new_id("out"), decision.id, now, decision.release, decision.variant, metric, float(value), by)


def latest(feedback: Iterable[Feedback]) -> dict[str, Feedback]:
    """The feedback that wins, by decision."""
    return {each.decision_id: each for each in sorted(feedback, key=lambda each: (each.created_at, each.id))}


def _check_name(what: str, name: str, longest: int) -> None:
    if not name.strip() or len(name) > longest or any(ord(each) < 32 for each in name):
        raise InvalidInput(
            f"{what} cannot be {name[:40]!r}.", remedy=f"Give 1 to {longest} characters without line breaks."
        )


def _check_source(by: str) -> None:
    if len(by) > LONGEST_SOURCE or any(ord(each) < 32 for each in by):
        raise InvalidInput(f"{by[:40]!r} names nobody.", remedy=f"Give up to {LONGEST_SOURCE} characters.")
