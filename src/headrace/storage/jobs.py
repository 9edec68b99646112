"""Jobs in SQL, the truth about them: SQLite with one writer a process, or Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, select

from headrace.domain.job import Job, JobError, JobEvent, JobProgress, JobResult, JobState, RetryPolicy
from headrace.domain.stores import (
    BegunJob,
    Checkpoint,
    Holds,
    IssuedTicket,
    JobFilter,
    JobListing,
    JobSubmission,
    JobSuccess,
    Lease,
    LineFigures,
    Listener,
)
from headrace.storage.bell import Bell, PostgresBell, SocketBell
from headrace.storage.database import Database
from headrace.storage.job_changes import WORK, JobChange, JobChanges, loaded
from headrace.storage.job_runs import BeginWish, HoldWish, JobRuns, SuccessWish
from headrace.storage.job_tables import (
    StoredJob,
    attempts,
    checkpoints,
    event_of,
    job_events,
    jobs,
    microseconds,
    moment_of,
    results,
)
from headrace.storage.outbox import IssueWish, Outbox, figures_of
from headrace.storage.writer import GroupCommit


class SqlJobs:
    """Keeps the promise of `JobStore` in SQLite or Postgres.

    What a caller is told of (submissions, ends, cancellations) is on the disc when the call returns. What the next
    attempt would do again (tickets, beginnings, heartbeats, progress) costs no write to the disc with SQLite: a machine
    that loses its power loses its workers too.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rings: set[str] = set()
        self._changes = JobChanges(self._rings)
        self._runs = JobRuns(self._rings)
        self._outbox = Outbox()
        self._bell = _bell(database)
        self._writer = GroupCommit(database, on_commit=self._ring)
        # On Postgres a server may lose its power while workers live on: there an attempt's number has to be durable.
        self._begins_durably = not database.is_sqlite

    async def add(self, submission: JobSubmission) -> Job:
        """The job, or the earlier one of its idempotency."""
        return await self._writer.make(self._changes.add, submission)

    async def find(self, job_id: str) -> Job | None:
        """The job with its attempts."""
        found = (await asyncio.to_thread(self._loaded, [job_id])).get(job_id)
        return None if found is None else found.job

    async def find_idempotent(self, idempotency: str) -> Job | None:
        """The job that was submitted under this name."""
        return await asyncio.to_thread(self._find_idempotent, idempotency)

    async def listed(self, which: JobFilter, *, cursor: str | None, limit: int) -> JobListing:
        """Newest first; ids are sorted by time."""
        return await asyncio.to_thread(self._listed, which, cursor, limit)

    async def cancel(self, job_id: str, *, now: datetime) -> Job:
        """At once while queued; while running its worker is told."""
        return await self._change(job_id, lambda job: job.cancelled(now=now), now=now)

    async def replay(self, job_id: str, *, now: datetime, release: str | None = None) -> Job:
        """Queued again."""
        return await self._change(job_id, lambda job: job.replayed(now=now, release=release), now=now)

    async def events(self, job_id: str, *, after: int, limit: int = 1000) -> list[JobEvent]:
        """In order."""
        return await asyncio.to_thread(self._events, job_id, after, limit)

    async def result(self, job_id: str) -> JobResult | None:
        """The answer, or where it lies."""
        return await asyncio.to_thread(self._result, job_id)

    async def issue(
        self, priorities: Sequence[str], *, limit: int, now: datetime, ticket_s: float
    ) -> list[IssuedTicket]:
        """By line and turn."""
        wish = IssueWish(tuple(priorities), limit, now, ticket_s)
        return await self._writer.make(self._outbox.issue, wish, durable=False)

    async def give_back(self, job_ids: Sequence[str]) -> None:
        """What has not begun is due, and who waits for work is rung."""
        if job_ids:
            await self._writer.make(self._outbox.give_back, tuple(job_ids), durable=False)
            self._bell.ring({WORK})

    async def issue_again(self, *, older_than_s: float, now: datetime) -> int:
        """Makes due at once what was issued longer ago and has not begun."""
        return await self._writer.make(self._outbox.issue_again, now - timedelta(seconds=older_than_s), durable=False)

    async def begin(self, job_ids: Sequence[str], *, worker: str, now: datetime, lease_s: float) -> list[BegunJob]:
        """Those that are queued and due."""
        wish = BeginWish(tuple(dict.fromkeys(job_ids)), worker, now, lease_s)
        return await self._writer.make(self._runs.begin, wish, durable=self._begins_durably)

    async def hold(self, held: Sequence[tuple[str, int]], *, now: datetime, lease_s: float) -> Holds:
        """The leases run on; what is lost or to be cancelled is told."""
        return await self._writer.make(self._runs.hold, HoldWish(tuple(held), now, lease_s), durable=False)

    async def rebind(self, job_id: str, number: int, release: str, *, now: datetime) -> Job:
        """Durable, for callers are told of it."""
        return await self._change(job_id, lambda job: job.rebound(number, release), now=now)

    async def progress(self, job_id: str, number: int, progress: JobProgress, *, now: datetime) -> None:
        """As a change of the job, with an event."""
        await self._change(job_id, lambda job: job.progressed(number, progress), now=now, durable=False)

    async def succeed(self, success: JobSuccess, *, now: datetime) -> None:
        """All or nothing."""
        await self._writer.make(self._runs.succeed, SuccessWish(success, now))

    async def fail(
        self, job_id: str, number: int, error: JobError, *, now: datetime, policy: RetryPolicy, jitter: float
    ) -> Job:
        """Queued for another attempt, or failed for good."""
        rule = partial(_failed, number=number, error=error, now=now, policy=policy, jitter=jitter)
        return await self._change(job_id, rule, now=now)

    async def lapse(
        self, job_id: str, number: int, *, now: datetime, policy: RetryPolicy, alone: bool, evidence: str = ""
    ) -> Job:
        """Queued again, or dead."""
        rule = partial(_lapsed, number=number, now=now, policy=policy, alone=alone, evidence=evidence)
        return await self._change(job_id, rule, now=now)

    async def hand_back(self, job_id: str, number: int, *, now: datetime, wait_s: float = 0.0) -> Job:
        """Queued again."""
        return await self._change(job_id, lambda job: job.handed_back(number, now=now, wait_s=wait_s), now=now)

    async def stop(self, job_id: str, number: int, *, now: datetime) -> Job:
        """Cancelled by its worker."""
        return await self._change(job_id, lambda job: job.stopped(number, now=now), now=now)

    async def leases(self) -> list[Lease]:
        """Of all running attempts."""
        return await asyncio.to_thread(self._leases)

    async def save_checkpoint(self, checkpoint: Checkpoint, *, now: datetime) -> None:
        """Durable, for it saves work that was paid for."""

        def rule(job: Job) -> Job:
            return job.advanced(checkpoint.number)

        change = JobChange(checkpoint.job_id, rule, now, checkpoint=checkpoint)
        await self._writer.make(self._changes.apply, change)

    async def checkpoints(self, input_digest: str) -> dict[tuple[str, str], bytes]:
        """By release and name."""
        return await asyncio.to_thread(self._checkpoints, input_digest)

    async def figures(self, *, now: datetime) -> list[LineFigures]:
        """Counted from the outbox, which has the queued jobs alone."""
        return await asyncio.to_thread(self._figures, now)

    async def forget(self, *, before: datetime, limit: int = 1000) -> list[str]:
        """With all that belongs to them."""
        return await self._writer.make(self._forget, (before, limit))

    def listening(self, topic: str) -> AbstractContextManager[Listener]:
        """Hears of changes while inside."""
        return self._bell.listening(topic)

    async def close(self) -> None:
        """Makes what waits, then closes all."""
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._bell.close)
        self._database.close()

    async def _change(self, job_id: str, rule: Any, *, now: datetime, durable: bool = True) -> Job:
        return await self._writer.make(self._changes.apply, JobChange(job_id, rule, now), durable=durable)

    def _ring(self) -> None:
        self._bell.ring(self._rings)
        self._rings.clear()

    def _loaded(self, job_ids: Sequence[str]) -> dict[str, StoredJob]:
        with self._database.reading() as connection:
            return loaded(connection, job_ids)

    def _find_idempotent(self, idempotency: str) -> Job | None:
        with self._database.reading() as connection:
            job_id = connection.scalar(select(jobs.c.id).where(jobs.c.idempotency == idempotency))
            return None if job_id is None else loaded(connection, [job_id])[job_id].job

    def _listed(self, which: JobFilter, cursor: str | None, limit: int) -> JobListing:
        query = select(jobs.c.id).order_by(jobs.c.id.desc()).limit(limit + 1)
        wanted = {"state": which.state and which.state.value, "key": which.key}
        wanted |= {"batch_id": which.batch_id, "endpoint": which.endpoint}
        for name, value in wanted.items():
            if value is not None:
                query = query.where(jobs.c[name] == value)
        if cursor is not None:
            query = query.where(jobs.c.id < cursor)
        with self._database.reading() as connection:
            ids = list(connection.scalars(query))
            found = loaded(connection, ids[:limit])
        return JobListing(
            items=tuple(found[job_id].job for job_id in ids[:limit]),
            next=ids[limit - 1] if len(ids) > limit else None,
        )

    def _events(self, job_id: str, after: int, limit: int) -> list[JobEvent]:
        query = select(job_events).where(job_events.c.job_id == job_id, job_events.c.id > after)
        with self._database.reading() as connection:
            return [event_of(row) for row in connection.execute(query.order_by(job_events.c.id).limit(limit))]

    def _result(self, job_id: str) -> JobResult | None:
        with self._database.reading() as connection:
            row = connection.execute(select(results).where(results.c.job_id == job_id)).one_or_none()
        return None if row is None else JobResult(row.job_id, row.body, row.digest, row.decision_id)

    def _leases(self) -> list[Lease]:
        query = (
            select(attempts)
            .join(jobs, (jobs.c.id == attempts.c.job_id) & (jobs.c.attempts == attempts.c.number))
            .where(jobs.c.state == JobState.RUNNING.value)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [Lease(row.job_id, row.number, row.worker, bool(row.isolated), moment_of(row.lease_us)) for row in rows]

    def _checkpoints(self, input_digest: str) -> dict[tuple[str, str], bytes]:
        with self._database.reading() as connection:
            rows = connection.execute(select(checkpoints).where(checkpoints.c.input_digest == input_digest))
            return {(row.release, row.name): row.value for row in rows}

    def _figures(self, now: datetime) -> list[LineFigures]:
        with self._database.reading() as connection:
            return figures_of(connection, now)

    def _forget(self, connection: Connection, wishes: Sequence[tuple[datetime, int]]) -> list[list[str]]:
        return [_forgotten(connection, before, limit) for before, limit in wishes]


def _bell(database: Database) -> Bell:
    if not database.is_sqlite:
        return PostgresBell(database.engine)
    return Bell() if database.folder is None else SocketBell(database.folder / "bells")


def _failed(job: Job, **how: Any) -> Job:
    return job.failed(how.pop("number"), how.pop("error"), **how)


def _lapsed(job: Job, **how: Any) -> Job:
    return job.lapsed(how.pop("number"), **how)


def _forgotten(connection: Connection, before: datetime, limit: int) -> list[str]:
    """The digests that no job needs any more."""
    ended = select(jobs.c.id, jobs.c.input_digest).where(jobs.c.finished_us < microseconds(before)).limit(limit)
    gone = {row.id: row.input_digest for row in connection.execute(ended)}
    if not gone:
        return []
    large = connection.scalars(
        select(results.c.digest).where(results.c.job_id.in_(gone), results.c.digest.is_not(None))
    )
    digests = set(gone.values()) | {digest for digest in large if digest is not None}
    for table in (job_events, attempts, results):
        connection.execute(delete(table).where(table.c.job_id.in_(gone)))
    connection.execute(delete(checkpoints).where(checkpoints.c.input_digest.in_(digests)))
    connection.execute(delete(jobs).where(jobs.c.id.in_(gone)))
    needed = set(connection.scalars(select(jobs.c.input_digest).where(jobs.c.input_digest.in_(digests))))
    needed |= set(connection.scalars(select(results.c.digest).where(results.c.digest.in_(digests))))
    return sorted(digests - needed)
