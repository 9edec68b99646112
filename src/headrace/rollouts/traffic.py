"""Traffic: which release answers a key, at the door of every endpoint of one pipeline, in this process."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.model import CHAMPION
from headrace.domain.release import Variant
from headrace.domain.rollout import CHALLENGER, Rollout


@dataclass(frozen=True, slots=True)
class RolledOut(Variant):
    """A variant that a rollout chose, with the rollout as it stood then: shares grow while questions are answered."""

    rollout: Rollout | None = None


class Traffic:
    """The split as one value that is replaced as a whole; choosing neither waits nor asks anybody.

    A candidate gets nothing, not even a shadow's questions, before `is_ready` says that it is warm in this process.
    """

    def __init__(self, champion: str) -> None:
        self.champion = champion
        self.rollout: Rollout | None = None
        self.is_ready = False
        self._plain: Variant = Variant(champion)

    def follow(self, rollout: Rollout | None, *, champion: str, is_ready: bool) -> None:
        """From the next question on."""
        self._plain = Variant(champion)
        self.champion, self.rollout, self.is_ready = champion, rollout, is_ready

    def choose(self, key: str) -> Variant:
        """The variant for `key`; the champion's where there is no rollout, or its candidate is not warm here."""
        rollout = self.rollout
        if rollout is None or not self.is_ready or rollout.is_over:
            return self._plain
        if rollout.is_candidate(key):
            return RolledOut(rollout.candidate, CHALLENGER, rollout=rollout)
        return RolledOut(rollout.champion, CHAMPION, is_shadowed=rollout.is_shadowing, rollout=rollout)
