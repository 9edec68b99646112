"""What a store of rollouts must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.domain.exposure import Exposure, Observation
from headrace.domain.rollout import Rollout
from headrace.domain.rollout_figures import Figures, Judgement
from headrace.domain.tally import Measure, Tallies, Tally


@dataclass(frozen=True, slots=True)
class Manifests:
    """Both releases of a rollout in their canonical form, so that every process can load them."""

    champion: bytes
    candidate: bytes


@dataclass(frozen=True, slots=True)
class NewsMove:
    """A step of the cursor over the news of decisions, made by whichever process counts them first."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RolloutListing:
    """A page of rollouts, newest first; `next` continues, None at the end."""

    items: tuple[Rollout, ...]
    next: str | None


class RolloutStore(Protocol):
    """Keeps rollouts, what they counted, and what was judged. Blocking: callers on an event loop put it into a thread.

    One row is the truth about a rollout; it changes by compare-and-swap on its revision.
    """

    def begin(self, rollout: Rollout, manifests: Manifests) -> None:
        """Keeps a new one; raises `Conflict` while one of its pipeline runs."""
        ...

    def change(self, rollout: Rollout, *, judgement: Judgement | None = None) -> None:
        """The row and, in the same moment, the judgement that led to it.

        Raises:
            IllegalRolloutChange: the stored revision is not the one before; the message says what was done instead.
        """
        ...

    def find(self, rollout_id: str) -> Rollout | None:
        """One rollout."""
        ...

    def manifests(self, rollout_id: str) -> Manifests:
        """Its releases; raises `NotFound`."""
        ...

    def settle(self, rollout_id: str) -> None:
        """Notes that what follows from its end is done: the registry names the winner, everybody was told."""
        ...

    def unsettled(self) -> list[Rollout]:
        """Those that are over and not settled yet."""
        ...

    def serving(self, pipeline: str) -> bytes | None:
        """The manifest of the release that servers answer by, as far as they have told; None before the first one."""
        ...

    def note_serving(self, pipeline: str, manifest: bytes) -> None:
        """From now on servers answer by this release."""
        ...

    def latest(self, pipeline: str) -> Rollout | None:
        """The newest rollout of a pipeline; one row, read often."""
        ...

    def listed(self, *, cursor: str | None, limit: int) -> RolloutListing:
        """Up to `limit` rollouts older than `cursor`."""
        ...

    def observe(
        self,
        rollout_id: str,
        observations: Sequence[Observation],
        tallies: Tallies,
        *,
        exposures: Mapping[str, Exposure] | None = None,
        news: NewsMove | None = None,
    ) -> None:
        """Counts `observations` in their order, each key once, and adds `tallies`, in one transaction.

        `exposures` by decision are kept for what is told of it later. With `news`, nothing is counted when the cursor
        is not where it was thought to be, and `exposures` take the place of those that were kept. Nothing is counted
        once the rollout is over.
        """
        ...

    def news_cursor(self, rollout_id: str) -> str:
        """How far the news of its decisions were counted; empty at the beginning."""
        ...

    def exposures(self, decision_ids: Sequence[str]) -> dict[str, Exposure]:
        """Those of decisions that a running rollout took part in."""
        ...

    def figures(self, rollout_id: str) -> Figures:
        """All that was counted, by all processes."""
        ...

    def tallies(self, rollout_id: str) -> dict[Measure, Tally]:
        """All that was added up, by all processes."""
        ...

    def note(self, judgement: Judgement) -> None:
        """Keeps a judgement that changes nothing."""
        ...

    def judgements(self, rollout_id: str, *, limit: int) -> list[Judgement]:
        """The newest ones first."""
        ...

    def forget(self, *, before: datetime) -> int:
        """Drops what rollouts counted and were judged by that ended before; how many that were.

        Each rollout stays, with the judgement that ended it and the figures that this rests on.
        """
        ...

    def close(self) -> None:
        """Gives back all connections; safe to call twice."""
        ...
