"""What every job goes through at least once, a whole batch at a time: its attempt begins, is held, and succeeds.

`JobChanges` can change any job by any rule, and reads all of it for that. Here the fence alone is read: whether the
job is still queued, or still runs under the attempt that speaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, null, select, update

from headrace.domain.job import AttemptOutcome, JobProgress, JobState, lease_lost
from headrace.domain.stores import BegunJob, Holds, JobSuccess
from headrace.errors import HeadraceError, NotFound
from headrace.storage.decisions import add_decisions
from headrace.storage.job_changes import loaded
from headrace.storage.job_tables import (
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
from headrace.storage.prepared import Prepared, among, those
from headrace.storage.webhooks import Announcement, announce

_ENCODER = msgspec.json.Encoder()
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
_HOLD = Prepared(
    update(attempts)
    .where(
        attempts.c.job_id == bindparam("held_id"),
        attempts.c.number == bindparam("held_number"),
        attempts.c.ended_us.is_(null()),
    )
    .values(lease_us=bindparam("until_us"))
)
_HELD = Prepared(
    select(jobs.c.id, jobs.c.state, jobs.c.attempts, jobs.c.cancel_requested).where(among(jobs.c.id, "ids"))
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
# One row of parameters serves the next four.
_SUCCEED = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("own_id"))
    .values(
        state=JobState.SUCCEEDED.value,
        finished_us=bindparam("now_us"),
        progress=bindparam("own_progress"),
        events=bindparam("own_event"),
        decision_id=bindparam("own_decision"),
        error=null(),
    )
)
_END_ATTEMPT = Prepared(
    update(attempts)
    .where(attempts.c.job_id == bindparam("own_id"), attempts.c.number == bindparam("own_number"))
    .values(ended_us=bindparam("now_us"), outcome=AttemptOutcome.SUCCEEDED.value)
)
_TELL_SUCCESS = Prepared(
    insert(job_events).values(
        job_id=bindparam("own_id"),
        id=bindparam("own_event"),
        at_us=bindparam("now_us"),
        kind="state",
        data=bindparam("own_news"),
    )
)
_ADD_RESULT = Prepared(
    insert(results).values(
        job_id=bindparam("own_id"),
        body=bindparam("own_body"),
        digest=bindparam("own_digest"),
        decision_id=bindparam("own_decision"),
    )
)
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
            beats = [{"held_id": job_id, "held_number": number, "until_us": until_us} for job_id, number in wish.held]
            _HOLD.run_many(connection, beats)
        rows = {row.id: row for row in _HELD.run(connection, ids=those(connection, held))}
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
        for statement in (_SUCCEED, _END_ATTEMPT, _TELL_SUCCESS, _ADD_RESULT):
            statement.run_many(connection, ends)
        decisions = [wish.success.decision for wish in made.values() if wish.success.decision is not None]
        if decisions:
            add_decisions(connection, decisions)
        announce(connection, [_announcement(connection, wish, rows[job_id]) for job_id, wish in made.items()])
        # Another job of the same input that still runs computes what it lacks.
        _DROP_CHECKPOINTS.run(connection, digests=those(connection, {rows[job_id].input_digest for job_id in made}))
        self._rings.update(made)


class _Asked(msgspec.Struct):
    """What of a request is needed when its job ends."""

    webhook_url: str | None = None


def _end(wish: SuccessWish, row: Any) -> dict[str, Any]:
    success = wish.success
    progress = success.progress or msgspec.json.decode(row.progress, type=JobProgress)
    progress = progress.finished()
    news = {"state": JobState.SUCCEEDED, "progress": progress, "attempt": success.number, "error": None}
    return {
        "own_id": success.job_id,
        "own_number": success.number,
        "now_us": microseconds(wish.now),
        "own_progress": _ENCODER.encode(progress),
        "own_event": row.events + 1,
        "own_news": _ENCODER.encode(news),
        "own_body": success.body,
        "own_digest": success.digest,
        "own_decision": success.decision_id,
    }


def _announcement(connection: Connection, wish: SuccessWish, row: Any) -> Announcement:
    def told() -> bytes:
        return _ENCODER.encode(loaded(connection, [row.id])[row.id].job.body())

    url = msgspec.json.decode(row.request, type=_Asked).webhook_url
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
