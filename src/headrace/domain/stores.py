"""What every store must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from headrace.domain.decision import Decision


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of decisions, newest first, without their text and explanation; `next` continues, None at the end."""

    items: tuple[Decision, ...]
    next: str | None


class DecisionStore(Protocol):
    """Keeps decisions. Blocking: callers on an event loop put it into a thread."""

    def add(self, decisions: Sequence[Decision]) -> None:
        """All of them are durable when this returns; one that is there already is left as it is."""
        ...

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        ...

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Up to `limit` decisions older than `cursor`."""
        ...

    def forget(self, *, before: datetime, keep: int) -> int:
        """Drops what is older than `before` and all but the newest `keep`; how many were dropped."""
        ...

    def close(self) -> None:
        """Gives back all connections; safe to call twice."""
        ...
