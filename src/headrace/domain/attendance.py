"""Attendance: that a worker is there, and by which code it answers; so that none takes what only another can answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Attendance:
    """A worker, the digests of the code by which it answers, and how often it has said so: a number that grows."""

    worker: str
    codes: frozenset[str]
    beats: int = 0


class AttendanceStore(Protocol):
    """Keeps who attends. Blocking: callers on an event loop put it into a thread."""

    def attend(self, worker: str, codes: Collection[str]) -> None:
        """One beat more; the first one adds the worker."""
        ...

    def attending(self) -> list[Attendance]:
        """All that have not left, by name; one that died is among them until it is forgotten."""
        ...

    def forget(self, attendance: Attendance) -> bool:
        """Takes out a worker that has not beaten since; whether there was one."""
        ...

    def leave(self, worker: str) -> None:
        """Takes out a worker; safe to call twice."""
        ...
