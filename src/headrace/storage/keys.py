"""API keys in SQL: their digests, never their secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, String, Table, insert, select, update
from sqlalchemy.engine import Row

from headrace.domain.key import ApiKey, KeyScope
from headrace.storage.database import Database, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("hint", String(8), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)


class SqlKeys:
    """Keeps the promise of `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """Durable when this returns."""
        values = {column.name: getattr(key, column.name) for column in api_keys.columns}
        with self._database.transaction() as connection:
            connection.execute(insert(api_keys).values(**values | {"scope": key.scope.value}))

    def find_by_digest(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest, revoked or not."""
        with self._database.reading() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.digest == digest)).one_or_none()
        return None if row is None else _key(row)

    def listed(self) -> list[ApiKey]:
        """All keys, oldest first."""
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.id))]

    def revoke(self, key_id: str, *, now: datetime) -> ApiKey | None:
        """The key as it stands then; None when there is none of this id."""
        with self._database.transaction() as connection:
            is_valid = (api_keys.c.id == key_id) & api_keys.c.revoked_at.is_(None)
            connection.execute(update(api_keys).where(is_valid).values(revoked_at=now))
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
        return None if row is None else _key(row)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()


def _key(row: Row[Any]) -> ApiKey:
    values = dict(row._mapping)  # noqa: SLF001 - the documented name of a row's columns
    for name in ("created_at", "revoked_at"):
        # SQLite keeps no time zone: what went in was UTC.
        values[name] = values[name].replace(tzinfo=values[name].tzinfo or UTC) if values[name] else None
    return ApiKey(**values | {"scope": KeyScope(values["scope"])})
