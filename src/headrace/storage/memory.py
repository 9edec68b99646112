"""Stores that forget with their process, for tests and for runs that keep nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock

from headrace.domain.decision import Decision
from headrace.domain.stores import Listing


class MemoryDecisions:
    """Keeps the newest `bound` decisions."""

    def __init__(self, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._decisions: dict[str, Decision] = {}
        self._lock = Lock()

    def add(self, decisions: Sequence[Decision]) -> None:
        """Adds them; the oldest go when there are too many."""
        with self._lock:
            for decision in decisions:
                self._decisions.setdefault(decision.id, decision)
            for oldest in sorted(self._decisions)[: max(0, len(self._decisions) - self._bound)]:
                del self._decisions[oldest]

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        return self._decisions.get(decision_id)

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Newest first; ids are sorted by time."""
        with self._lock:
            ids = sorted((each for each in self._decisions if cursor is None or each < cursor), reverse=True)
            items = tuple(replace(self._decisions[each], text=None, explanation=None) for each in ids[:limit])
        return Listing(items=items, next=ids[limit - 1] if len(ids) > limit else None)

    def forget(self, *, before: datetime, keep: int) -> int:
        """Drops by age and number."""
        with self._lock:
            newest = set(sorted(self._decisions, reverse=True)[:keep])
            gone = [each for each, it in self._decisions.items() if it.created_at < before or each not in newest]
            for each in gone:
                del self._decisions[each]
        return len(gone)

    def close(self) -> None:
        """Nothing to give back."""
