"""What a store of feedback and outcomes must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from headrace.domain.feedback import Aftermath, Feedback, Outcome


class FeedbackStore(Protocol):
    """Keeps what was said of decisions. Blocking."""

    def add(self, said: Sequence[Feedback | Outcome]) -> None:
        """All of it is durable when this returns."""
        ...

    def of(self, decision_id: str) -> Aftermath:
        """All that was said of one decision."""
        ...

    def feedback_after(self, cursor: str, *, limit: int, release: str | None = None) -> Sequence[Feedback]:
        """Up to `limit`, oldest first, that came after the feedback with the id `cursor`; "" begins."""
        ...

    def outcomes_after(
        self, cursor: str, *, limit: int, release: str | None = None, metric: str | None = None
    ) -> Sequence[Outcome]:
        """As `feedback_after`."""
        ...

    def forget(self, *, before: datetime) -> int:
        """Drops what is older than `before`; how many that were."""
        ...
