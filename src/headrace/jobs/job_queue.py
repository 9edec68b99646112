"""JobQueue: submit a question to be answered later, look it up, watch it, cancel it, replay it, fetch its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import ClassVar

from headrace.domain.decision import new_id
from headrace.domain.job import Job, JobEvent, JobRequest, JobResult, JobState, NotFinished
from headrace.domain.stores import ArtifactStore, JobFilter, JobListing, JobStore, JobSubmission
from headrace.errors import InvalidInput, NotFound

INLINE_BYTES = 16 * 1024
"""An input up to this size lies in its job's row; a larger one in the artifacts."""

LOOK_S = 2.0
"""Who watches looks so often even when nobody rings."""


class IdempotencyMismatch(InvalidInput):
    """The same Idempotency-Key came with another question."""

    code: ClassVar[str] = "idempotency_mismatch"


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered later: `content` for `endpoint`, or an artifact of that `digest` that is stored already.

    `idempotency` is the caller's name for this very request, within the scope of their key.
    """

    endpoint: str
    release: str
    content: bytes | None = None
    digest: str | None = None
    priority: str = "interactive"
    key: str = ""
    request: JobRequest = field(default_factory=JobRequest)
    batch_id: str | None = None
    idempotency: str | None = None
    due_at: datetime | None = None


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class JobQueue:
    """The front of the job store: any process that reaches the store can serve any job."""

    def __init__(self, store: JobStore, artifacts: ArtifactStore, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock

    async def submit(self, question: Question) -> Job:
        """The job, durable when this returns; the earlier one where the idempotency is known.

        A large input is stored before the transaction: a crash between the two leaves a blob that retention finds, and
        never a job without its input.

        Raises:
            IdempotencyMismatch: the name was used for another question.
            NotFound: there is no artifact of the digest.
            StoreUnavailable: nothing was submitted.
        """
        now = self._clock()
        digest, inline = await self._input(question)
        job = Job(
            id=new_id("job"),
            endpoint=question.endpoint,
            input_digest=digest,
            release=question.release,
            created_at=now,
            due_at=question.due_at or now,
            priority=question.priority,
            key=question.key,
            request=question.request,
            batch_id=question.batch_id,
            idempotency=question.idempotency,
        )
        kept = await self._store.add(JobSubmission(job, inline))
        if kept.id != job.id:
            _check_same(kept, job)
        return kept

    async def look_up(self, job_id: str) -> Job:
        """The job; raises `NotFound`."""
        job = await self._store.find(job_id)
        if job is None:
            raise _unknown(job_id)
        return job

    async def look_up_idempotent(self, idempotency: str) -> Job | None:
        """The job that was submitted under this name."""
        return await self._store.find_idempotent(idempotency)

    async def listed(self, which: JobFilter, *, cursor: str | None = None, limit: int = 50) -> JobListing:
        """Newest first."""
        return await self._store.listed(which, cursor=cursor, limit=limit)

    async def cancel(self, job_id: str) -> Job:
        """Cancelled at once while queued; while running its worker is told and stops it within seconds.

        Raises:
            NotFound: there is no such job.
            IllegalTransition: it has ended already.
        """
        return await self._store.cancel(job_id, now=self._clock())

    async def replay(self, job_id: str, *, release: str | None = None) -> Job:
        """A failed or cancelled job, queued again with a fresh allowance; raises as `cancel`.

        `release` is to answer it, as the one that it was submitted to may be gone; without one that of before.
        """
        return await self._store.replay(job_id, now=self._clock(), release=release)

    async def replay_all(self, which: JobFilter) -> int:
        """All failed jobs of the filter, queued again; how many."""
        failed = replace(which, state=JobState.FAILED)
        count, cursor = 0, None
        while True:
            page = await self._store.listed(failed, cursor=cursor, limit=200)
            await asyncio.gather(*(self.replay(job.id) for job in page.items))
            count, cursor = count + len(page.items), page.next
            if cursor is None:
                return count

    async def result(self, job_id: str) -> JobResult:
        """The answer as JSON.

        Raises:
            NotFound: there is no such job.
            NotFinished: it has no answer yet, or ended without one.
        """
        found = await self._store.result(job_id)
        if found is None:
            raise _unanswered(await self.look_up(job_id))
        if found.digest is None:
            return found
        return replace(found, body=await asyncio.to_thread(self._artifacts.get, found.digest))

    async def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """What happened since event `after`; raises `NotFound`."""
        found = await self._store.events(job_id, after=after, limit=limit)
        if not found:
            await self.look_up(job_id)
        return found

    async def watch(self, job_id: str, *, after: int = 0, quiet_s: float = 15.0) -> AsyncIterator[JobEvent | None]:
        """Events as they come, from the one after `after` to the job's end, each once and in order.

        None after each `quiet_s` in which nothing happened, so that a stream can be kept open. Raises `NotFound`.
        """
        with self._store.listening(job_id) as listener:
            heard_at = monotonic()
            while True:
                events = await self.events(job_id, after=after)
                for event in events:
                    after = event.id
                    yield event
                if events:
                    heard_at = monotonic()
                    continue
                if (await self.look_up(job_id)).state.is_final and not await self.events(job_id, after=after):
                    return
                if monotonic() - heard_at >= quiet_s:
                    heard_at = monotonic()
                    yield None
                await listener.rung(timeout_s=min(LOOK_S, quiet_s))

    async def wait(self, job_id: str, *, timeout_s: float) -> Job:
        """The job when it has ended, or as it is after `timeout_s`; raises `NotFound`."""
        deadline = monotonic() + timeout_s
        with self._store.listening(job_id) as listener:
            while True:
                job = await self.look_up(job_id)
                left_s = deadline - monotonic()
                if job.state.is_final or left_s <= 0:
                    return job
                await listener.rung(timeout_s=min(LOOK_S, left_s))

    async def _input(self, question: Question) -> tuple[str, bytes | None]:
        """The digest of the input, and the input itself where it is small."""
        content = question.content
        if content is None:
            if question.digest is None:
                raise InvalidInput("The job has no input.", remedy="Send a document, or name a stored one.")
            if not await asyncio.to_thread(self._artifacts.exists, question.digest):
                raise NotFound(f"There is no artifact {question.digest}.", remedy="Store it first.")
            return question.digest, None
        if len(content) <= INLINE_BYTES:
            return f"sha256:{sha256(content).hexdigest()}", content
        return await asyncio.to_thread(self._artifacts.put, content), None


def _check_same(kept: Job, asked: Job) -> None:
    if (kept.input_digest, kept.endpoint) != (asked.input_digest, asked.endpoint):
        raise IdempotencyMismatch(
            f"This Idempotency-Key was used for another question, which is job {kept.id}.",
            remedy="Use a key of its own for each question.",
        )


def _unknown(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id}.", remedy="Check its id; jobs that ended long ago are forgotten.")


def _unanswered(job: Job) -> NotFinished:
    if job.state is JobState.FAILED and job.error is not None:
        return NotFinished(f"Job {job.id} failed: {job.error.detail}", remedy="Mend the cause, then retry the job.")
    if job.state is JobState.CANCELLED:
        return NotFinished(f"Job {job.id} was cancelled.", remedy="Retry it if it is wanted after all.")
    return NotFinished(f"Job {job.id} is {job.state} and has no answer yet.", remedy="Ask again, or watch its events.")
