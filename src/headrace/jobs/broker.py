"""The promise that all brokers keep: they carry tickets, and may lose, repeat or reorder them.

A ticket is the id of a job and nothing else. The store is the truth: what a broker loses the sweeper issues again, and
what it brings twice finds the job begun already. So no visibility or consumer timeout ever decides about a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from headrace.errors import HeadraceError

PRIORITIES = ("interactive", "batch")
"""In the order in which they are served; see `Rotation` for how the last is kept from starving."""


class BrokerUnavailable(HeadraceError):
    """The broker does not answer; submissions go on, for the truth is elsewhere."""

    code: ClassVar[str] = "broker_unavailable"
    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Ticket:
    """The id of a job that is due, and the line it waits in."""

    job_id: str
    priority: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A ticket as a broker brought it; `receipt` is the broker's own name for this bringing."""

    ticket: Ticket
    receipt: str


class Broker(Protocol):
    """Carries tickets from those who submit to those who work. Every call may raise `BrokerUnavailable`."""

    async def open(self) -> None:
        """Connects and makes what is lacking; safe to call again."""
        ...

    async def close(self) -> None:
        """Gives back all connections; what was taken and not acknowledged is brought to others."""
        ...

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Returns when the broker has confirmed all of them."""
        ...

    async def take(self, *, limit: int, timeout_s: float) -> list[Delivery]:
        """From 1 to `limit` deliveries as soon as there is one; none after `timeout_s`."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """These need not be brought again; one that is unknown by now is passed over."""
        ...

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """These are brought to someone else, soon."""
        ...

    async def depth(self) -> int:
        """How many tickets it holds that nobody has taken; those that were taken may be counted too."""
        ...

    async def is_healthy(self) -> bool:
        """Whether the broker answers at this moment; never raises."""
        ...


class Rotation:
    """Which priority is served first this time: every `share`-th time the last, so that it never starves."""

    def __init__(self, *, share: int = 8) -> None:
        self._share = share
        self._count = 0

    def order(self) -> tuple[str, ...]:
        """The priorities in the order of this time."""
        self._count = (self._count + 1) % self._share
        return PRIORITIES if self._count else PRIORITIES[::-1]
