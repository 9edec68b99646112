"""The schema of the store: made when it is empty, brought up to date by migrations, refused when it does not fit.

Which schema a database has says the row of Alembic in it. Opening one that fits costs that look and nothing else.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from headrace.storage.database import Database
from headrace.storage.tables import metadata

REVISION = "0002"
"""The newest migration: what this version of the code reads and writes."""

_LOCK = 4_846_271_385
"""Any number that no other program takes for an advisory lock of the same Postgres database."""


def opened_database(url: str, *, upgrades: bool = False) -> Database:
    """The database at `url` with the schema of this version; an older one is brought up to date where `upgrades`.

    An empty one is made, and one from before there were migrations is taken over. Of many processes that open it
    together one does so, and the others wait.

    Raises:
        StoreUnavailable: it cannot be opened.
        InvalidConfiguration: its schema is of another version.
    """
    database = Database(url)
    try:
        _bring_up(database, upgrades=upgrades)
    except BaseException:
        database.close()
        raise
    return database


def revision_of(connection: Connection) -> str | None:
    """The migration that the database is at; None before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _bring_up(database: Database, *, upgrades: bool) -> None:
    with database.reading() as connection:
        if revision_of(connection) == REVISION:
            return
    with database.transaction() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = revision_of(connection)
        if found == REVISION:
            return  # another process was faster
        if found is None and not set(metadata.tables) & set(inspect(connection).get_table_names()):
            _make(connection)
            return
        # Alembic takes a while to import, and most starts have nothing to migrate.
        from headrace.storage.migrations import migrated  # noqa: PLC0415

        migrated(connection, name=database.name, to=REVISION, upgrades=upgrades)


def _make(connection: Connection) -> None:
    """As all migrations one after the other would leave it, which a test asserts."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(
        text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num))")
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
