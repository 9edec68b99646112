"""Decisions in SQL: a row each; body, text and explanation compressed, for they are most of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    Insert,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.engine import Row

from headrace.domain.decision import Account, Decision, DegradedStep, Step, told
from headrace.domain.stores import Forgotten, Listing
from headrace.storage.database import Database, insert_into, metadata
from headrace.storage.multirow import insert_rows, insert_tuples, moment_for_sqlite

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("endpoint", String(200), nullable=False),
    Column("release", String(80), nullable=False),
    Column("variant", String(80), nullable=False),
    Column("input_digest", String(80), nullable=False),
    Column("answer_digest", String(80), nullable=False),
    Column("duration_ms", Float, nullable=False),
    Column("confidence", Float),
    Column("request_id", String(200), nullable=False),
    Column("trace_id", String(64), nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("text", LargeBinary),
    Column("explanation", LargeBinary),
    Column("input", LargeBinary),
    Column("input_blob", String(80), index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Index("decisions_by_time", "created_at"),
    Index("decisions_by_release", "release", "id"),
)
accounts = Table(
    "decision_accounts",
    metadata,
    Column("process", String(80), primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
)
_HEAVY = frozenset({"text", "explanation", "input"})
_LIGHT = [column for column in decisions.columns if column.name not in _HEAVY]
_PLAIN = tuple(column.name for column in _LIGHT if column.name not in {"head", "size_bytes"})
# The quick end of zlib: a tenth more bytes for half of the time. What is small would be a third smaller for twice the
# time that the rest of its row takes.
_LEVEL = 1
_SMALL_BYTES = 6 * 1024


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """What is always read together, packed and compressed as one."""

    steps: tuple[Step, ...]
    degraded: tuple[DegradedStep, ...]
    body: bytes


class SqlDecisions:
    """Keeps the promise of `DecisionStore` in any database that SQLAlchemy speaks to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, decisions_: Sequence[Decision], *, settles: Account | None = None) -> None:
        """One transaction for all of them and the account."""
        # Before, not within: to compress many may take long beside a busy event loop, and nobody else could write.
        rows = [_row(each) for each in decisions_]
        with self._database.transaction() as connection:
            _add_rows(connection, rows)
            if settles is not None:
                _settle(connection, settles)

    def account(self, process: str) -> Account:
        """The account of one process."""
        with self._database.reading() as connection:
            row = connection.execute(select(accounts).where(accounts.c.process == process)).one_or_none()
        return Account(process) if row is None else Account(**row._mapping)  # noqa: SLF001 - documented

    def missing(self) -> int:
        """Over all processes that ever settled anything."""
        query = select(func.sum(accounts.c.through - accounts.c.stored - accounts.c.refused))
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        with self._database.reading() as connection:
            row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).one_or_none()
        return None if row is None else told(_decision(row))

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Newest first; ids are sorted by time."""
        query = select(*_LIGHT).order_by(decisions.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(decisions.c.id < cursor)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        items = tuple(_decision(row) for row in rows[:limit])
        return Listing(items=items, next=items[-1].id if len(rows) > limit else None)

    def forget(self, *, before: datetime, keep: int, keep_bytes: int | None = None) -> Forgotten:
        """Drops by age, number and size."""
        with self._database.transaction() as connection:
            gone = decisions.c.created_at < before
            newest = select(decisions.c.id).order_by(decisions.c.id.desc())
            first_too_many = connection.scalar(newest.offset(max(0, keep)).limit(1))
            if first_too_many is not None:
                gone |= decisions.c.id <= first_too_many
            if keep_bytes is not None and (first_over := _first_over(connection, keep_bytes)) is not None:
                gone |= decisions.c.id <= first_over
            blobs = set(connection.scalars(select(decisions.c.input_blob).where(gone).distinct())) - {None}
            count = connection.execute(delete(decisions).where(gone)).rowcount
            in_use = select(decisions.c.input_blob).where(decisions.c.input_blob.in_(blobs)).distinct()
            left = set(connection.scalars(in_use)) if blobs else set()
        return Forgotten(count=count, blobs=tuple(sorted(blobs - left)))

    def close(self) -> None:
        """Closes the database."""
        self._database.close()


def add_decisions(connection: Connection, added: Sequence[Decision]) -> None:
    """Those that are not there yet, within a transaction of the caller's; one that was not complete is completed."""
    _add_rows(connection, [_row(each) for each in added])


