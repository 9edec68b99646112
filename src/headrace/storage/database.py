"""The SQL database: one engine, its pragmas, and the error that says what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, ClassVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    MetaData,
    StaticPool,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from headrace.errors import HeadraceError, InvalidConfiguration

metadata = MetaData()
BUSY_MS = 10_000
AGAIN_S = 0.005
CONNECT_S = 5
_READING = "headrace_reading"
_WHERE = "where"
_AWAY = "Check that it runs, and [store] url."
_TROUBLES = (
    ("disk is full", "its disc is full", "Make room on it."),
    ("no space left", "its disc is full", "Make room on it."),
    ("readonly", "it is read-only", "Allow writing to the file and to its folder."),
    ("read-only", "it is read-only", "Allow writing to it."),
    ("database is locked", f"another process has held it for {BUSY_MS // 1000} s", "End that process, or try again."),
    ("unable to open", "it cannot be opened", "Check that the folder exists and may be written to."),
    ("not a database", "the file is no database", "Move it away, or name another by --data."),
    ("malformed", "the file is damaged", "Bring back a copy."),
    ("no such table", "it has been emptied by somebody", "Start again: what is lacking is made."),
    ("connection refused", "nobody answers there", _AWAY),
    ("connection failed", "the connection fails", _AWAY),
    ("closed", "the connection was cut", _AWAY),
    ("terminating", "the connection was cut", _AWAY),
)


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool], is_unique: bool = False) -> None:
    """An index of the rows `where` something holds, in either kind of database."""
    Index(name, *columns, unique=is_unique, sqlite_where=where, info={_WHERE: where})


def _speak_postgres() -> None:
    """Says in the words of Postgres what partial indexes hold; before, that would load its dialect for everybody."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if _WHERE in index.info:
                index.dialect_options["postgresql"]["where"] = index.info[_WHERE]


class StoreUnavailable(HeadraceError):
    """The store cannot be opened, written or read: full, read-only, locked or away."""

    code: ClassVar[str] = "store_unavailable"
    retryable: ClassVar[bool] = True

    @property
    def outside(self) -> str:
        """Without the address of the store, and what its driver says of it."""
        return "The store does not work now, and nothing was kept. Try again in a moment; the log says what to mend."


class Database:
    """One SQL database: SQLite, or Postgres through psycopg 3.

    SQLite is used with WAL and `synchronous=FULL`: what is committed survives a loss of power, unless the transaction
    said that it need not. Connections that were cut are replaced.
    """

    def __init__(self, url: str) -> None:
        parsed = _with_driver(url)
        self.name = parsed.render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        file = _file(parsed) if self.is_sqlite else None
        self.folder = None if file is None else file.absolute().parent
        if self.folder is not None:
            _make_folder(self.folder)
        # All of a database in memory lives in one connection, which takes one thread at a time.
        self._turn: AbstractContextManager[Any] = RLock() if self.is_sqlite and self.folder is None else nullcontext()
        self.engine: Engine = _engine(parsed, in_memory=self.is_sqlite and self.folder is None)
        if not self.is_sqlite:
            _speak_postgres()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """A connection whose changes are kept when the block ends without an error; else none of them is.

        Without `durable` they outlive this process, but maybe not a loss of power, and cost no write to the disc.
        """
        with self._answering(), self._turn, self.engine.connect() as connection:
            if self.is_sqlite:
                _set_durability(connection, durable=durable)
            with connection.begin():
                if not self.is_sqlite and not durable:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database and waits for no writer."""
        with self._answering(), self._turn, self.engine.connect() as connection:
            connection.execution_options(**{_READING: True})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Closes all connections; safe to call twice."""
        self.engine.dispose()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as failure:
            cause = getattr(failure, "orig", None) or failure
            reason, remedy = _trouble(cause, failure)
            raise StoreUnavailable(f"The store {self.name} does not work: {reason}.", remedy=remedy) from failure


def _with_driver(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidConfiguration(
            f"[store] url = {parsed.render_as_string()!r} is neither SQLite nor Postgres.",
            remedy="Write sqlite:///path or postgresql://user@host/name.",
        )
    return parsed


def _engine(url: URL, *, in_memory: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return create_engine(
                url,
                pool_pre_ping=True,
                pool_timeout=CONNECT_S,
                pool_recycle=1800,
                connect_args={"connect_timeout": CONNECT_S, "application_name": "headrace"},
            )
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise InvalidConfiguration(
                "[store] url names Postgres, whose driver is not installed.",
                remedy="Install it: pip install 'headrace[postgres]'.",
            ) from error
    pool: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}, **pool)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for one in memory and for Postgres. Nothing is opened or made."""
    parsed = _with_driver(url)
    return _file(parsed) if parsed.get_backend_name() == "sqlite" else None


def _file(url: URL) -> Path | None:
    # SQLite takes a URI as well: `file:/data/headrace.db?mode=ro`.
    path = (url.database or "").removeprefix("file:").partition("?")[0]
    return Path(path) if path and path != ":memory:" else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder {folder} cannot be made: {error.strerror}.", remedy="Name another one by --data."
        ) from error


def _trouble(cause: BaseException, failure: SQLAlchemyError) -> tuple[str, str]:
    """What is wrong in words, and what to do about it."""
    said = str(cause).lower()
    for sign, reason, remedy in _TROUBLES:
        if sign in said:
            return f"{reason} ({str(cause).splitlines()[0]})", remedy
    if isinstance(failure, PoolTimeout):
        return "all of its connections are in use", "Try again in a moment."
    if isinstance(failure, DBAPIError) and failure.connection_invalidated:
        return f"the connection was cut ({cause})", _AWAY
    return f"{cause}", "Check that its disc has room and that it may be written to."


def _set_durability(connection: Connection, *, durable: bool) -> None:
    level = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != level:
        connection.connection.cursor().execute(f"PRAGMA synchronous={level}")
        connection.info["synchronous"] = level


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    # SQLAlchemy begins transactions itself, see below; the driver must not do so as well.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Of several that open a new database together, SQLite turns some away here at once, whatever its timeout says."""
    until = monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as busy:
            if busy.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(AGAIN_S)
        else:
            return


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    is_reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def insert_into(dialect: str) -> Any:
    """The insert of the dialect that is spoken, which knows of conflicts: each is slow to load, and one is needed."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgres_insert  # noqa: PLC0415

    return postgres_insert
