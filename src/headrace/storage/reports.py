"""Sketches, alerts and quarantine in SQL; what has structure of its own lies there as JSON or MessagePack."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from headrace.domain.report import Alert, AlertState, QuarantinedInput, QuarantineState
from headrace.domain.report_store import (
    AlertListing,
    QuarantineListing,
    StoredBatch,
    StoredWindow,
    WatchCheckpoint,
)
from headrace.storage.database import Database, insert_into, metadata
from headrace.storage.multirow import insert_rows, insert_tuples, upserting

batches = Table(
    "monitor_batches",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("content", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
windows = Table(
    "monitor_windows",
    metadata,
    Column("start", Float, primary_key=True),
    Column("release", String(80), primary_key=True),
    Column("segment", String(200), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
memories = Table(
    "monitor_memory",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
    Column("content", LargeBinary, nullable=False),
)
alerts = Table(
    "alerts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("alerts_by_state", "state", "id"),
)
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("quarantine_by_state", "state", "id"),
)
_DROP_WINDOW = delete(windows).where(
    windows.c.start == bindparam("at"),
    windows.c.release == bindparam("of_release"),
    windows.c.segment == bindparam("of_segment"),
)
_DROPPING = ') DELETE FROM monitor_windows WHERE (start, "release", segment) IN (SELECT * FROM gone)'
_WATCH = "watch"
_HANDING_IN = 0x68_64_72_63
"""The advisory lock of those who hand batches in; no other part of the platform takes one."""


class SqlReports:
    """Keeps the promise of `ReportStore` in any database that SQLAlchemy speaks to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_batch(self, content: bytes) -> None:
        """Not worth a write to the disc of its own: a loss of power costs the watch some seconds of figures."""
        with self._database.transaction(durable=False) as connection:
            _take_turns(connection)
            connection.execute(insert(batches).values(content=zlib.compress(content, 1)))

    def batches(self, *, after: int, limit: int) -> list[StoredBatch]:
        """In order of their numbers."""
        query = select(batches).where(batches.c.number > after).order_by(batches.c.number).limit(limit)
        with self._database.reading() as connection:
            return [StoredBatch(row.number, zlib.decompress(row.content)) for row in connection.execute(query)]

    def checkpoint(self) -> WatchCheckpoint | None:
        """The last one."""
        with self._database.reading() as connection:
            row = connection.execute(select(memories).where(memories.c.name == _WATCH)).one_or_none()
        return None if row is None else WatchCheckpoint(row.through, zlib.decompress(row.content))

    def save_checkpoint(
        self, checkpoint: WatchCheckpoint, windows_: Sequence[StoredWindow], *, follows: int, now: datetime
    ) -> bool:
        """By compare and swap on `through`."""
        values = {
            "through": checkpoint.through,
            "saved_at": now,
            "content": zlib.compress(checkpoint.memory, 1),
        }
        rows = _rows_of(windows_)
        with self._database.transaction() as connection:
            # The row is locked, and a first one gives way to that of another process: one of two that save is told so.
            there = connection.scalar(select(memories.c.through).where(memories.c.name == _WATCH).with_for_update())
            if (there or 0) != follows:
                return False
            if there is None:
                first = insert_into(connection.dialect.name)(memories).values(name=_WATCH, **values)
                if connection.scalar(first.on_conflict_do_nothing().returning(memories.c.name)) is None:
                    return False
            else:
                connection.execute(update(memories).where(memories.c.name == _WATCH).values(**values))
            _put_windows(connection, rows)
            connection.execute(delete(batches).where(batches.c.number <= checkpoint.through))
        return True

    def windows(self, *, since: float, until: float, release: str | None = None) -> list[StoredWindow]:
        """In order of their beginning."""
        query = select(windows).where((windows.c.start >= since) & (windows.c.start < until)).order_by(windows.c.start)
        if release is not None:
            query = query.where(windows.c.release == release)
        with self._database.reading() as connection:
            return [
                StoredWindow(row.start, row.release, row.segment, zlib.decompress(row.content))
                for row in connection.execute(query)
            ]

    def replace_windows(self, gone: Sequence[StoredWindow], made: Sequence[StoredWindow]) -> None:
        """In one transaction."""
        rows = _rows_of(made)
        with self._database.transaction() as connection:
            _drop_windows(connection, gone)
            _put_windows(connection, rows)

    def forget_windows(self, *, before: float) -> int:
        """Drops by age."""
        with self._database.transaction() as connection:
            return connection.execute(delete(windows).where(windows.c.start < before)).rowcount

    def save_alert(self, alert: Alert) -> None:
        """Durable when this returns."""
        with self._database.transaction() as connection:
            content = connection.scalar(_locked(alerts, alert.id))
            if content is not None:
                alert = replace(alert, silenced_until=_alert_of(content).silenced_until)
            _put(connection, alerts, alert.id, _row_of(alert))

    def silence_alert(self, alert_id: str, *, until: datetime) -> Alert | None:
        """Durable when this returns."""
        with self._database.transaction() as connection:
            content = connection.scalar(_locked(alerts, alert_id))
            if content is None:
                return None
            alert = _alert_of(content)
            if alert.is_open:
                alert = alert.silenced(until=until)
                _put(connection, alerts, alert_id, _row_of(alert))
            return alert

    def alert(self, alert_id: str) -> Alert | None:
        """By its id."""
        content = self._content(alerts, alert_id)
        return None if content is None else _alert_of(content)

    def alerts(self, *, is_open: bool | None, cursor: str | None, limit: int) -> AlertListing:
        """Newest first; ids are sorted by time."""
        states = {None: None, True: AlertState.OPEN.value, False: AlertState.RECOVERED.value}
        rows, after = self._page(alerts, state=states[is_open], cursor=cursor, limit=limit)
        return AlertListing(tuple(_alert_of(content) for content in rows), after)

    def keep(self, kept: QuarantinedInput) -> None:
        """Durable when this returns."""
        with self._database.transaction() as connection:
            _put(connection, quarantine, kept.id, _row_of(kept))

    def let_go(self, kept: QuarantinedInput) -> bool:
        """Durable when this returns."""
        with self._database.transaction() as connection:
            held = (quarantine.c.id == kept.id) & (quarantine.c.state == QuarantineState.HELD.value)
            return bool(connection.execute(update(quarantine).where(held).values(**_row_of(kept))).rowcount)

    def kept(self, kept_id: str) -> QuarantinedInput | None:
        """By its id."""
        content = self._content(quarantine, kept_id)
        return None if content is None else msgspec.json.decode(content, type=QuarantinedInput)

    def quarantine(self, *, state: QuarantineState | None, cursor: str | None, limit: int) -> QuarantineListing:
        """Newest first; ids are sorted by time."""
        value = None if state is None else state.value
        rows, after = self._page(quarantine, state=value, cursor=cursor, limit=limit)
        return QuarantineListing(tuple(msgspec.json.decode(content, type=QuarantinedInput) for content in rows), after)

    def counts(self) -> Mapping[str, int]:
        """Counted now."""
        held = select(func.count()).where(quarantine.c.state == QuarantineState.HELD.value)
        open_ = select(func.count()).where(alerts.c.state == AlertState.OPEN.value)
        waiting = select(func.count()).select_from(batches)
        with self._database.reading() as connection:
            return {
                "held": int(connection.scalar(held) or 0),
                "open": int(connection.scalar(open_) or 0),
                "batches": int(connection.scalar(waiting) or 0),
            }

    def _content(self, table: Table, key: str) -> bytes | None:
        with self._database.reading() as connection:
            return connection.scalar(select(table.c.content).where(table.c.id == key))

    def _page(
        self, table: Table, *, state: str | None, cursor: str | None, limit: int
    ) -> tuple[list[bytes], str | None]:
        query = select(table.c.id, table.c.content).order_by(table.c.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(table.c.state == state)
        if cursor is not None:
            query = query.where(table.c.id < cursor)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [row.content for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


def _alert_of(content: bytes) -> Alert:
    return msgspec.json.decode(content, type=Alert)


def _row_of(thing: Alert | QuarantinedInput) -> dict[str, object]:
    return {"state": thing.state.value, "content": msgspec.json.encode(thing)}


def _put(connection: Connection, table: Table, key: str, values: Mapping[str, object]) -> None:
    if not connection.execute(update(table).where(table.c.id == key).values(**values)).rowcount:
        connection.execute(insert(table).values(id=key, **values))


def _locked(table: Table, key: str) -> Select[Any]:
    """What stands there; nobody changes it before the end of the transaction."""
    return select(table.c.content).where(table.c.id == key).with_for_update()


def _take_turns(connection: Connection) -> None:
    """Lets one process at a time hand in, so that batches are seen in the order of their numbers.

    Postgres gives a number before the commit: of two at once the higher might be seen first, and whoever reads on from
    there would never see the other. SQLite has one writer anyhow.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_HANDING_IN)))


def _drop_windows(connection: Connection, gone: Sequence[StoredWindow]) -> None:
    if connection.dialect.name == "sqlite":
        keys = [(each.start, each.release, each.segment) for each in gone]
        insert_tuples(connection, "WITH gone AS (", keys, _DROPPING)
    elif gone:
        named = [{"at": each.start, "of_release": each.release, "of_segment": each.segment} for each in gone]
        connection.execute(_DROP_WINDOW, named)


def _rows_of(made: Sequence[StoredWindow]) -> list[dict[str, object]]:
    """Made before a transaction begins: to compress many may take long beside a busy event loop."""
    return [
        {
            "start": each.start,
            "release": each.release,
            "segment": each.segment,
            "content": zlib.compress(each.content, 1),
        }
        for each in made
    ]


def _put_windows(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """In place of those that are of the same time, release and segment."""
    insert_rows(connection, upserting(windows, connection.dialect.name), rows)
