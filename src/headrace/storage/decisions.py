"""Decisions in SQL: a row each; body, text and explanation compressed, for they are most of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, DateTime, Float, Index, LargeBinary, String, Table, delete, insert, select
from sqlalchemy.engine import Row

from headrace.domain.decision import Decision, DegradedStep, Step
from headrace.domain.stores import Listing
from headrace.storage.database import Database, metadata

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("endpoint", String(200), nullable=False),
    Column("release", String(80), nullable=False),
    Column("variant", String(80), nullable=False),
    Column("input_digest", String(80), nullable=False),
    Column("duration_ms", Float, nullable=False),
    Column("confidence", Float),
    Column("request_id", String(200), nullable=False),
    Column("trace_id", String(64), nullable=False),
    Column("steps", LargeBinary, nullable=False),
    Column("degraded", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("text", LargeBinary),
    Column("explanation", LargeBinary),
    Index("decisions_by_time", "created_at"),
)
_PARTS = ("steps", "degraded", "body", "text", "explanation")
_LIGHT = [column for column in decisions.columns if column.name not in {"text", "explanation"}]


class SqlDecisions:
    """Keeps the promise of `DecisionStore` in any database that SQLAlchemy speaks to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, decisions_: Sequence[Decision]) -> None:
        """One transaction for all of them."""
        if not decisions_:
            return
        with self._database.transaction() as connection:
            add_decisions(connection, decisions_)

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        with self._database.transaction() as connection:
            row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).one_or_none()
        return None if row is None else _decision(row)

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Newest first; ids are sorted by time."""
        query = select(*_LIGHT).order_by(decisions.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(decisions.c.id < cursor)
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        items = tuple(_decision(row) for row in rows[:limit])
        return Listing(items=items, next=items[-1].id if len(rows) > limit else None)

    def forget(self, *, before: datetime, keep: int) -> int:
        """Drops by age and number."""
        with self._database.transaction() as connection:
            oldest_kept = connection.scalar(
                select(decisions.c.id).order_by(decisions.c.id.desc()).offset(max(0, keep - 1)).limit(1)
            )
            gone = decisions.c.created_at < before
            if oldest_kept is not None:
                gone |= decisions.c.id < oldest_kept
            return connection.execute(delete(decisions).where(gone)).rowcount

    def close(self) -> None:
        """Closes the database."""
        self._database.close()


def add_decisions(connection: Connection, added: Sequence[Decision]) -> None:
    """Those that are not there yet, within a transaction of the caller's."""
    known = set(connection.scalars(select(decisions.c.id).where(decisions.c.id.in_([each.id for each in added]))))
    fresh = [_row(each) for each in added if each.id not in known]
    if fresh:
        connection.execute(insert(decisions), fresh)


def _row(decision: Decision) -> dict[str, object]:
    row = asdict(decision)
    row["steps"] = zlib.compress(msgspec.json.encode(decision.steps))
    row["degraded"] = zlib.compress(msgspec.json.encode(decision.degraded))
    row["body"] = zlib.compress(decision.body)
    row["text"] = None if decision.text is None else zlib.compress(decision.text.encode())
    row["explanation"] = None if decision.explanation is None else zlib.compress(decision.explanation)
    return row


def _decision(row: Row[Any]) -> Decision:
    values: dict[str, Any] = {
        name: zlib.decompress(value) if name in _PARTS and value is not None else value
        for name, value in row._mapping.items()  # noqa: SLF001 - the documented name of a row's columns
    }
    # SQLite keeps no time zone: what went in was UTC.
    created_at = values["created_at"].replace(tzinfo=values["created_at"].tzinfo or UTC)
    text = values.get("text")
    return Decision(
        **{
            **values,
            "created_at": created_at,
            "steps": msgspec.json.decode(values["steps"], type=tuple[Step, ...]),
            "degraded": msgspec.json.decode(values["degraded"], type=tuple[DegradedStep, ...]),
            "text": None if text is None else text.decode(),
        }
    )
