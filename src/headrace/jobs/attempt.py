"""RunningAttempt: one attempt at a job in this process, what it reports, and what it has finished for good."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from time import monotonic
from typing import Any, ClassVar

from headrace.domain.decision import Decision
from headrace.domain.job import Job, JobProgress
from headrace.domain.stores import BegunJob, Checkpoint, JobStore
from headrace.errors import HeadraceError
from headrace.jobs.broker import Delivery

NEARLY = 0.95
"""What the last unit of a stage amounts to: the answer is not there yet."""


class Stop(Enum):
    """Why an attempt is ended from outside."""

    CANCELLED = "cancelled"
    LOST = "lost"
    DRAINED = "drained"
    OVERDUE = "overdue"


class LeftToOthers(HeadraceError):
    """Another worker can answer this job as it is, and this one cannot: it goes back, and loses nothing."""

    code: ClassVar[str] = "left_to_others"
    retryable: ClassVar[bool] = True

    def __init__(self, detail: str, *, wait_s: float) -> None:
        super().__init__(detail, remedy="Nothing is to be done: it is brought to others.")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What a job was answered with: JSON, and the decision that is stored with it."""

    body: bytes
    decision: Decision | None = None
    decision_id: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is given to whoever answers a job. `report` and `checkpoints` may be used from any thread.

    `rebind` is called before a release answers that is not the job's own; it raises `LeaseLost`.
    """

    job: Job
    number: int
    content: bytes
    report: Callable[[str, int, int], None]
    checkpoints: JobCheckpoints
    rebind: Callable[[str], Awaitable[object]]


Answering = Callable[[Work], Awaitable[JobAnswer]]


class JobCheckpoints:
    """The finished parts of a job's input, by release and name: those of earlier attempts, and those of this one.

    Saving returns at once; what is saved is on the disc within moments, in the order of saving.
    """

    def __init__(
        self,
        store: JobStore,
        begun: BegunJob,
        kept: Mapping[tuple[str, str], bytes],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._begun = begun
        self._kept = dict(kept)
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._saving: deque[Checkpoint] = deque()
        self._task: asyncio.Task[None] | None = None

    def find(self, release: str, name: str) -> bytes | None:
        """The part, if an attempt has finished it."""
        return self._kept.get((release, name))

    def found(self, release: str, prefix: str) -> dict[str, bytes]:
        """All finished parts of a release whose names begin so."""
        return {name: value for (own, name), value in self._kept.items() if own == release and name.startswith(prefix)}

    def save(self, release: str, name: str, value: bytes) -> None:
        """Keeps a finished part."""
        self._kept[release, name] = value
        checkpoint = Checkpoint(self._begun.job.id, self._begun.number, release, name, value)
        self._loop.call_soon_threadsafe(self._put, checkpoint)

    def close(self) -> None:
        """Saves no more."""
        if self._task is not None:
            self._task.cancel()

    def _put(self, checkpoint: Checkpoint) -> None:
        self._saving.append(checkpoint)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._save_all())

    async def _save_all(self) -> None:
        while self._saving:
            checkpoint = self._saving.popleft()
            try:
                await self._store.save_checkpoint(checkpoint, now=self._clock())
            except HeadraceError:
                # A store that is away for a moment costs this part if the worker dies too; a lost lease is told by
                # the heartbeat.
                continue


class RunningAttempt:
    """One attempt that runs here. `delivery` is the ticket that it came by."""

    def __init__(self, begun: BegunJob, delivery: Delivery) -> None:
        self.begun = begun
        self.delivery = delivery
        self.begun_at = monotonic()
        self.stopped: Stop | None = None
        self.is_elsewhere = False
        self.lost_at = 0.0
        self.answering: asyncio.Future[Any] | None = None
        self._progress = begun.job.progress
        self._told = self._progress

    @property
    def job_id(self) -> str:
        """Of which job."""
        return self.begun.job.id

    @property
    def number(self) -> int:
        """The fencing token."""
        return self.begun.number

    @property
    def progress(self) -> JobProgress:
        """How far it has come."""
        return self._progress

    def report(self, stage: str, done: int, total: int) -> None:
        """Notes how far it has come; from any thread."""
        fraction = NEARLY * done / total if total > 0 else 0.0
        elapsed_s = monotonic() - self.begun_at
        self._progress = self._progress.advanced(
            stage=stage, done=done, total=total, fraction=fraction, elapsed_s=elapsed_s
        )

    def news(self) -> JobProgress | None:
        """The progress, if it has changed since the last call."""
        if self._progress == self._told:
            return None
        self._told = self._progress
        return self._progress

    async def answered_by(self, answer: Callable[[], Awaitable[JobAnswer]]) -> JobAnswer:
        """What `answer` gives; raises `CancelledError`, like a task that was cancelled, when it is stopped.

        It runs within the task of the caller, which goes on after a stop: a task of its own would cost more than many
        a job.
        """
        task = asyncio.current_task()
        assert task is not None
        if self._is_stopped():
            raise asyncio.CancelledError
        self.answering = task
        try:
            return await answer()
        finally:
            self.answering = None
            if self._is_stopped():
                task.uncancel()

    def _is_stopped(self) -> bool:
        return self.stopped is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether the task that asks is cancelled itself."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def stop(self, why: Stop) -> None:
        """Ends it from outside; the first reason counts."""
        self.stopped = self.stopped or why
        if self.answering is not None:
            self.answering.cancel()
