"""Who attends, in SQL: a row for each worker that lives, or died a moment ago."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, delete, insert, select, update

from headrace.domain.attendance import Attendance
from headrace.storage.database import Database, metadata

attendances = Table(
    "attendances",
    metadata,
    Column("worker", String(200), primary_key=True),
    Column("codes", LargeBinary, nullable=False),
    Column("beats", BigInteger, nullable=False),
)


class SqlAttendances:
    """Keeps the promise of `AttendanceStore`; a power failure may lose beats, for it ends the workers too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attend(self, worker: str, codes: Collection[str]) -> None:
        """Its row, or one beat more in it. No two workers have one name, so nobody else adds it meanwhile."""
        encoded = msgspec.json.encode(sorted(codes))
        own = attendances.c.worker == worker
        with self._database.transaction(durable=False) as connection:
            beaten = connection.execute(
                update(attendances).where(own).values(codes=encoded, beats=attendances.c.beats + 1)
            )
            if not beaten.rowcount:
                connection.execute(insert(attendances).values(worker=worker, codes=encoded, beats=1))

    def attending(self) -> list[Attendance]:
        """By name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(attendances).order_by(attendances.c.worker)).all()
        return [Attendance(row.worker, frozenset(msgspec.json.decode(row.codes)), row.beats) for row in rows]

    def forget(self, attendance: Attendance) -> bool:
        """Unless it has beaten since."""
        silent = (attendances.c.worker == attendance.worker) & (attendances.c.beats == attendance.beats)
        with self._database.transaction(durable=False) as connection:
            return connection.execute(delete(attendances).where(silent)).rowcount > 0

    def leave(self, worker: str) -> None:
        """Its row goes."""
        with self._database.transaction(durable=False) as connection:
            connection.execute(delete(attendances).where(attendances.c.worker == worker))
