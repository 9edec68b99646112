"""Tickets though the broker brings none: what has been due for long is taken from the store, which is the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from headrace.domain.stores import JobStore
from headrace.jobs.broker import Broker, BrokerUnavailable, Delivery, Ticket
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.job_queue import utc_now

AFTER_S = 10.0
LOOK_S = 5.0
"""So often the store is asked whether anything is overdue, by a worker that was brought nothing."""


class EnduringBroker(Broker):
    """For workers: takes from the store as well while a job has been due there for `after_s` seconds without a ticket.

    So jobs go on, if slower, when the broker is away, takes no messages or has lost a queue, and when nobody hands
    tickets to it. A ticket that comes later finds its job begun. `on_overdue` hears when that begins.
    """

    def __init__(
        self,
        broker: Broker,
        store: JobStore,
        *,
        ticket_s: float,
        after_s: float = AFTER_S,
        on_overdue: Callable[[float], None] = lambda _: None,
        ticking: Callable[[], float] = monotonic,
    ) -> None:
        self._broker = broker
        self._store = store
        self._outbox = EmbeddedBroker(store, ticket_s=ticket_s)
        self._after_s = after_s
        self._on_overdue = on_overdue
        self._ticking = ticking
        self._next_look = 0.0
        self._is_overdue = False
        self._from_store: set[str] = set()

    async def open(self) -> None:
        """That of the broker."""
        await self._broker.open()

    async def close(self) -> None:
        """Of both."""
        self._from_store.clear()
        try:
            await self._outbox.close()
        finally:
            await self._broker.close()

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """To the broker alone."""
        await self._broker.publish(tickets)

    async def take(self, *, limit: int, timeout_s: float) -> list[Delivery]:
        """From the broker, and from the store what is overdue there while the broker has none."""
        try:
            found = await self._broker.take(limit=limit, timeout_s=0.0 if self._is_overdue else timeout_s)
        except BrokerUnavailable:
            if found := await self._overdue(limit):
                return found
            raise
        return found or await self._overdue(limit)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """To whichever brought them."""
        ours, theirs = self._parted(deliveries)
        await self._outbox.acknowledge(ours)
        if theirs:
            await self._broker.acknowledge(theirs)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """To whichever brought them."""
        ours, theirs = self._parted(deliveries)
        if ours:
            await self._outbox.hand_back(ours)
        if theirs:
            await self._broker.hand_back(theirs)

    async def depth(self) -> int:
        """That of the broker."""
        return await self._broker.depth()

    async def is_healthy(self) -> bool:
        """Whether the broker is."""
        return await self._broker.is_healthy()

    async def _overdue(self, limit: int) -> list[Delivery]:
        """What the store has, if a job has been due there for too long; looked for now and then."""
        if self._ticking() >= self._next_look:
            self._next_look = self._ticking() + min(LOOK_S, self._after_s)
            await self._look()
        if not self._is_overdue:
            return []
        found = await self._outbox.take(limit=limit, timeout_s=0)
        self._is_overdue = bool(found)
        self._from_store.update(each.receipt for each in found)
        return found

    async def _look(self) -> None:
        figures = await self._store.figures(now=utc_now())
        age_s = max((line.age_s for line in figures if line.waiting), default=0.0)
        if age_s >= self._after_s and not self._is_overdue:
            self._on_overdue(age_s)
        self._is_overdue = age_s >= self._after_s

    def _parted(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """Those from the store, who are forgotten here, and those from the broker."""
        ours: list[Delivery] = []
        theirs: list[Delivery] = []
        for each in deliveries:
            (ours if each.receipt in self._from_store else theirs).append(each)
        self._from_store.difference_update(each.receipt for each in ours)
        return ours, theirs
