"""Batches in SQL; their jobs are counted from the jobs' own table, the only truth about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, func, insert, select, update
from sqlalchemy.engine import Row

from headrace.domain.batch import Batch, BatchLine, BatchState
from headrace.domain.job import JobError, JobRequest, JobState
from headrace.storage.database import Database, metadata
from headrace.storage.job_tables import jobs, microseconds, moment_of, results
from headrace.storage.webhooks import Announcement, announce

FINISHED_EVENT = "headrace.batch.finished"
FINAL_STATES = tuple(state.value for state in JobState if state.is_final)

batches = Table(
    "batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint", String(200), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("key", String(200), nullable=False),
    Column("webhook_url", String(2000)),
    Column("state", String(20), nullable=False),
    Column("total", Integer, nullable=False),
    Index("batches_by_state", "state", "created_us"),
)

_LINE: tuple[Column[Any], ...] = (
    *(jobs.c[name] for name in ("id", "request", "state", "error", "decision_id")),
    results.c.body,
    results.c.digest,
)


class SqlBatches:
    """Keeps the promise of `BatchStore` in SQLite or Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch) -> None:
        """Durable when this returns."""
        await asyncio.to_thread(self._add, batch)

    async def seal(self, batch_id: str, *, total: int) -> None:
        """Durable when this returns."""
        await asyncio.to_thread(self._seal, batch_id, total)

    async def find(self, batch_id: str) -> Batch | None:
        """With its jobs counted."""
        return await asyncio.to_thread(self._find, batch_id)

    async def listed(self, *, key: str | None, cursor: str | None, limit: int) -> list[Batch]:
        """Newest first; ids are sorted by time."""
        return await asyncio.to_thread(self._listed, key, cursor, limit)

    async def lines(self, batch_id: str, *, after: str, limit: int) -> list[BatchLine]:
        """By job id, which is sorted by the order of submission."""
        return await asyncio.to_thread(self._lines, batch_id, after, limit)

    async def unfinished_jobs(self, batch_id: str, *, limit: int) -> list[str]:
        """Oldest first."""
        return await asyncio.to_thread(self._unfinished_jobs, batch_id, limit)

    async def finish(self, *, now: datetime) -> int:
        """State and deliveries in one transaction a batch, so that its end is told once."""
        return await asyncio.to_thread(self._finish, now)

    async def abandoned(self, *, before: datetime) -> list[str]:
        """Open since before."""
        return await asyncio.to_thread(self._abandoned, before)

    def _add(self, batch: Batch) -> None:
        row = {
            "id": batch.id,
            "endpoint": batch.endpoint,
            "created_us": microseconds(batch.created_at),
            "finished_us": None,
            "key": batch.key,
            "webhook_url": batch.webhook_url,
            "state": batch.state.value,
            "total": batch.total,
        }
        with self._database.transaction() as connection:
            connection.execute(insert(batches), row)

    def _seal(self, batch_id: str, total: int) -> None:
        sealed = {"state": BatchState.RUNNING.value, "total": total}
        with self._database.transaction() as connection:
            connection.execute(update(batches).where(batches.c.id == batch_id).values(sealed))

    def _find(self, batch_id: str) -> Batch | None:
        with self._database.reading() as connection:
            row = connection.execute(select(batches).where(batches.c.id == batch_id)).one_or_none()
            return None if row is None else _batch(row, _counts(connection, [batch_id]).get(batch_id, {}))

    def _listed(self, key: str | None, cursor: str | None, limit: int) -> list[Batch]:
        query = select(batches).order_by(batches.c.id.desc()).limit(limit)
        if key is not None:
            query = query.where(batches.c.key == key)
        if cursor is not None:
            query = query.where(batches.c.id < cursor)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            counts = _counts(connection, [row.id for row in rows])
        return [_batch(row, counts.get(row.id, {})) for row in rows]

    def _lines(self, batch_id: str, after: str, limit: int) -> list[BatchLine]:
        query = (
            select(*_LINE)
            .outerjoin(results, results.c.job_id == jobs.c.id)
            .where(jobs.c.batch_id == batch_id, jobs.c.id > after)
            .order_by(jobs.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_line(row) for row in connection.execute(query)]

    def _unfinished_jobs(self, batch_id: str, limit: int) -> list[str]:
        query = select(jobs.c.id).where(jobs.c.batch_id == batch_id, jobs.c.state.not_in(FINAL_STATES))
        with self._database.reading() as connection:
            return list(connection.scalars(query.order_by(jobs.c.id).limit(limit)))

    def _finish(self, now: datetime) -> int:
        running = select(batches.c.id).where(batches.c.state == BatchState.RUNNING.value)
        with self._database.reading() as connection:
            ids = list(connection.scalars(running))
        return sum(self._finish_one(batch_id, now) for batch_id in ids)

    def _finish_one(self, batch_id: str, now: datetime) -> bool:
        with self._database.reading() as connection:
            counts = _counts(connection, [batch_id]).get(batch_id, {})
        if any(not state.is_final for state in counts):
            return False
        ended = update(batches).where(batches.c.id == batch_id, batches.c.state == BatchState.RUNNING.value)
        with self._database.transaction() as connection:
            ended = ended.values(state=BatchState.FINISHED.value, finished_us=microseconds(now))
            # Of several processes that see the end, one changes the row and tells of it.
            if connection.execute(ended).rowcount != 1:
                return False
            row = connection.execute(select(batches).where(batches.c.id == batch_id)).one()
            batch = _batch(row, counts)
            body = msgspec.json.encode(batch.body())
            finished = Announcement(FINISHED_EVENT, batch.id, lambda: body, now, key=batch.key, url=batch.webhook_url)
            announce(connection, [finished])
        return True

    def _abandoned(self, before: datetime) -> list[str]:
        query = select(batches.c.id).where(
            batches.c.state == BatchState.OPEN.value, batches.c.created_us < microseconds(before)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(query))


def _counts(connection: Connection, ids: Sequence[str]) -> dict[str, dict[JobState, int]]:
    query = (
        select(jobs.c.batch_id, jobs.c.state, func.count().label("jobs"))
        .where(jobs.c.batch_id.in_(ids))
        .group_by(jobs.c.batch_id, jobs.c.state)
    )
    found: dict[str, dict[JobState, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.batch_id, {})[JobState(row.state)] = row.jobs
    return found


def _batch(row: Row[Any], counts: dict[JobState, int]) -> Batch:
    return Batch(
        id=row.id,
        endpoint=row.endpoint,
        created_at=moment_of(row.created_us),
        key=row.key,
        webhook_url=row.webhook_url,
        state=BatchState(row.state),
        total=row.total,
        finished_at=None if row.finished_us is None else moment_of(row.finished_us),
        counts=counts,
    )


def _line(row: Row[Any]) -> BatchLine:
    return BatchLine(
        job_id=row.id,
        filename=msgspec.json.decode(row.request, type=JobRequest).filename,
        state=JobState(row.state),
        error=None if row.error is None else msgspec.json.decode(row.error, type=JobError),
        decision_id=row.decision_id,
        body=row.body,
        digest=row.digest,
    )
