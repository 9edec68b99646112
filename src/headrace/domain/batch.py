"""Batch: many documents that were handed in together, with one progress and one end; and where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from headrace.domain.job import JobError, JobState


class BatchState(StrEnum):
    """Where a batch stands: `OPEN` while its jobs are being submitted, `FINISHED` once the last of them has ended."""

    OPEN = "open"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Batch:
    """`total` is how many documents it has, known once it is no longer open; `counts` are its jobs by state."""

    id: str
    endpoint: str
    created_at: datetime
    key: str = ""
    webhook_url: str | None = None
    state: BatchState = BatchState.OPEN
    total: int = 0
    finished_at: datetime | None = None
    counts: Mapping[JobState, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many of its jobs have ended, whichever way."""
        return sum(count for state, count in self.counts.items() if state.is_final)

    def body(self) -> dict[str, Any]:
        """The batch as JSON on the wire."""
        return {
            "id": self.id,
            "state": self.state,
            "endpoint": self.endpoint,
            "created_at": self.created_at.astimezone(UTC),
            "finished_at": None if self.finished_at is None else self.finished_at.astimezone(UTC),
            "progress": {
                "done": self.done,
                "total": self.total,
                "fraction": self.done / self.total if self.total else 0.0,
            },
            "jobs": {state.value: self.counts.get(state, 0) for state in JobState},
        }


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What became of one document of a batch; a large answer lies in the artifacts by `digest`."""

    job_id: str
    filename: str | None
    state: JobState
    error: JobError | None = None
    decision_id: str | None = None
    body: bytes | None = None
    digest: str | None = None


class BatchStore(Protocol):
    """Batches, and their jobs as far as the batch is concerned. Every call may raise `StoreUnavailable`."""

    async def add(self, batch: Batch) -> None:
        """Keeps an open batch, before any of its jobs is submitted."""
        ...

    async def seal(self, batch_id: str, *, total: int) -> None:
        """All of its jobs are submitted: from now on it runs, and may finish."""
        ...

    async def find(self, batch_id: str) -> Batch | None:
        """The batch, its jobs counted."""
        ...

    async def listed(self, *, key: str | None, cursor: str | None, limit: int) -> list[Batch]:
        """Newest first; `cursor` is the id of the last one seen."""
        ...

    async def lines(self, batch_id: str, *, after: str, limit: int) -> list[BatchLine]:
        """What became of its documents, in the order in which they were handed in, from the job behind `after`."""
        ...

    async def unfinished_jobs(self, batch_id: str, *, limit: int) -> list[str]:
        """Ids of its jobs that have not ended."""
        ...

    async def finish(self, *, now: datetime) -> int:
        """Finishes all batches whose jobs have all ended, each with the deliveries that tell so, at once; how many."""
        ...

    async def abandoned(self, *, before: datetime) -> list[str]:
        """Ids of batches that are open since before: whoever submitted them died on the way."""
        ...
