"""What changes jobs in SQL, for many callers in one transaction: rules of the domain on rows that are locked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from headrace.domain.job import Attempt, Job, JobState
from headrace.domain.stores import Checkpoint, JobSubmission
from headrace.errors import HeadraceError, NotFound
from headrace.storage.job_tables import (
    CHANGING,
    StoredJob,
    attempt_row,
    attempts,
    changing_row,
    checkpoints,
    event_row,
    job_events,
    job_row,
    jobs,
    microseconds,
    outbox,
    stored_jobs,
)
from headrace.storage.multirow import upserting
from headrace.storage.outbox import put_in_outbox
from headrace.storage.prepared import Prepared, RowUpdate, among, those
from headrace.storage.webhooks import Announcement, announce

WORK = "work"
"""What is rung for when jobs have become due."""

_ENCODER = msgspec.json.Encoder()
_ADD_JOB = Prepared(insert(jobs))
_ADD_EVENT = Prepared(insert(job_events))
_KNOWN_BY_ID = Prepared(select(jobs.c.id).where(among(jobs.c.id, "ids")))
_KNOWN_BY_NAME = Prepared(select(jobs.c.id).where(among(jobs.c.idempotency, "names")))
_ADD_ATTEMPT = Prepared(insert(attempts))
_UPDATE_JOB = RowUpdate(jobs, keys=("id",), changes=CHANGING)
_UPDATE_ATTEMPT = RowUpdate(
    attempts,
    keys=("job_id", "number"),
    changes=("lease_us", "isolated", "checkpoints", "ended_us", "outcome", "error"),
)


@dataclass(frozen=True, slots=True, eq=False)
class JobChange:
    """A rule of the domain to be applied to one job, and what is stored with it if the rule allows the change."""

    job_id: str
    rule: Callable[[Job], Job]
    now: datetime
    checkpoint: Checkpoint | None = None


class JobChanges:
    """Applies changes; `rings` takes the topics of what was changed.

    Used by the thread that writes, alone.
    """

    def __init__(self, rings: set[str]) -> None:
        self._rings = rings

    def add(self, connection: Connection, submissions: Sequence[JobSubmission]) -> list[Job]:
        """Job, outbox row and first event of each; the earlier job where id or idempotency are known already."""
        known = _known(connection, submissions)
        added: list[StoredJob] = []
        outcomes: list[Job] = []
        for submission in submissions:
            job = submission.job
            earlier = known.get(job.id) or known.get(job.idempotency or "")
            if earlier is None:
                added.append(StoredJob(job, 1, submission.inline))
                known[job.id] = job
                if job.idempotency:
                    known[job.idempotency] = job
            outcomes.append(earlier or job)
        if added:
            _ADD_JOB.run_many(connection, [job_row(each) for each in added])
            created = [event_row(each.job, 1, "state", microseconds(each.job.created_at)) for each in added]
            _ADD_EVENT.run_many(connection, created)
            self._put_in_outbox(connection, [(each.job, each.job.created_at) for each in added])
        return outcomes

    def apply(self, connection: Connection, changes: Sequence[JobChange]) -> list[Job | HeadraceError]:
        """The job as it then stands, for each change, or the error of its rule, which has written nothing."""
        before = loaded(connection, {change.job_id for change in changes}, locked=True)
        after: dict[str, Job] = {}
        made: list[tuple[JobChange, Job]] = []
        outcomes: list[Job | HeadraceError] = []
        for change in changes:
            stored = before.get(change.job_id)
            if stored is None:
                outcomes.append(NotFound(f"There is no job {change.job_id}.", remedy="Check its id."))
                continue
            try:
                job = change.rule(after.get(change.job_id, stored.job))
            except HeadraceError as error:
                outcomes.append(error)
                continue
            after[change.job_id] = job
            made.append((change, job))
            outcomes.append(job)
        self._write(connection, before, after, made)
        return outcomes

    def _write(
        self,
        connection: Connection,
        before: Mapping[str, StoredJob],
        after: Mapping[str, Job],
        made: Sequence[tuple[JobChange, Job]],
    ) -> None:
        if not made:
            return
        nows = {job.id: change.now for change, job in made}
        changed = [(before[job_id], job) for job_id, job in after.items() if job != before[job_id].job]
        rows: list[dict[str, Any]] = []
        told: list[dict[str, Any]] = []
        for stored, job in changed:
            events = stored.events
            if _is_worth_telling(stored.job, job):
                events += 1
                told.append(event_row(job, events, _kind(stored.job, job), microseconds(nows[job.id]), old=stored.job))
            rows.append({"id": job.id, **changing_row(job, events=events)})
        _UPDATE_JOB.run(connection, rows)
        _ADD_EVENT.run_many(connection, told)
        _write_attempts(connection, [(stored.job, job) for stored, job in changed])
        self._move_in_outbox(connection, [(stored.job, job, nows[job.id]) for stored, job in changed])
        for change, _ in made:
            if change.checkpoint is not None:
                _keep_checkpoint(connection, change.checkpoint, change)
        self._rings.update(job.id for _, job in changed)
        ended = [job for stored, job in changed if job.state.is_final and not stored.job.state.is_final]
        if ended:
            announce(connection, [_end_of(job, nows[job.id]) for job in ended])

    def _put_in_outbox(self, connection: Connection, queued: Sequence[tuple[Job, datetime]]) -> None:
        if queued:
            put_in_outbox(connection, queued)
            self._rings.add(WORK)

    def _move_in_outbox(self, connection: Connection, moved: Sequence[tuple[Job, Job, datetime]]) -> None:
        gone = [old.id for old, _, _ in moved if old.state is JobState.QUEUED]
        if gone:
            connection.execute(delete(outbox).where(outbox.c.job_id.in_(gone)))
        self._put_in_outbox(connection, [(new, now) for _, new, now in moved if new.state is JobState.QUEUED])


def loaded(connection: Connection, job_ids: Iterable[str], *, locked: bool = False) -> dict[str, StoredJob]:
    """Jobs with their attempts, by id; `locked` keeps others from changing them before the transaction ends."""
    ids = sorted(job_ids)
    query = select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    rows = connection.execute(query.with_for_update() if locked else query).all()
    tried = [row.id for row in rows if row.attempts]
    if not tried:
        return stored_jobs(rows, ())
    order = attempts.c.job_id, attempts.c.number
    return stored_jobs(rows, connection.execute(select(attempts).where(attempts.c.job_id.in_(tried)).order_by(*order)))


def _known(connection: Connection, submissions: Sequence[JobSubmission]) -> dict[str, Job]:
    """The jobs that are there already, by id and by idempotency."""
    names = [each.job.idempotency for each in submissions if each.job.idempotency]
    ids = set(_KNOWN_BY_ID.run(connection, ids=those(connection, [each.job.id for each in submissions])).scalars())
    if names:
        ids |= set(_KNOWN_BY_NAME.run(connection, names=those(connection, names)).scalars())
    if not ids:
        return {}
    found = loaded(connection, ids)
    named = {each.job.idempotency: each.job for each in found.values() if each.job.idempotency}
    return {job_id: each.job for job_id, each in found.items()} | named


def _is_worth_telling(old: Job, new: Job) -> bool:
    return (
        old.state is not new.state
        or old.progress != new.progress
        or len(old.attempts) != len(new.attempts)
        or old.release != new.release
    )


def _kind(old: Job, new: Job) -> str:
    if old.state is not new.state:
        return "state"
    return "progress" if old.release == new.release else "release"


def _write_attempts(connection: Connection, changed: Sequence[tuple[Job, Job]]) -> None:
    fresh: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    for old, new in changed:
        known: dict[int, Attempt] = {attempt.number: attempt for attempt in old.attempts}
        for attempt in new.attempts:
            if attempt.number not in known:
                fresh.append(attempt_row(new.id, attempt))
            elif attempt != known[attempt.number]:
                ended.append(attempt_row(new.id, attempt))
    _ADD_ATTEMPT.run_many(connection, fresh)
    _UPDATE_ATTEMPT.run(connection, ended)


def _keep_checkpoint(connection: Connection, kept: Checkpoint, change: JobChange) -> None:
    digest = connection.scalar(select(jobs.c.input_digest).where(jobs.c.id == kept.job_id))
    row = {"input_digest": digest, "release": kept.release, "name": kept.name, "value": kept.value}
    # By one statement: another job of the same input may have finished the same part at this moment.
    connection.execute(upserting(checkpoints, connection.dialect.name), {**row, "at_us": microseconds(change.now)})


def _end_of(job: Job, now: datetime) -> Announcement:
    return Announcement(
        f"headrace.job.{job.state}",
        job.id,
        lambda: _ENCODER.encode(job.body()),
        now,
        key=job.key,
        url=job.request.webhook_url,
    )
