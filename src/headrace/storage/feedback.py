"""Feedback and outcomes in SQL: a row each, never changed, in the order in which they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Column, DateTime, Float, Index, Select, String, Table, Text, cast, delete, func, insert, select
from sqlalchemy.engine import Row

from headrace.domain.feedback import Aftermath, Feedback, Outcome
from headrace.storage.database import Database, metadata
from headrace.storage.multirow import insert_rows


def _columns() -> list[Column[Any]]:
    return [
        Column("id", String(64), primary_key=True),
        Column("decision_id", String(64), nullable=False, index=True),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("release", String(80), nullable=False),
        Column("variant", String(80), nullable=False),
        Column("by", String(200), nullable=False),
    ]


feedback = Table(
    "feedback",
    metadata,
    *_columns(),
    Column("label", String(200), nullable=False),
    Index("feedback_by_release", "release", "id"),
)
outcomes = Table(
    "outcomes",
    metadata,
    *_columns(),
    Column("metric", String(200), nullable=False),
    Column("value", Float, nullable=False),
    Index("outcomes_by_release", "release", "metric", "id"),
)


class SqlFeedback:
    """Keeps the promise of `FeedbackStore` in any database that SQLAlchemy speaks to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, said: Sequence[Feedback | Outcome]) -> None:
        """One transaction for all of it."""
        labels = [asdict(each) for each in said if isinstance(each, Feedback)]
        values = [asdict(each) for each in said if isinstance(each, Outcome)]
        with self._database.transaction() as connection:
            insert_rows(connection, insert(feedback), labels)
            insert_rows(connection, insert(outcomes), values)

    def of(self, decision_id: str) -> Aftermath:
        """Ordered as it came."""
        with self._database.reading() as connection:
            labels = connection.execute(
                select(feedback).where(feedback.c.decision_id == decision_id).order_by(*_order(feedback))
            ).all()
            values = connection.execute(
                select(outcomes).where(outcomes.c.decision_id == decision_id).order_by(*_order(outcomes))
            ).all()
        return Aftermath(
            tuple(Feedback(**_values(row)) for row in labels), tuple(Outcome(**_values(row)) for row in values)
        )

    def feedback_after(self, cursor: str, *, limit: int, release: str | None = None) -> Sequence[Feedback]:
        """In the order of ids, which are sorted by time."""
        query = select(feedback).where(feedback.c.id > cursor).order_by(feedback.c.id).limit(limit)
        if release is not None:
            query = query.where(feedback.c.release == release)
        with self._database.reading() as connection:
            if self._database.is_sqlite:
                found = msgspec.json.decode(connection.execute(_as_one(query)).scalar_one(), type=list[Feedback])
                return sorted(found, key=lambda each: each.id)
            return [Feedback(**_values(row)) for row in connection.execute(query)]

    def outcomes_after(
        self, cursor: str, *, limit: int, release: str | None = None, metric: str | None = None
    ) -> Sequence[Outcome]:
        """In the order of ids, which are sorted by time."""
        query = select(outcomes).where(outcomes.c.id > cursor).order_by(outcomes.c.id).limit(limit)
        if release is not None:
            query = query.where(outcomes.c.release == release)
        if metric is not None:
            query = query.where(outcomes.c.metric == metric)
        with self._database.reading() as connection:
            return [Outcome(**_values(row)) for row in connection.execute(query)]

    def forget(self, *, before: datetime) -> int:
        """Of both kinds."""
        with self._database.transaction() as connection:
            return sum(
                connection.execute(delete(table).where(table.c.created_at < before)).rowcount
                for table in (feedback, outcomes)
            )


def _as_one(query: Select[Any]) -> Select[Any]:
    """All of it in one row, for SQLite: see `multirow`."""
    found = query.subquery().c
    moment = func.replace(cast(found.created_at, Text), " ", "T").concat("Z")
    values = {each.name: each for each in found} | {"created_at": moment}
    return select(func.json_group_array(func.json_object(*chain.from_iterable(values.items()))))


def _order(table: Table) -> tuple[Column[Any], Column[Any]]:
    return table.c.created_at, table.c.id


def _values(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)  # noqa: SLF001 - the documented name of a row's columns
    values["created_at"] = values["created_at"].replace(tzinfo=values["created_at"].tzinfo or UTC)
    return values