def _add_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if connection.dialect.name == "sqlite":
        insert_tuples(connection, _INSERTING, [_for_sqlite(row) for row in rows], _COMPLETING)
        return
    # One statement writes no row twice: of those with one id the first counts that is complete.
    named: dict[str, dict[str, Any]] = {}
    for row in rows:
        found = dict(zip(_NAMES, row, strict=True))
        if row[0] not in named or (found["answer_digest"] and not named[row[0]]["answer_digest"]):
            named[row[0]] = found
    whole = list(named.values())
    for start in range(0, len(whole), _ROWS_A_STATEMENT):
        insert_rows(connection, _upserting(), whole[start : start + _ROWS_A_STATEMENT])


def _settle(connection: Connection, settles: Account) -> None:
    connection.execute(_SETTLING, asdict(settles))


def _first_over(connection: Connection, keep_bytes: int) -> str | None:
    """The newest decision that, with all newer ones, is over `keep_bytes`."""
    total = func.sum(decisions.c.size_bytes).over(order_by=decisions.c.id.desc()).label("total")
    sizes = select(decisions.c.id, total).subquery()
    found: str | None = connection.scalar(select(func.max(sizes.c.id)).where(sizes.c.total > keep_bytes))
    return found


@cache
def _upserting() -> Insert:
    """The same for Postgres."""
    fresh = insert_into("postgresql")(decisions)
    completing: Insert = fresh.on_conflict_do_update(
        index_elements=[decisions.c.id],
        set_={name: fresh.excluded[name] for name in _NAMES if name != "id"},
        where=(decisions.c.answer_digest == "") & (fresh.excluded.answer_digest != ""),
    )
    return completing


_NAMES = tuple(column.name for column in decisions.columns)
_CREATED_AT = _NAMES.index("created_at")
_plain = attrgetter(*_NAMES[: _NAMES.index("head")])
_COLUMNS = ", ".join(f'"{name}"' for name in _NAMES)
_INSERTING = f"INSERT INTO decisions ({_COLUMNS})"
_CHANGES = ", ".join(f'"{name}" = excluded."{name}"' for name in _NAMES if name != "id")
_COMPLETING = (
    f"ON CONFLICT (id) DO UPDATE SET {_CHANGES} WHERE decisions.answer_digest = '' AND excluded.answer_digest <> ''"
)
_ROWS_A_STATEMENT = 64
_SETTLING = text(
    "INSERT INTO decision_accounts (process, through, stored, refused) VALUES (:process, :through, :stored, :refused) "
    "ON CONFLICT (process) DO UPDATE SET through = excluded.through, "
    "stored = decision_accounts.stored + excluded.stored, refused = decision_accounts.refused + excluded.refused"
)


def _for_sqlite(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:_CREATED_AT], moment_for_sqlite(row[_CREATED_AT]), *row[_CREATED_AT + 1 :])


def _row(decision: Decision) -> tuple[Any, ...]:
    """What stands in each column, in their order."""
    head = _packed(msgspec.msgpack.encode(_Head(decision.steps, decision.degraded, decision.body)))
    text = None if decision.text is None else _packed(decision.text.encode("utf-8", "surrogatepass"))
    explanation, asked = _packed(decision.explanation), _packed(decision.input)
    packed = (head, text, explanation, asked)
    return (
        *_plain(decision),
        head,
        text,
        explanation,
        asked,
        decision.input_blob,
        sum(len(part) for part in packed if part is not None),
    )


def _packed(part: bytes | None) -> bytes | None:
    """Compressed where that saves more than it costs; a leading 0, which begins no zlib stream, says not."""
    if part is None:
        return None
    return b"\0" + part if len(part) < _SMALL_BYTES else zlib.compress(part, _LEVEL)


def _unpacked(part: bytes) -> bytes:
    return part[1:] if part[:1] == b"\0" else zlib.decompress(part)


def _decision(row: Row[Any]) -> Decision:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - the documented name of a row's columns
    unpacked = {name: _unpacked(values[name]) for name in _HEAVY if values.get(name) is not None}
    head = msgspec.msgpack.decode(_unpacked(values["head"]), type=_Head)
    text = unpacked.get("text")
    return Decision(
        **{name: values[name] for name in _PLAIN if name != "created_at"},
        # SQLite keeps no time zone: what went in was UTC.
        created_at=values["created_at"].replace(tzinfo=values["created_at"].tzinfo or UTC),
        steps=head.steps,
        degraded=head.degraded,
        body=head.body,
        text=None if text is None else text.decode("utf-8", "surrogatepass"),
        explanation=unpacked.get("explanation"),
        input=unpacked.get("input"),
    )
