"""Rollout: a plan to move traffic from one release to another, and the legal changes of its state.

Every change is a pure method that returns the next value or raises `IllegalTransition`. Shares are from 0 to 1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from headrace.domain.guard_rule import STANDARD_GUARDS, GuardRule
from headrace.errors import Conflict, InvalidInput

CHALLENGER = "challenger"
"""The name of the candidate's variant in decisions, metrics and figures."""


class IllegalRolloutChange(Conflict):
    """The rollout is in a state that does not allow this change, or somebody else has just changed it."""

    code: ClassVar[str] = "illegal_transition"


class RolloutState(StrEnum):
    """Where a rollout stands; the last two are final."""

    SHADOW = "shadow"
    CANARY = "canary"
    HELD = "held"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"

    @property
    def is_final(self) -> bool:
        """Nothing changes any more."""
        return self in {RolloutState.PROMOTED, RolloutState.ROLLED_BACK}


DEFAULT_STEPS = (0.01, 0.05, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a rollout goes: `steps` are the candidate's shares on the way to all of it, each larger than the last.

    `alpha` is the chance that a candidate as good as the champion is rolled back, over all guards and however often
    it is looked at; `ratio_alpha` that it is held for a sample ratio that is right; `level` that a bound which a step
    or the promotion rests on is wrong. A step to the share s is taken when, at that level, at most `margin` of all
    answers would be made worse by it. No step is left before `fewest_keys` keys met the candidate on it, nor before
    `step_s` seconds. `is_test` holds the last step: an A/B test.
    """

    steps: tuple[float, ...] = DEFAULT_STEPS
    is_shadowed: bool = False
    is_test: bool = False
    alpha: float = 0.05
    ratio_alpha: float = 0.01
    level: float = 0.05
    fewest_keys: int = 20
    step_s: float = 0.0
    guards: tuple[GuardRule, ...] = STANDARD_GUARDS

    def __post_init__(self) -> None:
        self._check_steps()
        for name in ("alpha", "ratio_alpha", "level"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", remedy="Choose a chance between 0 and 1.")
        if self.fewest_keys < 1 or self.step_s < 0:
            raise InvalidInput("A step needs at least 1 key and no negative time.", remedy="Choose larger numbers.")
        if not self.guards or sum(guard.weight for guard in self.guards) > 1 + 1e-9:
            raise InvalidInput("The weights of the guards add up to more than 1.", remedy="They are parts of alpha.")
        if len({guard.name for guard in self.guards}) != len(self.guards):
            raise InvalidInput("A guard stands twice in the plan.", remedy="Name each once.")

    def _check_steps(self) -> None:
        shown = ", ".join(f"{100 * step:g}" for step in self.steps)
        if not self.steps or not all(0 < step < 1 for step in self.steps):
            raise InvalidInput(f"The steps {shown or '(none)'} are no percentages between 0 and 100.", remedy=_STEPS)
        if list(self.steps) != sorted(set(self.steps)):
            raise InvalidInput(f"The steps {shown} do not grow.", remedy=_STEPS)

    def guard(self, name: str) -> GuardRule | None:
        """The guard of this name."""
        return next((guard for guard in self.guards if guard.name == name), None)


_STEPS = "Write growing percentages, such as 1,5,25,50; all of the traffic follows by itself."


@dataclass(frozen=True, slots=True)
class Rollout:
    """One plan under way. `step` counts into the plan's steps, -1 before the first; `revision` grows with each change.

    `salt` makes its split independent of every other rollout's. `slow_ms` is what counts as a slow answer, set once
    from what was usual.
    """

    id: str
    pipeline: str
    champion: str
    candidate: str
    plan: RolloutPlan
    state: RolloutState
    step: int
    salt: str
    created_at: datetime
    changed_at: datetime
    revision: int = 0
    reason: str = ""
    slow_ms: float | None = None

    @classmethod
    def begun(
        cls,
        rollout_id: str,
        *,
        pipeline: str,
        champion: str,
        candidate: str,
        plan: RolloutPlan,
        salt: str,
        now: datetime,
    ) -> Rollout:
        """A new rollout, in shadow or at its first step.

        Raises:
            InvalidInput: both releases are the same.
        """
        if champion == candidate:
            raise InvalidInput(
                f"The release {candidate[:19]} answers all of {pipeline} already.", remedy="Name another release."
            )
        state, step = (RolloutState.SHADOW, -1) if plan.is_shadowed else (RolloutState.CANARY, 0)
        if plan.is_test and not plan.is_shadowed:
            step = len(plan.steps) - 1
        return cls(rollout_id, pipeline, champion, candidate, plan, state, step, salt, now, now)

    @property
    def is_over(self) -> bool:
        """Whether it was promoted or rolled back."""
        return self.state.is_final

    @property
    def is_shadowing(self) -> bool:
        """Whether the candidate answers out of the callers' sight."""
        return self.step < 0 and not self.is_over

    @property
    def share(self) -> float:
        """The candidate's share of the traffic."""
        if self.is_over:
            return 1.0 if self.state is RolloutState.PROMOTED else 0.0
        return self.plan.steps[self.step] if self.step >= 0 else 0.0

    @property
    def next_share(self) -> float:
        """The candidate's share after the next step; 1 is the promotion."""
        if self.plan.is_test and self.step < 0:
            return self.plan.steps[-1]
        return self.plan.steps[self.step + 1] if self.step + 1 < len(self.plan.steps) else 1.0

    def is_candidate(self, key: str) -> bool:
        """Whether `key` is answered by the candidate: the same in every process, and still so when the share grows."""
        return place_of(key, salt=self.salt) < self.share

    def stepped(self, reason: str, *, now: datetime) -> Rollout:
        """One step further; after the last one it is promoted, or held where it is an A/B test."""
        self._check_running("step")
        if self.next_share >= 1.0:
            return self.held(reason, now=now) if self.plan.is_test else self.promoted(reason, now=now)
        step = self.plan.steps.index(self.next_share)
        return self._changed(RolloutState.CANARY, reason, now, step=step)

    def promoted(self, reason: str, *, now: datetime) -> Rollout:
        """The candidate answers everything."""
        self._check_open("promoted")
        return self._changed(RolloutState.PROMOTED, reason, now)

    def rolled_back(self, reason: str, *, now: datetime) -> Rollout:
        """The champion answers everything again."""
        self._check_open("rolled back")
        return self._changed(RolloutState.ROLLED_BACK, reason, now)

    def held(self, reason: str, *, now: datetime) -> Rollout:
        """Its split stays as it is until somebody decides."""
        self._check_running("hold")
        return self._changed(RolloutState.HELD, reason, now)

    def resumed(self, reason: str, *, now: datetime) -> Rollout:
        """A held one goes on from where it was."""
        if self.state is not RolloutState.HELD:
            raise IllegalRolloutChange(f"Rollout {self.id} is {self.state}, and only a held one goes on.")
        return self._changed(RolloutState.SHADOW if self.step < 0 else RolloutState.CANARY, reason, now)

    def with_slow_ms(self, slow_ms: float) -> Rollout:
        """With what counts as slow; it is set once and never moves, for evidence rests on it."""
        if self.slow_ms is not None:
            raise IllegalRolloutChange(f"Rollout {self.id} has its bound of {self.slow_ms:g} ms already.")
        return replace(self, slow_ms=slow_ms, revision=self.revision + 1)

    def _check_running(self, act: str) -> None:
        if self.state not in {RolloutState.SHADOW, RolloutState.CANARY}:
            raise IllegalRolloutChange(f"Rollout {self.id} is {self.state}: it cannot {act}. {self.reason}".rstrip())

    def _check_open(self, act: str) -> None:
        if self.is_over:
            raise IllegalRolloutChange(f"Rollout {self.id} is {self.state} already and cannot be {act}: {self.reason}")

    def _changed(self, state: RolloutState, reason: str, now: datetime, *, step: int | None = None) -> Rollout:
        return replace(
            self,
            state=state,
            step=self.step if step is None else step,
            reason=reason,
            changed_at=now,
            revision=self.revision + 1,
        )


def place_of(key: str, *, salt: str) -> float:
    """Where `key` falls between 0 and 1: the first 53 bits of SHA-256 over `salt`, a NUL and the key, in UTF-8."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def percentages(steps: str) -> tuple[float, ...]:
    """`1,5,25,50` as shares; raises `InvalidInput` for what is no number."""
    try:
        return tuple(float(step) / 100 for step in steps.split(",") if step.strip())
    except ValueError as error:
        raise InvalidInput(f"The steps {steps!r} are no percentages.", remedy=_STEPS) from error
