"""Stores for tests: in memory, in a SQLite file, and in a Postgres database of one's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from headrace.storage.schema import opened_database
from headrace.storage.tables import metadata

POSTGRES = "postgresql://root@127.0.0.1:5432/{}"


@contextmanager
def postgres_database() -> Iterator[str]:
    """The url of a fresh database, which is dropped in the end."""
    name = f"headrace_test_{uuid4().hex[:12]}"
    try:
        server = psycopg.connect(POSTGRES.format("postgres"), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        reason = "No Postgres server answers at its default port: what needs it was NOT tested."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield POSTGRES.format(name)
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def emptied(url: str) -> None:
    """Takes all rows away, so that tests may share a database."""
    database = opened_database(url)
    with database.transaction() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    database.close()
