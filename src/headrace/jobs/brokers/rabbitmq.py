"""Tickets in RabbitMQ: one quorum queue a priority, publisher confirms, a delivery limit and a dead-letter exchange."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from time import monotonic

from aiormq import AMQPError, Connection
from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage

from headrace.jobs.broker import PRIORITIES, BrokerUnavailable, Delivery, Rotation, Ticket
from headrace.jobs.brokers.frames import (
    Confirms,
    TicketReader,
    TicketTransport,
    acknowledged,
    handed_back,
    published,
)

LONGEST_TICKET = 128
LOOK_S = 5.0
AGAIN_S = 20.0
"""A line that could not be listened to is tried again so much later."""

_FAILURES = (AMQPError, OSError, TimeoutError, RuntimeError, EOFError, StopAsyncIteration)


class RabbitBroker:
    """Keeps the broker promise on RabbitMQ.

    `prefetch` bounds what lies in this process unanswered. A ticket brought more than `delivery_limit` times goes to
    the dead-letter queue `<prefix>.dead`, where it can be looked at; its job is in the store and is swept.

    Tickets pass below the objects that the library makes of messages (see `frames`). So nothing heals by itself here: a
    connection that ended in any way is made anew by the next call.
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
        self._rotation = Rotation()
        self._numbers = count(1)
        self._connection: Connection | None = None
        self._publishing: AbstractChannel | None = None
        self._confirms = Confirms()
        self._transport = TicketTransport()
        self._lines: dict[str, Line] = {}
        self._waiting = asyncio.Event()
        self._next_consume: dict[str, float] = {}
        self._is_stale = False
        # Several tasks call at once, and are to share one connection.
        self._opening = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._next_look = 0.0

    async def open(self) -> None:
        """Connects, declares queues and exchange; after any failure all of it is made anew."""
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
            self._transport = TicketTransport()
            connection = Connection(self._url, transport_factory=self._transport)
            try:
                await connection.connect()
                channel = await connection.channel(publisher_confirms=True)
                self._confirms = self._reader.confirms[channel.number] = Confirms()
                await self._declare(channel)
            except BaseException:
                await self._hang_up(connection)
                raise
            connection.closing.add_done_callback(lambda _: self._lose(connection))
            self._connection, self._publishing = connection, channel

    @property
    def _reader(self) -> TicketReader:
        return self._transport.reader

    def _lose(self, connection: Connection) -> None:
        if connection is self._connection:
            self._is_stale = True
            self._waiting.set()
            self._confirms.fail("The connection was lost.")

    async def close(self) -> None:
        """Closes the connection, by which all that is unanswered goes back to its queue."""
        connection, self._connection = self._connection, None
        self._publishing = None
        self._lines.clear()
        self._next_consume.clear()
        self._confirms.fail("The connection was closed.")
        if connection is not None:
            async with self._answering():
                await self._hang_up(connection)

    async def _hang_up(self, connection: Connection) -> None:
        """Takes leave where the server still listens; one that does not is left all the same, and soon."""
        transport = self._transport
        try:
            with self._cutting(self._timeout_s / 2), suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await connection.close()
        finally:
            transport.abort()

    @contextmanager
    def _cutting(self, after_s: float) -> Iterator[None]:
        """Ends the connection when what is within does not: the library waits in places that no cancellation ends."""
        cut = asyncio.get_running_loop().call_later(after_s, lambda: self._transport.abort())  # noqa: PLW0108 - of then
        try:
            yield
        finally:
            cut.cancel()

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Returns when the broker has confirmed all of them."""
        if not tickets:
            return
        await self.open()
        async with self._answering():
            channel = self._publishing
            if channel is None or channel.is_closed:
                raise _closed_meanwhile()
            payload = b"".join(
                published(
                    channel.number,
                    self._queue_name(priority),
                    [each.job_id.encode() for each in tickets if each.priority == priority],
                )
                for priority in PRIORITIES
            )
            await self._send_numbered(channel, payload, count=len(tickets))

    async def _send_numbered(self, channel: AbstractChannel, payload: bytes, *, count: int) -> None:
        """The server numbers messages as they come: what was numbered here and did not leave would shift all others."""
        async with self._sending:
            confirmed = self._confirms.expected(count)
            try:
                await _send(channel, payload)
            except BaseException:
                self._is_stale = True
                raise
        await confirmed

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
        count = sum(len(line.arrived) for line in self._lines.values())
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
            if self._publishing is None:
                raise _closed_meanwhile()
            declared = await self._publishing.queue_declare(self._queue_name(priority), passive=True)
        return declared.message_count or 0

    async def _declare(self, channel: AbstractChannel) -> None:
        dead = f"{self._prefix}.dead"
        await channel.exchange_declare(exchange=dead, exchange_type="fanout", durable=True)
        await channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 10_000})
        await channel.queue_bind(dead, exchange=dead)
        for priority in PRIORITIES:
            await self._declare_line(channel, priority)

    async def _declare_line(self, channel: AbstractChannel, priority: str) -> None:
        await channel.queue_declare(
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
            if priority in self._lines or monotonic() < self._next_consume.get(priority, 0.0):
                continue
            try:
                await self._consume_line(priority)
            except BrokerUnavailable:
                self._next_consume[priority] = monotonic() + AGAIN_S
                if not self._lines and priority == PRIORITIES[-1]:
                    self._is_stale = True
                    raise

    async def _consume_line(self, priority: str) -> None:
        connection = self._connection
        if connection is None:
            raise _closed_meanwhile()
        async with self._answering(is_all=False):
            # A channel a line: prefetch counts for each, so a flood in one line cannot fill the other's share.
            channel = await connection.channel(publisher_confirms=False)
            await channel.basic_qos(prefetch_count=self._prefetch)
            await self._declare_line(channel, priority)
            line = Line(next(self._numbers), channel, self._waiting)
            self._reader.lines[channel.number] = line.bring
            channel.on_consumer_cancel_callbacks.add(lambda _: self._forget_line(priority, line))
            await channel.basic_consume(self._queue_name(priority), line.bring_message, timeout=self._timeout_s)
            self._lines[priority] = line
            # The server ends a channel, and nothing else, over an acknowledgement that it knows nothing of or that took
            # longer than its consumer timeout.
            channel.closing.add_done_callback(lambda _: self._forget_line(priority, line))

    def _forget_line(self, priority: str, line: Line) -> None:
        """The server brings nothing more by it: the next call listens anew."""
        if self._lines.get(priority) is line:
            del self._lines[priority]
            self._waiting.set()

    def _arrivals(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for priority in self._rotation.order():
            line = self._lines.get(priority)
            while line is not None and line.arrived and len(deliveries) < limit:
                tag, job_id = line.arrived.popleft()
                deliveries.append(Delivery(Ticket(job_id, priority), f"{line.number}:{tag}"))
        if not any(line.arrived for line in self._lines.values()):
            self._waiting.clear()
        return deliveries

    async def _settle(self, deliveries: Sequence[Delivery], *, hand_back: bool) -> None:
        tags: dict[str, list[int]] = {}
        for delivery in deliveries:
            number, _, tag = delivery.receipt.partition(":")
            line = self._lines.get(delivery.ticket.priority)
            # Tags count anew on each channel: one of a channel that is gone would answer another message.
            if line is not None and str(line.number) == number:
                tags.setdefault(delivery.ticket.priority, []).append(int(tag))
        async with self._answering():
            for priority, own in tags.items():
                await (self._lines[priority].hand_back(own) if hand_back else self._lines[priority].acknowledge(own))

    def _queue_name(self, priority: str) -> str:
        return f"{self._prefix}.tickets.{priority}"

    @asynccontextmanager
    async def _answering(self, *, is_all: bool = True) -> AsyncIterator[None]:
        """A failure says that the connection is to be made anew, unless it may be that of one line."""
        try:
            with self._cutting(2 * self._timeout_s):
                async with asyncio.timeout(self._timeout_s):
                    yield
        except (Exception, asyncio.CancelledError) as failure:
            if not _is_of_the_connection(failure):
                raise
            self._is_stale = self._is_stale or is_all
            raise BrokerUnavailable(
                f"RabbitMQ does not answer as a broker: {self._told(failure)}.",
                remedy="Jobs are kept and go on when it is back; check [broker] url and the server.",
            ) from failure

    def _told(self, failure: BaseException) -> str:
        if not isinstance(failure, TimeoutError):
            return str(failure) or "the connection ended"
        reason = self._transport.blocked
        return f"it takes no messages, for it is {reason}" if reason else f"no answer within {self._timeout_s:g} s"


class Line:
    """What one queue has brought to this process, over a channel of its own; its prefetch bounds both collections."""

    def __init__(self, number: int, channel: AbstractChannel, waiting: asyncio.Event) -> None:
        self.number = number
        self.arrived: deque[tuple[int, str]] = deque()
        self._channel = channel
        self._waiting = waiting
        self._unanswered: OrderedDict[int, None] = OrderedDict()

    def bring(self, tag: int, body: bytes) -> None:
        """Called for each message; never waits."""
        self._unanswered[tag] = None
        self.arrived.append((tag, body[:LONGEST_TICKET].decode(errors="replace")))
        self._waiting.set()

    async def bring_message(self, message: DeliveredMessage) -> None:
        """Called for a message that the library has read."""
        self.bring(message.delivery_tag or 0, message.body)

    async def acknowledge(self, tags: Sequence[int]) -> None:
        """One frame for all that came before any that still runs; what overtook a slow job has one of its own."""
        done = {tag for tag in tags if tag in self._unanswered}
        through = []
        while self._unanswered and (first := next(iter(self._unanswered))) in done:
            del self._unanswered[first]
            done.remove(first)
            through = [first]
        for tag in done:
            del self._unanswered[tag]
        number = self._channel.number
        await self._send(acknowledged(number, done) + acknowledged(number, through, is_multiple=True))

    async def hand_back(self, tags: Sequence[int]) -> None:
        """Each goes to the head of its queue."""
        known = [tag for tag in tags if tag in self._unanswered]
        for tag in known:
            del self._unanswered[tag]
        await self._send(handed_back(self._channel.number, known))

    async def _send(self, payload: bytes) -> None:
        if self._channel.is_closed:
            raise _closed_meanwhile()
        if payload:
            await _send(self._channel, payload)


def _is_of_the_connection(failure: BaseException) -> bool:
    """Whether it says that a connection does not work.

    The library ends who waits for an answer by what ended its own tasks: a bare Exception, or a cancellation that
    nobody asked for, which would end the caller's task without a sound.
    """
    if isinstance(failure, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return isinstance(failure, _FAILURES) or type(failure) is Exception


async def _send(channel: AbstractChannel, payload: bytes) -> None:
    """Returns when the bytes have left this process: a connection may be closed right after."""
    left = asyncio.get_running_loop().create_future()
    await channel.connection.write_queue.put(ChannelFrame(payload, should_close=False, drain_future=left))
    await left


def _closed_meanwhile() -> BrokerUnavailable:
    return BrokerUnavailable("The connection to RabbitMQ was closed meanwhile.", remedy="Call again.")
