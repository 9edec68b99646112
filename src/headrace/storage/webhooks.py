"""Webhooks and their deliveries in SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Row

from headrace.domain.decision import new_id
from headrace.domain.webhook import Delivery, DeliveryState, Receipt, Webhook, WebhookState
from headrace.storage.database import Database, metadata
from headrace.storage.job_tables import microseconds, moment_of
from headrace.storage.multirow import insert_rows, upserting
from headrace.storage.prepared import Prepared

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("url", String(2000), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("secrets", LargeBinary, nullable=False),
    Column("events", LargeBinary, nullable=False),
    Column("key", String(200), nullable=False),
    Column("state", String(20), nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("webhook_id", String(64), nullable=False),
    Column("url", String(2000), nullable=False),
    Column("type", String(100), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_us", BigInteger),
    Column("last", LargeBinary),
    Index("webhook_deliveries_due", "state", "due_us"),
    Index("webhook_deliveries_by_webhook", "webhook_id", "sequence"),
    sqlite_autoincrement=True,
)


_ACTIVE = Prepared(select(webhooks).where(webhooks.c.state == WebhookState.ACTIVE.value))


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event that webhooks may want to hear of; `url` is an address that its subject itself named.

    `data` gives the JSON that is told, and is not asked for when nobody wants to hear.
    """

    event: str
    subject: str
    data: Callable[[], bytes]
    now: datetime
    key: str = ""
    url: str | None = None


def announce(connection: Connection, announcements: Sequence[Announcement]) -> int:
    """Within a transaction of the caller's: a delivery for each webhook that wants an event, and for each `url`."""
    active = _active(connection)
    rows = [
        {
            "id": new_id("dlv"),
            "webhook_id": webhook_id,
            "url": address,
            "type": each.event,
            "subject": each.subject,
            "created_us": microseconds(each.now),
            "data": each.data(),
            "state": DeliveryState.WAITING.value,
            "tries": 0,
            "due_us": microseconds(each.now),
            "last": None,
        }
        for each in announcements
        for webhook_id, address in _wanting(active, each)
    ]
    insert_rows(connection, insert(webhook_deliveries), rows)
    return len(rows)


def _wanting(active: Sequence[Webhook], announcement: Announcement) -> list[tuple[str, str]]:
    own = [("", announcement.url)] if announcement.url else []
    return own + [(each.id, each.url) for each in active if each.wants(announcement.event, key=announcement.key)]


class SqlWebhooks:
    """Keeps the promise of `WebhookStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook) -> None:
        """Keeps it, or replaces the one with its id."""
        await asyncio.to_thread(self._add, webhook)

    async def listed(self) -> list[Webhook]:
        """Oldest first."""
        return await asyncio.to_thread(self._listed)

    async def remove(self, webhook_id: str) -> bool:
        """Whether there was one; its deliveries stay to be looked at."""
        return await asyncio.to_thread(self._remove, webhook_id)

    async def announce(self, event: str, *, subject: str, data: bytes, now: datetime, key: str = "") -> int:
        """A delivery for each webhook that wants this event."""

        def announced() -> int:
            with self._database.transaction() as connection:
                return announce(connection, [Announcement(event, subject, lambda: data, now, key=key)])

        return await asyncio.to_thread(announced)

    async def due(self, *, now: datetime, limit: int, hold_s: float) -> list[Delivery]:
        """The longest due first; a process that dies with them frees them after `hold_s`."""
        return await asyncio.to_thread(self._due, now, limit, hold_s)

    async def save(self, delivery: Delivery) -> None:
        """Keeps how a delivery stands."""
        await asyncio.to_thread(self._save, delivery)

    async def find(self, delivery_id: str) -> Delivery | None:
        """One delivery."""
        query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
        found = await asyncio.to_thread(self._deliveries, query)
        return found[0] if found else None

    async def deliveries(
        self, *, webhook_id: str | None, state: DeliveryState | None, cursor: int | None, limit: int
    ) -> list[Delivery]:
        """Newest first."""
        query = select(webhook_deliveries).order_by(webhook_deliveries.c.sequence.desc()).limit(limit)
        if webhook_id is not None:
            query = query.where(webhook_deliveries.c.webhook_id == webhook_id)
        if state is not None:
            query = query.where(webhook_deliveries.c.state == state.value)
        if cursor is not None:
            query = query.where(webhook_deliveries.c.sequence < cursor)
        return await asyncio.to_thread(self._deliveries, query)

    def _add(self, webhook: Webhook) -> None:
        row = {
            "id": webhook.id,
            "url": webhook.url,
            "created_us": microseconds(webhook.created_at),
            "secrets": msgspec.json.encode(webhook.secrets),
            "events": msgspec.json.encode(webhook.events),
            "key": webhook.key,
            "state": webhook.state.value,
        }
        with self._database.transaction() as connection:
            connection.execute(upserting(webhooks, connection.dialect.name), row)

    def _listed(self) -> list[Webhook]:
        with self._database.reading() as connection:
            return [_webhook(row) for row in connection.execute(select(webhooks).order_by(webhooks.c.id))]

    def _remove(self, webhook_id: str) -> bool:
        with self._database.transaction() as connection:
            return connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id)).rowcount > 0

    def _due(self, now: datetime, limit: int, hold_s: float) -> list[Delivery]:
        table = webhook_deliveries.c
        query = (
            select(webhook_deliveries)
            .where(table.state == DeliveryState.WAITING.value, table.due_us <= microseconds(now))
            .order_by(table.due_us)
            .limit(limit)
        )
        with self._database.reading() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._database.transaction() as connection:
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            held = microseconds(now + timedelta(seconds=hold_s))
            connection.execute(
                update(webhook_deliveries).where(table.id.in_([row.id for row in rows])).values(due_us=held)
            )
        return [_delivery(row) for row in rows]

    def _save(self, delivery: Delivery) -> None:
        row = {
            "state": delivery.state.value,
            "tries": delivery.tries,
            "created_us": microseconds(delivery.created_at),
            "due_us": None if delivery.due_at is None else microseconds(delivery.due_at),
            "last": None if delivery.last is None else msgspec.json.encode(delivery.last),
        }
        with self._database.transaction() as connection:
            connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == delivery.id).values(row))

    def _deliveries(self, query: Any) -> list[Delivery]:
        with self._database.reading() as connection:
            return [_delivery(row) for row in connection.execute(query)]


def _active(connection: Connection) -> Sequence[Webhook]:
    return [_webhook(row) for row in _ACTIVE.run(connection)]


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        url=row.url,
        created_at=moment_of(row.created_us),
        secrets=msgspec.json.decode(row.secrets, type=tuple[str, ...]),
        events=msgspec.json.decode(row.events, type=tuple[str, ...]),
        key=row.key,
        state=WebhookState(row.state),
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        url=row.url,
        type=row.type,
        subject=row.subject,
        sequence=row.sequence,
        created_at=moment_of(row.created_us),
        data=msgspec.json.decode(row.data),
        webhook_id=row.webhook_id,
        state=DeliveryState(row.state),
        tries=row.tries,
        due_at=None if row.due_us is None else moment_of(row.due_us),
        last=None if row.last is None else msgspec.json.decode(row.last, type=Receipt),
    )
