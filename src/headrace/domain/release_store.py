"""What a store of releases must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.domain.release import ReleaseRecord


class ReleaseStore(Protocol):
    """Keeps the manifests of all releases that ever answered or were to answer. Blocking."""

    def add(self, record: ReleaseRecord) -> None:
        """Durable when this returns; one that is there already is left as it is."""
        ...

    def find(self, release_id: str) -> ReleaseRecord | None:
        """By its whole id, or by a beginning of it that only one release has.

        Raises:
            InvalidInput: several releases begin so.
        """
        ...

    def listed(self, *, cursor: str | None, limit: int) -> tuple[Sequence[ReleaseRecord], str | None]:
        """Up to `limit`, newest first, after `cursor`; and the cursor of the next page, None at the end."""
        ...
