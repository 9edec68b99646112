"""The tables of jobs, and how their rows become jobs and jobs become rows.

Moments are whole microseconds since 1970 in UTC: they compare alike in every database and lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, SmallInteger, String, Table
from sqlalchemy.engine import Row

from headrace.domain.job import Attempt, AttemptOutcome, Job, JobError, JobEvent, JobProgress, JobRequest, JobState
from headrace.storage.database import metadata, partial_index

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Shape = TypeVar("Shape")


class Stage(IntEnum):
    """Where a job in the outbox stands: due, due later, or with a ticket out."""

    READY = 0
    DELAYED = 1
    TICKETED = 2


jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("endpoint", String(200), nullable=False),
    Column("input_digest", String(80), nullable=False),
    Column("release", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("priority", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("isolated", Boolean, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("forgiven_attempts", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("events", Integer, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("progress", LargeBinary, nullable=False),
    Column("error", LargeBinary),
    Column("decision_id", String(64)),
    Column("batch_id", String(64)),
    Column("idempotency", String(400)),
    Column("inline", LargeBinary),
)
Index("jobs_by_state", jobs.c.state, jobs.c.id)
partial_index("jobs_by_batch", jobs.c.batch_id, jobs.c.state, where=jobs.c.batch_id.is_not(None))
partial_index("jobs_by_idempotency", jobs.c.idempotency, is_unique=True, where=jobs.c.idempotency.is_not(None))
partial_index("jobs_by_end", jobs.c.finished_us, where=jobs.c.finished_us.is_not(None))
partial_index("jobs_by_input", jobs.c.input_digest, where=jobs.c.inline.is_(None))

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("worker", String(200), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),
    Column("isolated", Boolean, nullable=False),
    Column("checkpoints", Integer, nullable=False),
    Column("ended_us", BigInteger),
    Column("outcome", String(20)),
    Column("error", LargeBinary),
)

outbox = Table(
    "outbox",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("priority", String(20), nullable=False),
    Column("key", String(200), nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("stage", SmallInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
    Column("issues", BigInteger, nullable=False),
    Index("outbox_by_turn", "stage", "priority", "turn", "job_id"),
    Index("outbox_by_time", "stage", "next_us"),
    Index("outbox_by_key", "priority", "key", "turn"),
)
"""Every queued job has a row here, written with it: what is due, what waits for its time, what has a ticket out."""

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("data", LargeBinary, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("digest", String(80)),
    Column("decision_id", String(64)),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("input_digest", String(80), primary_key=True),
    Column("release", String(80), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

CHANGING = (
    "release",
    "state",
    "due_us",
    "finished_us",
    "isolated",
    "cancel_requested",
    "forgiven_attempts",
    "attempts",
    "events",
    "progress",
    "error",
    "decision_id",
)
"""The columns of a job that change during its life."""

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job with what only its row knows: how many events it has had, and its input where that is small."""

    job: Job
    events: int
    inline: bytes | None


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def moment_of(value: int) -> datetime:
    """The moment in UTC."""
    return EPOCH + timedelta(microseconds=value)


def job_row(stored: StoredJob) -> dict[str, Any]:
    """All columns of a job."""
    job = stored.job
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "input_digest": job.input_digest,
        "key": job.key,
        "priority": job.priority,
        "created_us": microseconds(job.created_at),
        "request": _ENCODER.encode(job.request),
        "batch_id": job.batch_id,
        "idempotency": job.idempotency,
        "inline": stored.inline,
        **changing_row(job, events=stored.events),
    }


def changing_row(job: Job, *, events: int) -> dict[str, Any]:
    """The columns that change during its life."""
    return {
        "release": job.release,
        "state": job.state.value,
        "due_us": microseconds(job.due_at),
        "finished_us": None if job.finished_at is None else microseconds(job.finished_at),
        "isolated": job.isolated,
        "cancel_requested": job.cancel_requested,
        "forgiven_attempts": job.forgiven_attempts,
        "attempts": len(job.attempts),
        "events": events,
        "progress": _ENCODER.encode(job.progress),
        "error": None if job.error is None else _ENCODER.encode(job.error),
        "decision_id": job.decision_id,
    }


def attempt_row(job_id: str, attempt: Attempt) -> dict[str, Any]:
    """All columns of an attempt."""
    return {
        "job_id": job_id,
        "number": attempt.number,
        "worker": attempt.worker,
        "started_us": microseconds(attempt.started_at),
        "lease_us": microseconds(attempt.lease_until),
        "isolated": attempt.isolated,
        "checkpoints": attempt.checkpoints,
        "ended_us": None if attempt.ended_at is None else microseconds(attempt.ended_at),
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "error": None if attempt.error is None else _ENCODER.encode(attempt.error),
    }


def event_row(job: Job, number: int, kind: str, at_us: int, *, old: Job | None = None) -> dict[str, Any]:
    """An event that says how the job stands, and where it differs from the `old` one, who answers it now."""
    told: dict[str, Any]
    told = {"state": job.state, "progress": job.progress, "attempt": len(job.attempts), "error": job.error}
    if old is not None and old.release != job.release:
        told["release"] = {"from": old.release, "to": job.release}
    return {"job_id": job.id, "id": number, "at_us": at_us, "kind": kind, "data": _ENCODER.encode(told)}


def stored_jobs(rows: Iterable[Row[Any]], attempt_rows: Iterable[Row[Any]]) -> dict[str, StoredJob]:
    """Jobs by id, in the order of `rows`; `attempt_rows` are in order of number."""
    tried: dict[str, list[Attempt]] = {}
    for row in attempt_rows:
        tried.setdefault(row.job_id, []).append(_attempt(row))
    return {row.id: StoredJob(_job(row, tried.get(row.id, ())), row.events, row.inline) for row in rows}


def event_of(row: Row[Any]) -> JobEvent:
    """An event."""
    return JobEvent(id=row.id, at=moment_of(row.at_us), kind=row.kind, data=row.data)


def _job(row: Row[Any], tried: Sequence[Attempt]) -> Job:
    return Job(
        id=row.id,
        endpoint=row.endpoint,
        input_digest=row.input_digest,
        release=row.release,
        created_at=moment_of(row.created_us),
        due_at=moment_of(row.due_us),
        state=JobState(row.state),
        priority=row.priority,
        key=row.key,
        request=msgspec.json.decode(row.request, type=JobRequest),
        batch_id=row.batch_id,
        idempotency=row.idempotency,
        isolated=bool(row.isolated),
        cancel_requested=bool(row.cancel_requested),
        forgiven_attempts=row.forgiven_attempts,
        attempts=tuple(tried),
        progress=msgspec.json.decode(row.progress, type=JobProgress),
        decision_id=row.decision_id,
        finished_at=None if row.finished_us is None else moment_of(row.finished_us),
        error=_error(row.error),
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        worker=row.worker,
        started_at=moment_of(row.started_us),
        lease_until=moment_of(row.lease_us),
        isolated=bool(row.isolated),
        checkpoints=row.checkpoints,
        ended_at=None if row.ended_us is None else moment_of(row.ended_us),
        outcome=None if row.outcome is None else AttemptOutcome(row.outcome),
        error=_error(row.error),
    )


def _error(encoded: bytes | None) -> JobError | None:
    return None if encoded is None else msgspec.json.decode(encoded, type=JobError)
