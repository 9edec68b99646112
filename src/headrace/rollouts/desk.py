"""Desk: what operators may do with rollouts; each act is one compare-and-swap on one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from headrace.domain.decision import new_id
from headrace.domain.release import Release
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.domain.rollout_figures import Figures, Judgement
from headrace.domain.rollout_store import Manifests, RolloutListing, RolloutStore
from headrace.domain.tally import Measure, Tally
from headrace.errors import InvalidInput, NotFound


class Act(StrEnum):
    """What an operator may decide about a running rollout."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    HOLD = "hold"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A rollout with what it has counted and the newest judgements."""

    rollout: Rollout
    figures: Figures
    tallies: dict[Measure, Tally]
    judgements: list[Judgement]


class Desk:
    """Blocking: callers on an event loop put it into a thread. `now` is for people; nothing is timed by it."""

    def __init__(self, store: RolloutStore, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now

    def start(self, champion: Release, candidate: Release, plan: RolloutPlan) -> Rollout:
        """Begins to move the traffic of a pipeline from `champion` to `candidate`.

        Raises:
            Conflict: a rollout of this pipeline runs already.
            InvalidInput: both are the same, or of two pipelines.
        """
        if champion.pipeline != candidate.pipeline:
            raise InvalidInput(
                f"The release {candidate.id[:19]} is of {candidate.pipeline}, not of {champion.pipeline}.",
                remedy="Name a release of the same pipeline.",
            )
        rollout_id = new_id("rol")
        rollout = Rollout.begun(
            rollout_id,
            pipeline=champion.pipeline,
            champion=champion.id,
            candidate=candidate.id,
            plan=plan,
            salt=rollout_id,
            now=self._now(),
        )
        self._store.begin(rollout, Manifests(champion.manifest(), candidate.manifest()))
        return rollout

    def decide(self, act: Act, rollout_id: str, *, reason: str = "") -> Rollout:
        """The rollout after `act`.

        Raises:
            NotFound: there is no such rollout.
            IllegalRolloutChange: its state does not allow it, or somebody was faster; the message says who and why.
        """
        rollout = self.found(rollout_id)
        why, now = reason or f"An operator decided to {act}.", self._now()
        changes = {
            Act.PROMOTE: rollout.promoted,
            Act.ROLLBACK: rollout.rolled_back,
            Act.HOLD: rollout.held,
            Act.RESUME: rollout.resumed,
        }
        changed = changes[act](why, now=now)
        self._store.change(changed)
        return changed

    def found(self, rollout_id: str) -> Rollout:
        """By its id; raises `NotFound`."""
        rollout = self._store.find(rollout_id)
        if rollout is None:
            raise NotFound(f"There is no rollout {rollout_id[:80]!r}.", remedy="List them by `headrace rollouts list`.")
        return rollout

    def listed(self, *, cursor: str | None = None, limit: int = 50) -> RolloutListing:
        """Newest first."""
        return self._store.listed(cursor=cursor, limit=limit)

    def status(self, rollout_id: str, *, judgements: int = 10) -> RolloutStatus:
        """All there is to know about one; raises `NotFound`."""
        rollout = self.found(rollout_id)
        return RolloutStatus(
            rollout,
            self._store.figures(rollout_id),
            self._store.tallies(rollout_id),
            self._store.judgements(rollout_id, limit=judgements),
        )
