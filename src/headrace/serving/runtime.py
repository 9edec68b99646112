"""The promise of a place where the replicas of one service live."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from headrace.errors import ServiceFailed
from headrace.serving.context import Context
from headrace.serving.service import Method


class Unreachable(ServiceFailed):
    """The place where a service lives takes no connections: it is away, and may be back in a moment."""

    code = "unavailable"


class ReplicaState(StrEnum):
    """Where a replica, or all replicas of a service together, stand."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Reply(msgspec.Struct, frozen=True):
    """An answer and what it took: milliseconds in the queue and in the service, and with how many it shared a call."""

    value: Any
    queued_ms: float
    compute_ms: float
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class Health:
    """How the replicas of one service are: for probes and for the doctor."""

    state: ReplicaState
    replicas: int
    queued: int
    restarts: int = 0
    protections: tuple[str, ...] = ()
    detail: str = ""
    open_breakers: int = 0
    retries: int = 0


class Replicas(Protocol):
    """All copies of one service; each call goes to the one that is free first."""

    async def start(self) -> None:
        """Returns when every replica is loaded and has answered its warm-up questions."""
        ...

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """The answer, from one replica.

        Raises:
            Overloaded: the bounded queue is full, or the replicas are draining.
            DeadlineExceeded: the caller's time is over; the work is dropped or ended.
            ServiceFailed: the service raised something that is no error of ours, or answered wrongly.
        """
        ...

    async def close(self) -> None:
        """Takes no more, ends what runs, gives everything back; safe to call twice."""
        ...

    def health(self) -> Health:
        """How it is now; cheap."""
        ...
