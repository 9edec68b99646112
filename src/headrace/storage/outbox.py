"""The outbox: every queued job has a row, by which it is issued in a fair order, and again when its ticket was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update

from headrace.domain.job import Job
from headrace.domain.stores import IssuedTicket, LineFigures
from headrace.storage.job_tables import Stage, microseconds, outbox
from headrace.storage.prepared import Prepared, among, those

CLOCK_SLACK = timedelta(seconds=60)
CLOCK_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class IssueWish:
    """Who wants tickets of which lines, the first of them first, and how many."""

    priorities: tuple[str, ...]
    limit: int
    now: datetime
    ticket_s: float


def _making_ready(which: ColumnElement[bool]) -> Prepared:
    # Rows that another process holds are left to it: waiting for them in no certain order could lock both out.
    free = select(outbox.c.job_id).where(which).with_for_update(skip_locked=True)
    return Prepared(update(outbox).where(outbox.c.job_id.in_(free)).values(stage=int(Stage.READY)))


_TICKETED = outbox.c.stage == int(Stage.TICKETED)
_WAITING = or_(outbox.c.stage == int(Stage.DELAYED), _TICKETED)
_GIVE_BACK = _making_ready(and_(_TICKETED, among(outbox.c.job_id, "ids")))
_PROMOTE = _making_ready(and_(_WAITING, outbox.c.next_us <= bindparam("until_us")))
_PROMOTE_FROM_FUTURE = _making_ready(and_(_WAITING, outbox.c.noted_us > bindparam("until_us")))
_ISSUE_AGAIN = _making_ready(and_(_TICKETED, outbox.c.noted_us <= bindparam("until_us")))
_DUE = (
    select(outbox.c.job_id)
    .where(outbox.c.stage == int(Stage.READY), outbox.c.priority == bindparam("line"))
    .order_by(outbox.c.turn, outbox.c.job_id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_NOW_US = bindparam("now_us", type_=BigInteger)
# Each ticket of a job is out for longer than the last, lest a slow queue is flooded with repetitions.
_ISSUE = Prepared(
    update(outbox)
    .where(outbox.c.job_id.in_(_DUE))
    .values(
        stage=int(Stage.TICKETED),
        noted_us=_NOW_US,
        next_us=bindparam("now_us", type_=BigInteger)
        + bindparam("ticket_us", type_=BigInteger) * (outbox.c.issues + 1),
        issues=outbox.c.issues + 1,
    )
    .returning(outbox.c.job_id, outbox.c.turn)
)
_PUT = Prepared(insert(outbox))
# One look-up in the index for each stage: the smallest over all of them would be a scan.
_FIRST_TURN = Prepared(
    select(outbox.c.turn)
    .where(outbox.c.stage == bindparam("own_stage"), outbox.c.priority == bindparam("line"))
    .order_by(outbox.c.turn)
    .limit(1)
)
_LAST_TURN = Prepared(
    select(func.max(outbox.c.turn)).where(outbox.c.priority == bindparam("line"), outbox.c.key == bindparam("whose"))
)


class Outbox:
    """Issues tickets for what is due. Used by the thread that writes, alone."""

    def __init__(self) -> None:
        self._next_clock_check = 0.0

    def issue(self, connection: Connection, wishes: Sequence[IssueWish]) -> list[list[IssuedTicket]]:
        """The tickets of each wish, by line and turn."""
        self._promote(connection, max(wish.now for wish in wishes))
        found: list[list[IssuedTicket]] = []
        for wish in wishes:
            issued: list[IssuedTicket] = []
            for priority in wish.priorities:
                if len(issued) < wish.limit:
                    issued += _issued(connection, wish, priority, wish.limit - len(issued))
            found.append(issued)
        return found

    def give_back(self, connection: Connection, wishes: Sequence[tuple[str, ...]]) -> list[None]:
        """What has a ticket out is due, for others to take."""
        _GIVE_BACK.run(connection, ids=those(connection, {job_id for wish in wishes for job_id in wish}))
        return [None] * len(wishes)

    def _promote(self, connection: Connection, now: datetime) -> None:
        """What has waited for its time, or whose ticket led to nothing, is due; and all when the clock was set back."""
        _PROMOTE.run(connection, until_us=microseconds(now))
        if monotonic() >= self._next_clock_check:
            self._next_clock_check = monotonic() + CLOCK_CHECK_S
            _PROMOTE_FROM_FUTURE.run(connection, until_us=microseconds(now + CLOCK_SLACK))

    def issue_again(self, connection: Connection, moments: Sequence[datetime]) -> list[int]:
        """What was issued before the moment and has not begun is due; how many these are."""
        count = _ISSUE_AGAIN.run(connection, until_us=microseconds(max(moments))).rowcount
        return [count] * len(moments)


def _issued(connection: Connection, wish: IssueWish, priority: str, limit: int) -> list[IssuedTicket]:
    now_us, ticket_us = microseconds(wish.now), round(wish.ticket_s * 1e6)
    taken = _ISSUE.run(connection, line=priority, most=limit, now_us=now_us, ticket_us=ticket_us).all()
    return [IssuedTicket(row.job_id, priority) for row in sorted(taken, key=lambda row: (row.turn, row.job_id))]


def put_in_outbox(connection: Connection, queued: Sequence[tuple[Job, datetime]]) -> None:
    """A row for each job that was queued at its moment, with its turn."""
    turns = _Turns(connection)
    rows = []
    for job, now in queued:
        stage = Stage.READY if job.due_at <= now else Stage.DELAYED
        due_us = microseconds(job.due_at)
        rows.append(
            {
                "job_id": job.id,
                "priority": job.priority,
                "key": job.key,
                "turn": turns.next(job),
                "stage": int(stage),
                "since_us": due_us,
                "next_us": due_us,
                "noted_us": microseconds(now),
                "issues": 0,
            }
        )
    _PUT.run_many(connection, rows)


def figures_of(connection: Connection, now: datetime) -> list[LineFigures]:
    """Each line of the queue, counted from the outbox."""
    count, since = func.count().label("jobs"), func.min(outbox.c.since_us).label("since")
    query = select(outbox.c.priority, outbox.c.stage, count, since).group_by(outbox.c.priority, outbox.c.stage)
    rows = [row for row in connection.execute(query) if row.stage != Stage.DELAYED]
    found = []
    for priority in sorted({row.priority for row in rows}):
        own = {row.stage: row for row in rows if row.priority == priority}
        oldest = min(row.since for row in own.values())
        counts = [own[stage].jobs if stage in own else 0 for stage in (Stage.READY, Stage.TICKETED)]
        found.append(LineFigures(priority, counts[0], counts[1], max(0.0, (microseconds(now) - oldest) / 1e6)))
    return found


class _Turns:
    """Start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996): each key's next job waits behind its last.

    The virtual time of a line is the turn of the job at its head, so a key that comes new starts there, beside the
    first of those that have thousands waiting. A job that was tried before goes to the head.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heads: dict[str, int] = {}
        self._lasts: dict[tuple[str, str], int] = {}

    def next(self, job: Job) -> int:
        head = self._head(job.priority)
        if job.attempts:
            return head
        line = (job.priority, job.key)
        if line not in self._lasts:
            last = _LAST_TURN.run(self._connection, line=job.priority, whose=job.key).scalar()
            self._lasts[line] = head - 1 if last is None else int(last)
        self._lasts[line] = max(head, self._lasts[line] + 1)
        return self._lasts[line]

    def _head(self, priority: str) -> int:
        if priority not in self._heads:
            firsts = [
                _FIRST_TURN.run(self._connection, own_stage=int(stage), line=priority).scalar()
                for stage in (Stage.READY, Stage.TICKETED)
            ]
            self._heads[priority] = min((int(each) for each in firsts if each is not None), default=0)
        return self._heads[priority]
