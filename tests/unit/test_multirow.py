"""Many rows by few statements: beside a busy event loop each of them waits for the interpreter."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import event, insert, select

from headrace.domain.decision import new_id
from headrace.domain.exposure import Exposure, Observation, Tables, counted, figures_of
from headrace.domain.guard_rule import ERRORS, guards_of
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.domain.rollout_store import Manifests
from headrace.storage.database import Database
from headrace.storage.multirow import insert_rows, upserting
from headrace.storage.rollout_tables import rollout_exposures, rollout_tallies
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database

FEW = 40


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


def begun() -> Rollout:
    return Rollout.begun(
        new_id("rol"), pipeline="mill", champion="sha256:a", candidate="sha256:b",
        plan=RolloutPlan(guards=guards_of([])), salt="s", now=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


def seen_of(key: int, *, share: float) -> Observation:
    return Observation(f"key {key}", 0, share, key % 3 == 0, {ERRORS: key % 7 == 0})
