"""Stores that forget with their process, for tests and for runs that keep nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

from msgspec.structs import replace

from headrace.domain.decision import Account, Decision, told
from headrace.domain.stores import Forgotten, Listing


class MemoryDecisions:
    """Keeps the newest `bound` decisions."""

    def __init__(self, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._decisions: dict[str, Decision] = {}
        self._accounts: dict[str, Account] = {}
        self._lock = Lock()

    def add(self, decisions: Sequence[Decision], *, settles: Account | None = None) -> None:
        """Adds them; the oldest go when there are too many."""
        with self._lock:
            for decision in decisions:
                known = self._decisions.get(decision.id)
                if known is None or (decision.answer_digest and not known.answer_digest):
                    self._decisions[decision.id] = decision
            for oldest in sorted(self._decisions)[: max(0, len(self._decisions) - self._bound)]:
                del self._decisions[oldest]
            if settles is not None:
                account = self.account(settles.process)
                self._accounts[settles.process] = Account(
                    settles.process,
                    settles.through,
                    stored=account.stored + settles.stored,
                    refused=account.refused + settles.refused,
                )

    def account(self, process: str) -> Account:
        """The account of one process."""
        return self._accounts.get(process, Account(process))

    def missing(self) -> int:
        """Over all processes."""
        return sum(account.missing for account in self._accounts.values())

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        found = self._decisions.get(decision_id)
        return None if found is None else told(found)

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Newest first; ids are sorted by time."""
        with self._lock:
            ids = sorted((each for each in self._decisions if cursor is None or each < cursor), reverse=True)
            items = tuple(
                replace(self._decisions[each], text=None, explanation=None, input=None) for each in ids[:limit]
            )
        return Listing(items=items, next=ids[limit - 1] if len(ids) > limit else None)

    def forget(self, *, before: datetime, keep: int, keep_bytes: int | None = None) -> Forgotten:
        """Drops by age, number and size."""
        with self._lock:
            total = 0
            gone: list[Decision] = []
            for place, each in enumerate(sorted(self._decisions, reverse=True)):
                decision = self._decisions[each]
                total += _size_bytes(decision)
                is_over = keep_bytes is not None and total > keep_bytes
                if decision.created_at < before or place >= keep or is_over:
                    gone.append(decision)
            for decision in gone:
                del self._decisions[decision.id]
            in_use = {each.input_blob for each in self._decisions.values()}
            blobs = {each.input_blob for each in gone if each.input_blob is not None} - in_use
        return Forgotten(count=len(gone), blobs=tuple(sorted(blob for blob in blobs if blob is not None)))

    def close(self) -> None:
        """Nothing to give back."""


def _size_bytes(decision: Decision) -> int:
    parts = (decision.body, decision.text, decision.explanation, decision.input)
    return sum(len(part) for part in parts if part is not None)
