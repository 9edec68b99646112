"""Releases in SQL: a row each, with the manifest that its id is the digest of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Index, LargeBinary, String, Table, select, tuple_
from sqlalchemy.engine import Row

from headrace.domain.release import Release, ReleaseRecord
from headrace.errors import InvalidInput, UnreadableArtifact
from headrace.storage.database import Database, insert_into, metadata

releases = Table(
    "releases",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("commit", String(80)),
    Column("is_dirty", Boolean),
    Column("manifest", LargeBinary, nullable=False),
    Index("releases_by_time", "created_at", "id"),
)
PREFIX = "sha256:"


class SqlReleases:
    """Keeps the promise of `ReleaseStore` in any database that SQLAlchemy speaks to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: ReleaseRecord) -> None:
        """One row, unless it is there."""
        row = {
            "id": record.release.id,
            "created_at": record.created_at,
            "pipeline": record.release.pipeline,
            "commit": record.commit,
            "is_dirty": record.is_dirty,
            "manifest": record.release.manifest(),
        }
        with self._database.transaction() as connection:
            connection.execute(insert_into(connection.dialect.name)(releases).values(row).on_conflict_do_nothing())

    def find(self, release_id: str) -> ReleaseRecord | None:
        """By the id or the beginning of one, with or without `sha256:`."""
        wanted = release_id if release_id.startswith(PREFIX) else PREFIX + release_id
        query = select(releases).where(releases.c.id.startswith(wanted, autoescape=True)).limit(2)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if len(rows) > 1:
            raise InvalidInput(f"Several releases begin with {release_id!r}.", remedy="Give more of its id.")
        return _record(rows[0]) if rows else None

    def listed(self, *, cursor: str | None, limit: int) -> tuple[Sequence[ReleaseRecord], str | None]:
        """Newest first; the cursor is the id of the last one of the page before."""
        place = (releases.c.created_at, releases.c.id)
        query = select(releases).order_by(*(column.desc() for column in place)).limit(limit + 1)
        with self._database.reading() as connection:
            if cursor is not None:
                last = connection.execute(select(*place).where(releases.c.id == cursor)).one_or_none()
                if last is None:
                    raise InvalidInput(
                        f"{cursor[:100]!r} is no cursor of this list.", remedy="Begin again without one."
                    )
                query = query.where(tuple_(*place) < tuple(last))
            rows = connection.execute(query).all()
        found = [_record(row) for row in rows[:limit]]
        return found, found[-1].release.id if len(rows) > limit else None

    def close(self) -> None:
        """Closes the database."""
        self._database.close()


def _record(row: Row[Any]) -> ReleaseRecord:
    try:
        release = Release.from_manifest(row.manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise UnreadableArtifact(f"The manifest of the release {row.id} cannot be read: {broken}.") from broken
    if release.id != row.id:
        raise UnreadableArtifact(f"The manifest of the release {row.id} was changed since it was stored.")
    created_at = row.created_at.replace(tzinfo=row.created_at.tzinfo or UTC)
    return ReleaseRecord(release=release, created_at=created_at, commit=row.commit, is_dirty=row.is_dirty)
