"""The SQL database: one engine, its pragmas, and the error that says what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import HeadraceError

metadata = MetaData()
BUSY_MS = 10_000


class StoreUnavailable(HeadraceError):
    """The store cannot be opened, written or read: full, read-only, locked or away."""

    code: ClassVar[str] = "store_unavailable"
    retryable: ClassVar[bool] = True


class Database:
    """One SQL database. SQLite is used with WAL and `synchronous=FULL`: what is committed survives a loss of power."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.name = parsed.render_as_string(hide_password=True)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite and parsed.database and parsed.database != ":memory:":
            _make_folder(Path(parsed.database).parent)
        self._engine: Engine = create_engine(url, pool_pre_ping=not is_sqlite, connect_args=_arguments(is_sqlite))
        if is_sqlite:
            event.listen(self._engine, "connect", _set_pragmas)
            event.listen(self._engine, "begin", _begin_immediate)
        with self._answering():
            metadata.create_all(self._engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes are durable when the block ends without an error; else none of them is."""
        with self._answering(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes all connections; safe to call twice."""
        self._engine.dispose()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as failure:
            cause = getattr(failure, "orig", None) or failure
            raise StoreUnavailable(
                f"The store {self.name} does not work: {cause}.",
                remedy="Check that its disc has room and that its folder may be written to.",
            ) from failure


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder {folder} cannot be made: {error.strerror}.", remedy="Name another one by --data."
        ) from error


def _arguments(is_sqlite: bool) -> dict[str, Any]:  # noqa: FBT001 - a private rule with one question
    return {"timeout": BUSY_MS / 1000, "check_same_thread": False} if is_sqlite else {}


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    # SQLAlchemy begins transactions itself, see below; the driver must not do so as well.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
