"""What every job goes through at least once, a whole batch at a time: its attempt begins, is held, and succeeds.

`JobChanges` can change any job by any rule, and reads all of it for that. Here the fence alone is read: whether the
job is still queued, or still runs under the attempt that speaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, literal_column, null, select, update

from headrace.domain.job import AttemptOutcome, JobProgress, JobState, lease_lost
from headrace.domain.stores import BegunJob, Holds, JobSuccess
from headrace.errors import HeadraceError, NotFound
from headrace.storage.decisions import add_decisions
from headrace.storage.job_changes import loaded
from headrace.storage.job_tables import (
    StoredJob,
    attempt_row,
    attempts,
    checkpoints,
    event_row,
    job_events,
    jobs,
    microseconds,
    outbox,
    results,
    stored_jobs,
)
from headrace.storage.prepared import Prepared, RowUpdate, among, those
from headrace.storage.webhooks import Announcement, announce

_ENCODER = msgspec.json.Encoder()
_SUCCEEDED, _SUCCEEDED_OUTCOME = JobState.SUCCEEDED.value, AttemptOutcome.SUCCEEDED.value
_QUEUED = Prepared(
    select(jobs)
    .where(among(jobs.c.id, "ids"), jobs.c.state == JobState.QUEUED.value, jobs.c.due_us <= bindparam("now_us"))
    .order_by(jobs.c.id)
    .with_for_update()
)
_TRIED = Prepared(
    select(attempts).where(among(attempts.c.job_id, "ids")).order_by(attempts.c.job_id, attempts.c.number)
)
_RUN = Prepared(
    update(jobs)
    .where(among(jobs.c.id, "ids"))
    .values(state=JobState.RUNNING.value, attempts=jobs.c.attempts + 1, events=jobs.c.events + 1)
)
_ADD_ATTEMPT = Prepared(insert(attempts))
_ADD_EVENT = Prepared(insert(job_events))
_TAKE_OUT = Prepared(delete(outbox).where(among(outbox.c.job_id, "ids")))
_HOLD = RowUpdate(attempts, keys=("job_id", "number"), changes=("lease_us",), where=attempts.c.ended_us.is_(null()))
# One row for all that stand alike, which nearly all of them do: see `multirow`.
_STANDING = (jobs.c.state, jobs.c.attempts, jobs.c.cancel_requested)
_COMMA: Any = literal_column("','")
_HELD = Prepared(
    select(*_STANDING, func.aggregate_strings(jobs.c.id, _COMMA).label("ids"))
    .where(among(jobs.c.id, "ids"))
    .group_by(*_STANDING)
)
_FENCE = Prepared(
    select(
        *(jobs.c.id, jobs.c.state, jobs.c.attempts, jobs.c.events),
        *(jobs.c.key, jobs.c.input_digest, jobs.c.request, jobs.c.progress),
    )
    .where(among(jobs.c.id, "ids"))
    .order_by(jobs.c.id)
    .with_for_update()
)
_SUCCEED = RowUpdate(jobs, keys=("id",), changes=("state", "finished_us", "progress", "events", "decision_id", "error"))
_END_ATTEMPT = RowUpdate(attempts, keys=("job_id", "number"), changes=("ended_us", "outcome"))
_ADD_RESULT = Prepared(insert(results))
_DROP_CHECKPOINTS = Prepared(delete(checkpoints).where(among(checkpoints.c.input_digest, "digests")))


@dataclass(frozen=True, slots=True)
class BeginWish:
    """Who wants to begin which jobs."""

    job_ids: Sequence[str]
    worker: str
    now: datetime
    lease_s: float


@dataclass(frozen=True, slots=True)
class HoldWish:
    """Whose leases are to run on."""

    held: Sequence[tuple[str, int]]
    now: datetime
    lease_s: float


@dataclass(frozen=True, slots=True)
class SuccessWish:
    """What was found, and when."""

    success: JobSuccess
    now: datetime


class JobRuns:
    """Begins, holds and ends attempts; `rings` takes the topics of what was changed.

    Used by the thread that writes, alone.
    """

    def __init__(self, rings: set[str]) -> None:
        self._rings = rings

    def begin(self, connection: Connection, wishes: Sequence[BeginWish]) -> list[list[BegunJob]]:
        """Those of each wish that are queued and due."""
        return [self._begun(connection, wish) for wish in wishes]

    def hold(self, connection: Connection, wishes: Sequence[HoldWish]) -> list[Holds]:
        """The leases run on; what is lost or to be cancelled is told."""
        held = {job_id for wish in wishes for job_id, _ in wish.held}
        if not held:
            return [Holds(frozenset(), frozenset())] * len(wishes)
        for wish in wishes:
            until_us = microseconds(wish.now + timedelta(seconds=wish.lease_s))
            beats = [{"job_id": job_id, "number": number, "lease_us": until_us} for job_id, number in wish.held]
            _HOLD.run(connection, beats)
        found = _HELD.run(connection, ids=those(connection, held)).all()
        rows = {job_id: row for row in found for job_id in row.ids.split(",")}
        return [_holds(wish, rows) for wish in wishes]

    def succeed(self, connection: Connection, wishes: Sequence[SuccessWish]) -> list[HeadraceError | None]:
        """Result, last progress, event, decision and deliveries of each whose attempt is the newest and runs."""
        ids = {wish.success.job_id for wish in wishes}
        rows = {row.id: row for row in _FENCE.run(connection, ids=those(connection, ids))}
        outcomes: list[HeadraceError | None] = []
        made: dict[str, SuccessWish] = {}
        for wish in wishes:
            job_id, row = wish.success.job_id, rows.get(wish.success.job_id)
            if row is None:
                outcomes.append(NotFound(f"There is no job {job_id}.", remedy="Check its id."))
                continue
            state = JobState.SUCCEEDED if job_id in made else JobState(row.state)
            lost = lease_lost(job_id, wish.success.number, state=state, newest=row.attempts)
            outcomes.append(lost)
            if lost is None:
                made[job_id] = wish
        if made:
            self._keep(connection, made, rows)
        return outcomes

    def _begun(self, connection: Connection, wish: BeginWish) -> list[BegunJob]:
        asked = those(connection, wish.job_ids)
        rows = _QUEUED.run(connection, ids=asked, now_us=microseconds(wish.now)).all()
        if not rows:
            return []
        tried = [row.id for row in rows if row.attempts]
        earlier = _TRIED.run(connection, ids=those(connection, tried)).all() if tried else ()
        stored = stored_jobs(rows, earlier)
        begun = {
            job_id: each.job.begun(wish.worker, now=wish.now, lease_s=wish.lease_s) for job_id, each in stored.items()
        }
        ids, now_us = those(connection, begun), microseconds(wish.now)
        _RUN.run(connection, ids=ids)
        _ADD_ATTEMPT.run_many(connection, [attempt_row(job.id, job.attempts[-1]) for job in begun.values()])
        _ADD_EVENT.run_many(
            connection,
            [event_row(job, stored[job.id].events + 1, "state", now_us) for job in begun.values()],
        )
        _TAKE_OUT.run(connection, ids=ids)
        self._rings.update(begun)
        order = [job_id for job_id in wish.job_ids if job_id in begun]
        return [BegunJob(begun[job_id], stored[job_id].inline) for job_id in order]

    def _keep(self, connection: Connection, made: Mapping[str, SuccessWish], rows: Mapping[str, Any]) -> None:
        ends = [_end(wish, rows[job_id]) for job_id, wish in made.items()]
        _SUCCEED.run(connection, [each.job for each in ends])
        _END_ATTEMPT.run(connection, [each.attempt for each in ends])
        _ADD_EVENT.run_many(connection, [each.event for each in ends])
        _ADD_RESULT.run_many(connection, [each.result for each in ends])
        decisions = [wish.success.decision for wish in made.values() if wish.success.decision is not None]
        if decisions:
            add_decisions(connection, decisions)
        bodies = _Bodies(connection, made)
        announce(connection, [_announcement(wish, rows[job_id], bodies) for job_id, wish in made.items()])
        # Another job of the same input that still runs computes what it lacks.
        _DROP_CHECKPOINTS.run(connection, digests=those(connection, {rows[job_id].input_digest for job_id in made}))
        self._rings.update(made)


class _Asked(msgspec.Struct):
    """What of a request is needed when its job ends."""

    webhook_url: str | None = None


class _End(NamedTuple):
    """What a success writes: a row for each table."""

    job: dict[str, Any]
    attempt: dict[str, Any]
    event: dict[str, Any]
    result: dict[str, Any]


def _end(wish: SuccessWish, row: Any) -> _End:
    success, job_id, now_us, event = wish.success, row.id, microseconds(wish.now), row.events + 1
    progress = success.progress or msgspec.json.decode(row.progress, type=JobProgress)
    progress = progress.finished()
    news = {"state": _SUCCEEDED, "progress": progress, "attempt": success.number, "error": None}
    return _End(
        {
            "id": job_id,
            "state": _SUCCEEDED,
            "finished_us": now_us,
            "progress": _ENCODER.encode(progress),
            "events": event,
            "decision_id": success.decision_id,
            "error": None,
        },
        {"job_id": job_id, "number": success.number, "ended_us": now_us, "outcome": _SUCCEEDED_OUTCOME},
        {"job_id": job_id, "id": event, "at_us": now_us, "kind": "state", "data": _ENCODER.encode(news)},
        {"job_id": job_id, "body": success.body, "digest": success.digest, "decision_id": success.decision_id},
    )


class _Bodies:
    """What is told of jobs, all of which are read when the first is asked for: mostly nobody asks, or asks for all."""

    def __init__(self, connection: Connection, job_ids: Collection[str]) -> None:
        self._connection = connection
        self._job_ids = job_ids
        self._found: Mapping[str, StoredJob] = {}

    def of(self, job_id: str) -> bytes:
        self._found = self._found or loaded(self._connection, self._job_ids)
        return _ENCODER.encode(self._found[job_id].job.body())


def _announcement(wish: SuccessWish, row: Any, bodies: _Bodies) -> Announcement:
    url = msgspec.json.decode(row.request, type=_Asked).webhook_url
    told = partial(bodies.of, row.id)
    return Announcement(f"headrace.job.{JobState.SUCCEEDED}", row.id, told, wish.now, key=row.key, url=url)


def _holds(wish: HoldWish, rows: Mapping[str, Any]) -> Holds:
    lost, cancelled = set(), set()
    for job_id, number in wish.held:
        row = rows.get(job_id)
        if row is None or row.state != JobState.RUNNING.value or row.attempts != number:
            lost.add((job_id, number))
        elif row.cancel_requested:
            cancelled.add((job_id, number))
    return Holds(frozenset(lost), frozenset(cancelled))
