"""The broker that is no system of its own: the store's outbox, from which tickets are taken directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from time import monotonic

from headrace.domain.stores import JobStore, Listener
from headrace.errors import HeadraceError
from headrace.jobs.broker import Broker, Delivery, Rotation, Ticket
from headrace.jobs.job_queue import utc_now

LOOK_S = 1.0
"""Rings wake who waits; what was rung for in vain or only becomes due with time is found by looking so often."""


class EmbeddedBroker(Broker):
    """Keeps the broker promise with the job store alone, on one machine or on one Postgres.

    A ticket that was taken by a process that died is issued again after `ticket_s`.
    """

    def __init__(self, store: JobStore, *, ticket_s: float = 15.0, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._ticket_s = ticket_s
        self._clock = clock
        self._rotation = Rotation()
        self._taken: dict[str, Delivery] = {}
        self._stack = ExitStack()
        self._listener: Listener | None = None

    async def open(self) -> None:
        """Begins to hear of work; safe to call again."""
        if self._listener is None:
            self._listener = self._stack.enter_context(self._store.listening("work"))

    async def close(self) -> None:
        """What was taken and not acknowledged goes to others."""
        self._stack.close()
        self._listener = None
        taken, self._taken = list(self._taken), {}
        if taken:
            await self._store.give_back(taken)

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Their jobs stand in the outbox already, from which they are taken."""

    async def take(self, *, limit: int, timeout_s: float) -> list[Delivery]:
        """By turn, as soon as there is one."""
        await self.open()
        assert self._listener is not None
        deadline = monotonic() + timeout_s
        while True:
            tickets = await self._store.issue(
                self._rotation.order(), limit=limit, now=self._clock(), ticket_s=self._ticket_s
            )
            left_s = deadline - monotonic()
            if tickets or left_s <= 0:
                found = [Delivery(Ticket(each.job_id, each.priority), each.job_id) for each in tickets]
                self._taken.update((each.receipt, each) for each in found)
                return found
            await self._listener.rung(timeout_s=min(LOOK_S, left_s))

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """A job that began has no ticket any more."""
        for delivery in deliveries:
            self._taken.pop(delivery.receipt, None)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Due at once."""
        await self.acknowledge(deliveries)
        await self._store.give_back([delivery.ticket.job_id for delivery in deliveries])

    async def depth(self) -> int:
        """Jobs that are due and not taken."""
        return sum(line.waiting for line in await self._store.figures(now=self._clock()))

    async def is_healthy(self) -> bool:
        """Whether the store answers."""
        try:
            async with asyncio.timeout(5.0):
                await self._store.figures(now=self._clock())
        except (HeadraceError, TimeoutError):
            return False
        return True
