"""Migrations of the store, by Alembic: `versions` has one module for each change of the tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, inspect

from headrace.errors import InvalidConfiguration
from headrace.storage.tables import metadata

FIRST = "0001"
"""What databases are at that were made before there were migrations."""


def migrated(connection: Connection, *, name: str, to: str, upgrades: bool) -> None:
    """Brings the schema to the migration `to`, within the transaction of `connection`.

    Raises:
        InvalidConfiguration: it is newer than this code, or older and not to be upgraded, or none of ours.
    """
    config = config_of(connection)
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        # Made without migrations: the first one makes the tables that are lacking, and leaves the others.
        _check_columns(connection, name)
        command.upgrade(config, FIRST)
        found = FIRST
    if found not in known_revisions(config):
        raise InvalidConfiguration(
            f"The store {name} has the schema {found}, and this version knows up to {to}: a newer one made it.",
            remedy="Install the version of Headrace that was used last, or name another store.",
        )
    if found == to:
        return
    if not upgrades:
        raise InvalidConfiguration(
            f"The store {name} has the schema {found}, and this version needs {to}.",
            remedy="Start `headrace up`: it brings it up to date. No older version may use it any more then.",
        )
    command.upgrade(config, to)


def config_of(connection: Connection) -> Config:
    """What Alembic has to know to run the migrations over `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def known_revisions(config: Config) -> list[str]:
    """All migrations of this version, the newest first."""
    try:
        return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    except CommandError as broken:
        raise InvalidConfiguration(f"The migrations of this installation are broken: {broken}.") from broken


def differences(connection: Connection) -> list[str]:
    """Where the tables of the database are not those of the code, in words."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [_told(each) for each in compare_metadata(context, metadata)]


def _check_columns(connection: Connection, name: str) -> None:
    """Of the tables that are there each has to have the columns that the first migration gives it."""
    first = create_engine("sqlite://")
    with first.begin() as made:
        command.upgrade(config_of(made), FIRST)
        expected = {table: _columns(made, table) for table in inspect(made).get_table_names()}
    for table in sorted(set(inspect(connection).get_table_names()) & set(expected)):
        if found := sorted(_columns(connection, table) ^ expected[table]):
            raise InvalidConfiguration(
                f"The store {name} was made by a version from before the first release: {table}.{found[0]} differs.",
                remedy="Name another store, or move this one away.",
            )


def _columns(connection: Connection, table: str) -> set[str]:
    return {str(each["name"]) for each in inspect(connection).get_columns(table)}


def _told(difference: object) -> str:
    """Alembic gives tuples, and lists of tuples for changes of one column."""
    parts = difference[0] if isinstance(difference, list) else difference
    return " ".join(str(each) for each in parts) if isinstance(parts, tuple) else str(parts)
