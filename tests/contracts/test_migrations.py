"""The schema of the store, in SQLite and Postgres: made, migrated, taken over, or refused."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy import inspect, text
from stores import postgres_database

from headrace.errors import InvalidConfiguration
from headrace.storage.database import Database
from headrace.storage.migrations import config_of, differences, known_revisions
from headrace.storage.schema import REVISION, opened_database, revision_of
from headrace.storage.tables import metadata

KEPT = "INSERT INTO serving_releases (pipeline, manifest) VALUES ('mill', 'wheat')"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A database in which there is nothing."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/headrace.db"
        return
    with postgres_database() as fresh:
        yield fresh


def shape(database):
    """All that the database says of its tables."""
    seen = inspect(database.engine)

    def column(each):
        return (each["name"], str(each["type"]), each["nullable"])

    return {
        name: (
            [column(each) for each in seen.get_columns(name)],
            seen.get_pk_constraint(name)["constrained_columns"],
            sorted((each["name"], each["column_names"], bool(each["unique"])) for each in seen.get_indexes(name)),
            sorted(each["column_names"] for each in seen.get_unique_constraints(name)),
        )
        for name in seen.get_table_names()
    }


def test_all_migrations_lead_to_the_tables_of_the_code(url):
    with closing(Database(url)) as database, database.transaction() as connection:
        command.upgrade(config_of(connection), "head")

        assert differences(connection) == []
        assert revision_of(connection) == REVISION == known_revisions(config_of(connection))[0]


def test_what_is_made_at_once_is_what_all_migrations_make(url, tmp_path):
    with closing(opened_database(url)) as database:
        made = shape(database)
        with database.transaction() as connection:
            metadata.drop_all(connection)
            connection.execute(text("DROP TABLE alembic_version"))
            command.upgrade(config_of(connection), "head")

        assert shape(database) == made


def test_a_store_from_before_migrations_is_taken_over_with_all_that_is_in_it(url):
    with closing(Database(url)) as database, database.transaction() as connection:
        command.upgrade(config_of(connection), "0001")
        connection.execute(text(KEPT))
        connection.execute(text("DROP TABLE api_keys"))
        connection.execute(text("DROP TABLE alembic_version"))

    with closing(opened_database(url, upgrades=True)) as database, database.transaction() as connection:
        assert differences(connection) == []
        assert revision_of(connection) == REVISION
        assert connection.scalar(text("SELECT pipeline FROM serving_releases")) == "mill"


def test_a_store_that_no_release_ever_made_is_refused_and_left_as_it_is(url):
    with closing(Database(url)) as database, database.transaction() as connection:
        connection.execute(text("CREATE TABLE jobs (id VARCHAR(64) NOT NULL, colour VARCHAR(20))"))

    with pytest.raises(InvalidConfiguration, match="before the first release"):
        opened_database(url, upgrades=True)

    with closing(Database(url)) as database, database.reading() as connection:
        assert inspect(connection).get_table_names() == ["jobs"]


def test_a_store_of_a_newer_version_is_refused_by_name(url):
    with closing(opened_database(url)) as database, database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(InvalidConfiguration, match=r"9999.*newer") as refused:
        opened_database(url, upgrades=True)

    assert "Install" in refused.value.remedy


def test_of_many_that_open_an_empty_store_together_one_makes_it(url):
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: opened_database(url), range(8)))

    with opened[0].reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    for each in opened:
        each.close()


def test_who_opens_a_new_store_waits_for_another_that_writes_to_it(tmp_path):
    with closing(sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as here:
            opening = here.submit(opened_database, f"sqlite:///{tmp_path}/headrace.db")
            wait([opening], timeout=0.3)
            other.execute("COMMIT")

            with closing(opening.result(timeout=60)) as database, database.reading() as connection:
                assert revision_of(connection) == REVISION


def test_opening_a_store_that_fits_does_not_import_alembic(url):
    code = (
        "import sys; from headrace.storage.schema import opened_database;"
        "[opened_database(sys.argv[1], upgrades=True).close() for _ in range(2)];"
        "sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, url], check=False).returncode == 0
