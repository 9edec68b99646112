"""Many rows by few statements: beside a busy event loop each of them waits for the interpreter."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert, select

from headrace.domain.decision import Decision, new_id
from headrace.domain.exposure import Exposure, Observation, Tables, counted, figures_of
from headrace.domain.feedback import feedback_on
from headrace.domain.guard_rule import ERRORS, guards_of
from headrace.domain.job import AttemptOutcome, Job, JobProgress, JobState
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.domain.rollout_store import Manifests
from headrace.domain.stores import Holds, JobFilter, JobSubmission, JobSuccess
from headrace.domain.webhook import Webhook
from headrace.storage.database import Database
from headrace.storage.feedback import SqlFeedback
from headrace.storage.jobs import SqlJobs
from headrace.storage.multirow import insert_rows, upserting
from headrace.storage.rollout_tables import rollout_exposures, rollout_tallies
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database
from headrace.storage.webhooks import SqlWebhooks

FEW = 40
NOW = datetime(2026, 3, 1, tzinfo=UTC)
HALF = JobProgress("read", 1, 2, fraction=0.5)


@pytest.fixture
def database(tmp_path):
    opened = opened_database(f"sqlite:///{tmp_path}/headrace.db")
    yield opened
    opened.close()


def statements_of(database: Database) -> list[str]:
    """What is executed from now on; a row of an `executemany` is one of its own."""
    found: list[str] = []

    def note(connection, cursor, statement, parameters, context, executemany):  # noqa: PLR0917 - SQLAlchemy's own
        found.extend([statement] * (len(parameters) if executemany else 1))

    event.listen(database.engine, "before_cursor_execute", note)
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 2500])
def test_all_rows_arrive_whatever_their_number(database, count):
    rows = [{"body": b"%d" % each, "decision_id": f"d{each}", "rollout_id": "r"} for each in range(count)]
    executed = statements_of(database)

    with database.transaction() as connection:
        insert_rows(connection, insert(rollout_exposures), rows)
    with database.reading() as connection:
        kept = connection.execute(select(rollout_exposures)).mappings().all()

    assert sorted(map(dict, kept), key=lambda row: int(row["body"])) == rows
    assert len(executed) <= FEW


def test_rows_that_are_there_are_replaced_or_grow(database):
    row = {"rollout_id": "r", "variant": "champion", "name": "requests", "count": 2, "total": 3.5, "squares": 0.1}
    replacing = upserting(rollout_tallies, "sqlite")
    growing = upserting(rollout_tallies, "sqlite", is_adding=True)

    with database.transaction() as connection:
        insert_rows(connection, growing, [row, row])
        grown = connection.execute(select(rollout_tallies)).one()
        insert_rows(connection, replacing, [row])
        replaced = connection.execute(select(rollout_tallies)).one()

    assert tuple(grown[3:]) == (4, 7.0, 0.2)
    assert dict(replaced._mapping) == row


def test_two_thousand_answers_are_counted_by_few_statements_also_when_their_keys_are_known(database):
    store = SqlRollouts(database)
    rollout = begun()
    store.begin(rollout, Manifests(b"", b""))
    first, second = ([seen_of(key, share=share) for key in range(2000)] for share in (0.1, 1 / 3))
    exposures = {f"d{key}": Exposure(rollout.id, str(key), 0, 0.1, False) for key in range(2000)}
    executed = statements_of(database)

    store.observe(rollout.id, first, {}, exposures=exposures)
    store.observe(rollout.id, second, {})
    store.observe(rollout.id, second, {})

    assert store.figures(rollout.id) == figures_of(counted([*first, *second, *second], Tables()))
    assert len(store.exposures(list(exposures))) == len(exposures)
    assert len(executed) <= 3 * FEW


async def test_many_jobs_come_in_begin_and_end_by_few_statements(database):
    store = SqlJobs(database)
    await SqlWebhooks(database).add(Webhook("whk_1", "https://x.example", NOW, secrets=("s",), events=()))
    ids = [f"job_{number:03}" for number in range(200)]
    executed = statements_of(database)

    await asyncio.gather(*(store.add(JobSubmission(submitted(each), b"x")) for each in ids))
    await store.begin(ids, worker="w", now=NOW, lease_s=30)
    holds = await store.hold([(each, 1) for each in ids], now=NOW, lease_s=30)
    await asyncio.gather(*(store.progress(each, 1, HALF, now=NOW) for each in ids))
    await asyncio.gather(*(store.succeed(JobSuccess(each, 1, b"{}"), now=NOW) for each in ids[:100]))
    await asyncio.gather(*(store.hand_back(each, 1, now=NOW) for each in ids[100:]))
    jobs = (await store.listed(JobFilter(), cursor=None, limit=300)).items
    deliveries = await SqlWebhooks(database).deliveries(webhook_id=None, state=None, cursor=None, limit=300)
    await store.close()

    assert holds == Holds(frozenset(), frozenset())
    assert Counter(job.state for job in jobs) == {JobState.SUCCEEDED: 100, JobState.QUEUED: 100}
    outcomes = Counter(each.outcome for job in jobs for each in job.attempts)
    assert outcomes == {AttemptOutcome.SUCCEEDED: 100, AttemptOutcome.HANDED_BACK: 100}
    assert {each.subject: each.data["state"] for each in deliveries} == dict.fromkeys(ids[:100], "succeeded")
    assert len(executed) <= 10 * FEW


def test_news_are_read_as_one_row(database):
    rollouts, feedback = SqlRollouts(database), SqlFeedback(database)
    rollout = begun()
    rollouts.begin(rollout, Manifests(b"", b""))
    exposures = {
        f"dec_{key}": Exposure(rollout.id, str(key), 0, 1 / 3, False, {"champion": 'the "Ähre"'}) for key in range(500)
    }
    rollouts.observe(rollout.id, [], {}, exposures=exposures)
    said = [
        feedback_on(decided(each), 'an "Ähre"', by="Ada", now=NOW + timedelta(microseconds=1)) for each in exposures
    ]
    feedback.add(said)
    rows = rows_of(database)

    found = feedback.feedback_after("", limit=500), rollouts.exposures(list(exposures))

    assert found == (sorted(said, key=lambda each: each.id), exposures)
    assert len(rows) <= FEW
    assert rollouts.exposures([]) == {}
    assert feedback.feedback_after(said[-1].id, limit=500) == []


def begun() -> Rollout:
    return Rollout.begun(
        new_id("rol"), pipeline="mill", champion="sha256:a", candidate="sha256:b",
        plan=RolloutPlan(guards=guards_of([])), salt="s", now=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


def seen_of(key: int, *, share: float) -> Observation:
    return Observation(f"key {key}", 0, share, key % 3 == 0, {ERRORS: key % 7 == 0})


def submitted(job_id: str) -> Job:
    return Job(job_id, endpoint="p/e", input_digest=f"sha256:{job_id}", release="sha256:1", created_at=NOW, due_at=NOW)


def decided(name: str) -> Decision:
    return Decision(name, NOW, "mill/run", "sha256:r", "champion", "", b"", 1.0)


def rows_of(database: Database) -> list[object]:
    """What is read from now on, row by row."""
    found: list[object] = []

    def noting(connection, _record, _proxy):
        def note(_cursor, row):
            found.append(row)
            return row

        connection.row_factory = note

    event.listen(database.engine, "checkout", noting)
    return found
