"""Tickets in RabbitMQ: one quorum queue a priority, publisher confirms, a delivery limit and a dead-letter exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic

import aio_pika
from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustQueue,
    DeliveryMode,
)
from aio_pika.exceptions import AMQPError

from headrace.jobs.broker import PRIORITIES, BrokerUnavailable, Delivery, Ticket, Turns

LONGEST_TICKET = 128
LOOK_S = 5.0
AGAIN_S = 20.0
"""A line that could not be listened to is tried again so much later."""


class RabbitBroker:
    """Keeps the broker promise on RabbitMQ.

    `prefetch` bounds what lies in this process unanswered. A ticket brought more than `delivery_limit` times goes to
    the dead-letter queue `<prefix>.dead`, where it can be looked at; its job is in the store and is swept.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "headrace",
        prefetch: int = 64,
        delivery_limit: int = 20,
        timeout_s: float = 5.0,
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._prefetch = prefetch
        self._delivery_limit = delivery_limit
        self._timeout_s = timeout_s
        self._turns = Turns()
        self._receipts = count(1)
        self._connection: AbstractRobustConnection | None = None
        self._channels: list[AbstractRobustChannel] = []
        self._arrived: dict[str, asyncio.Queue[AbstractIncomingMessage]] = {
            priority: asyncio.Queue() for priority in PRIORITIES
        }
        self._waiting = asyncio.Event()
        self._unanswered: dict[str, AbstractIncomingMessage] = {}
        self._consuming: set[str] = set()
        self._next_consume: dict[str, float] = {}
        self._is_stale = False
        # Several tasks call at once, and are to share one connection.
        self._opening = asyncio.Lock()
        self._next_look = 0.0

    async def open(self) -> None:
        """Connects, declares queues and exchange; after any failure all of it is made anew.

        A connection that is cut heals by itself, but not one that is cut again while it heals, nor a deleted queue.
        """
        async with self._opening:
            await self._open()

    async def _open(self) -> None:
        if self._is_stale:
            with suppress(BrokerUnavailable):
                await self.close()
            self._is_stale = False
        if self._connection is not None:
            return
        async with self._answering():
            connection = await aio_pika.connect_robust(self._url, timeout=self._timeout_s, reconnect_interval=0.5)
            try:
                publishing = await connection.channel(publisher_confirms=True, on_return_raises=True)
                await self._declare(publishing)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
            self._channels = [publishing]

    async def close(self) -> None:
        """Closes the connection, by which all that is unanswered goes back to its queue."""
        connection, self._connection = self._connection, None
        self._channels = []
        self._consuming.clear()
        self._next_consume.clear()
        self._unanswered.clear()
        for line in self._arrived.values():
            while not line.empty():
                line.get_nowait()
        if connection is not None:
            async with self._answering():
                await connection.close()

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Returns when the broker has confirmed all of them."""
        if not tickets:
            return
        await self.open()
        async with self._answering():
            exchange = self._channels[0].default_exchange
            await asyncio.gather(
                *(
                    exchange.publish(
                        aio_pika.Message(ticket.job_id.encode(), delivery_mode=DeliveryMode.PERSISTENT),
                        routing_key=self._queue_name(ticket.priority),
                        mandatory=True,
                        timeout=self._timeout_s,
                    )
                    for ticket in tickets
                )
            )

    async def take(self, *, limit: int, timeout_s: float) -> list[Delivery]:
        """What has arrived in this process, by priority; waits for the first when there is none."""
        await self.open()
        await self._consume()
        deliveries = self._arrivals(limit)
        if deliveries or timeout_s <= 0:
            return deliveries
        try:
            async with asyncio.timeout(timeout_s):
                await self._waiting.wait()
        except TimeoutError:
            await self._look()
            return []
        return self._arrivals(limit)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """A message whose channel is gone cannot be acknowledged: it is brought again and found done."""
        await self._settle(deliveries, hand_back=False)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Requeued at the head of its line."""
        await self._settle(deliveries, hand_back=True)

    async def depth(self) -> int:
        """What is ready in the queues and what has arrived in this process."""
        await self.open()
        count = sum(line.qsize() for line in self._arrived.values())
        for priority in PRIORITIES:
            count += await self._ready(priority)
        return count

    async def is_healthy(self) -> bool:
        """Whether the broker answers a passive declaration in time."""
        try:
            await self.open()
            await self._ready(PRIORITIES[0])
        except BrokerUnavailable:
            return False
        return True

    async def _look(self) -> None:
        """Now and then, when nothing comes: whether the queues are still there, for a deleted one brings nothing."""
        if monotonic() >= self._next_look:
            self._next_look = monotonic() + LOOK_S
            for priority in PRIORITIES:
                await self._ready(priority)

    async def _ready(self, priority: str) -> int:
        """How many messages wait in a queue; asked of the server itself, for the channel remembers what it declared."""
        async with self._answering():
            channel = await self._channels[0].get_underlay_channel()
            declared = await channel.queue_declare(self._queue_name(priority), passive=True)
        return declared.message_count or 0

    async def _declare(self, channel: AbstractRobustChannel) -> None:
        dead = await channel.declare_exchange(f"{self._prefix}.dead", aio_pika.ExchangeType.FANOUT, durable=True)
        bin_ = await channel.declare_queue(
            f"{self._prefix}.dead", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 10_000}
        )
        await bin_.bind(dead)
        for priority in PRIORITIES:
            await self._declare_line(channel, priority)

    async def _declare_line(self, channel: AbstractRobustChannel, priority: str) -> AbstractRobustQueue:
        return await channel.declare_queue(
            self._queue_name(priority),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": self._delivery_limit,
                "x-dead-letter-exchange": f"{self._prefix}.dead",
            },
        )

    async def _consume(self) -> None:
        """Each line by itself: a quorum queue without a leader after a crash must not keep the other waiting."""
        for priority in PRIORITIES:
            if priority in self._consuming or monotonic() < self._next_consume.get(priority, 0.0):
                continue
            try:
                await self._consume_line(priority)
            except BrokerUnavailable:
                self._next_consume[priority] = monotonic() + AGAIN_S
                if not self._consuming and priority == PRIORITIES[-1]:
                    self._is_stale = True
                    raise

    async def _consume_line(self, priority: str) -> None:
        connection = self._connection
        if connection is None:
            raise BrokerUnavailable("The connection to RabbitMQ was closed meanwhile.", remedy="Call again.")
        async with self._answering(is_all=False):
            # A channel a line: prefetch counts for each, so a flood in one line cannot fill the other's share.
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._prefetch)
            queue = await self._declare_line(channel, priority)
            await queue.consume(self._arrival(priority))
            self._channels.append(channel)
            self._consuming.add(priority)

    def _arrival(self, priority: str) -> Arrival:
        return Arrival(self._arrived[priority], self._waiting)

    def _arrivals(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for priority in self._turns.order():
            line = self._arrived[priority]
            while len(deliveries) < limit and not line.empty():
                message = line.get_nowait()
                receipt = str(next(self._receipts))
                self._unanswered[receipt] = message
                job_id = message.body[:LONGEST_TICKET].decode(errors="replace")
                deliveries.append(Delivery(Ticket(job_id, priority), receipt))
        if all(line.empty() for line in self._arrived.values()):
            self._waiting.clear()
        return deliveries

    async def _settle(self, deliveries: Sequence[Delivery], *, hand_back: bool) -> None:
        async with self._answering():
            for delivery in deliveries:
                message = self._unanswered.pop(delivery.receipt, None)
                if message is None or message.channel.is_closed:
                    continue
                await (message.nack(requeue=True) if hand_back else message.ack())

    def _queue_name(self, priority: str) -> str:
        return f"{self._prefix}.tickets.{priority}"

    @asynccontextmanager
    async def _answering(self, *, is_all: bool = True) -> AsyncIterator[None]:
        """A failure says that the connection is to be made anew, unless it may be that of one line."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (AMQPError, OSError, TimeoutError, RuntimeError) as failure:
            self._is_stale = self._is_stale or is_all
            raise BrokerUnavailable(
                f"RabbitMQ does not answer as a broker: {failure!s}.",
                remedy="Jobs are kept and go on when it is back; check [broker] url and the server.",
            ) from failure


class Arrival:
    """Puts a message that came into its line and wakes who waits; the channel's prefetch bounds the line."""

    def __init__(self, line: asyncio.Queue[AbstractIncomingMessage], waiting: asyncio.Event) -> None:
        self._line = line
        self._waiting = waiting

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        """Never blocks."""
        self._line.put_nowait(message)
        self._waiting.set()
