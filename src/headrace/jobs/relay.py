"""Relay: hands what is due in the store to a broker that is a system of its own, and sends again what that lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic

from headrace.domain.stores import IssuedTicket, JobStore
from headrace.errors import HeadraceError
from headrace.jobs.broker import Broker, BrokerUnavailable, Rotation, Ticket
from headrace.jobs.job_queue import utc_now

BATCH = 256
LOOK_S = 0.5
CHECK_S = 1.0
LONGEST_REST_S = 5.0


class Relay:
    """Publishes tickets of due jobs, `window` of them ahead of the workers.

    The window keeps the broker short: what waits longer waits in the store, where a key that comes late still gets its
    share. A ticket is issued again when its job has not begun after `ticket_s`, and within `lost_after_s` when the
    broker turns out to be empty.
    """

    def __init__(
        self,
        store: JobStore,
        broker: Broker,
        *,
        window: int = 1024,
        ticket_s: float = 60.0,
        lost_after_s: float = 3.0,
        on_failure: Callable[[HeadraceError], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._broker = broker
        self._window = window
        self._ticket_s = ticket_s
        self._lost_after_s = lost_after_s
        self._on_failure = on_failure
        self._clock = clock
        self._rotation = Rotation()
        self._room = window
        self._next_check = 0.0

    async def run(self) -> None:
        """Until it is cancelled; rests, and longer each time, when the broker or the store does not work."""
        rest_s = 0.1
        with self._store.listening("work") as listener:
            while True:
                try:
                    published = await self.publish_due()
                    rest_s = 0.1
                    wait_s = 0.0 if published == BATCH else LOOK_S
                except HeadraceError as failure:
                    self._on_failure(failure)
                    wait_s = rest_s = min(LONGEST_REST_S, rest_s * 2)
                if wait_s:
                    await listener.rung(timeout_s=wait_s)

    async def publish_due(self) -> int:
        """Publishes up to a batch, within the window; how many tickets went out."""
        await self._look()
        limit = min(BATCH, self._room)
        if limit <= 0:
            return 0
        issued = await self._store.issue(
            self._rotation.order(), limit=limit, now=self._clock(), ticket_s=self._ticket_s
        )
        if issued:
            await self._publish(issued)
            self._room -= len(issued)
        return len(issued)

    async def _publish(self, issued: list[IssuedTicket]) -> None:
        try:
            await self._broker.publish([Ticket(each.job_id, each.priority) for each in issued])
        except BrokerUnavailable:
            # Some may have arrived all the same: a repeated ticket finds its job begun.
            await self._store.give_back([each.job_id for each in issued])
            raise

    async def _look(self) -> None:
        """Now and then, or when the window is spent: how many tickets are out, and whether the broker has lost them."""
        if self._room > 0 and monotonic() < self._next_check:
            return
        self._next_check = monotonic() + CHECK_S
        out = sum(line.ticketed for line in await self._store.figures(now=self._clock()))
        if out and await self._broker.depth() == 0:
            out -= await self._store.issue_again(older_than_s=self._lost_after_s, now=self._clock())
        self._room = self._window - out
