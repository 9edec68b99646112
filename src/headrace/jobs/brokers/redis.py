"""Tickets in Redis Streams: one stream a priority, one consumer group, claims on a timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError, ResponseError

from headrace.jobs.broker import PRIORITIES, BrokerUnavailable, Delivery, Rotation, Ticket

GROUP = "headrace"
FIELD = b"job"


class RedisBroker:
    """Keeps the broker promise on one Redis server.

    `consumer` names this process among the group's consumers. A ticket taken by a process that died is claimed by
    another after `claim_after_s`; reading alone would never bring it again, hence the timer.
    """

    def __init__(
        self,
        url: str,
        *,
        consumer: str,
        prefix: str = "headrace",
        claim_after_s: float = 60.0,
        connections: int = 8,
        timeout_s: float = 5.0,
    ) -> None:
        self._url = url
        self._consumer = consumer
        self._streams = {priority: f"{prefix}:tickets:{priority}" for priority in PRIORITIES}
        self._claim_after_s = claim_after_s
        self._next_claim = 0.0
        self._timeout_s = timeout_s
        self._rotation = Rotation()
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_timeout=None,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=3),
        )
        self._redis: Redis = Redis(connection_pool=pool)

    async def open(self) -> None:
        """Makes the groups, from the first entry on: a group at `$` would pass over tickets issued before it."""
        async with self._answering():
            for stream in self._streams.values():
                try:
                    await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
                except ResponseError as error:
                    if "BUSYGROUP" not in str(error):
                        raise

    async def close(self) -> None:
        """Disconnects; what was taken stays pending until another process claims it."""
        await self._redis.aclose()

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Appends all in one round trip."""
        if not tickets:
            return
        async with self._answering():
            pipeline = self._redis.pipeline(transaction=False)
            for ticket in tickets:
                pipeline.xadd(self._streams[ticket.priority], {FIELD: ticket.job_id})
            await pipeline.execute()

    async def take(self, *, limit: int, timeout_s: float) -> list[Delivery]:
        """Claims what the dead left when the timer says so, then reads by priority, then waits for either stream."""
        try:
            async with self._answering(extra_s=timeout_s):
                return await self._take(limit, timeout_s)
        except BrokerUnavailable as unavailable:
            # A server that came back empty has neither streams nor group: make them, and the sweeper fills them.
            if "NOGROUP" in str(unavailable.__cause__):
                await self.open()
                return []
            raise

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledged and deleted in one round trip, so that the streams stay as short as the queue is."""
        if not deliveries:
            return
        async with self._answering():
            pipeline = self._redis.pipeline(transaction=False)
            for priority, stream in self._streams.items():
                receipts = [each.receipt for each in deliveries if each.ticket.priority == priority]
                if receipts:
                    pipeline.xack(stream, GROUP, *receipts)
                    pipeline.xdel(stream, *receipts)
            await pipeline.execute()

    async def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Issued anew before the old ones go: a crash between the two repeats a ticket and loses none."""
        await self.publish([delivery.ticket for delivery in deliveries])
        await self.acknowledge(deliveries)

    async def depth(self) -> int:
        """With what was taken and not acknowledged, for that is deleted when it is acknowledged."""
        async with self._answering():
            pipeline = self._redis.pipeline(transaction=False)
            for stream in self._streams.values():
                pipeline.xlen(stream)
            return sum(await pipeline.execute())

    async def is_healthy(self) -> bool:
        """Whether the server answers a ping in time."""
        try:
            async with self._answering():
                await self._redis.ping()
        except BrokerUnavailable:
            return False
        return True

    async def _take(self, limit: int, timeout_s: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        if monotonic() >= self._next_claim:
            self._next_claim = monotonic() + self._claim_after_s / 4
            deliveries += await self._claim(limit)
        order = self._rotation.order()
        for priority in order:
            if len(deliveries) < limit:
                deliveries += await self._read((priority,), limit - len(deliveries), block_ms=None)
        if not deliveries and timeout_s > 0:
            deliveries = await self._read(order, limit, block_ms=max(1, int(timeout_s * 1000)))
        return deliveries

    async def _read(self, priorities: Sequence[str], limit: int, *, block_ms: int | None) -> list[Delivery]:
        names = {self._streams[priority]: ">" for priority in priorities}
        found = await self._redis.xreadgroup(GROUP, self._consumer, cast("Any", names), count=limit, block=block_ms)
        return [
            delivery for stream, entries in cast("Any", found) or () for delivery in self._deliveries(stream, entries)
        ]

    async def _claim(self, limit: int) -> list[Delivery]:
        claimed: list[Delivery] = []
        for stream in self._streams.values():
            answer = cast(
                "Any",
                await cast(
                    "Awaitable[Any]",
                    self._redis.xautoclaim(
                        stream,
                        GROUP,
                        self._consumer,
                        min_idle_time=int(self._claim_after_s * 1000),
                        count=limit,
                    ),
                ),
            )
            claimed += self._deliveries(stream, answer[1])
        return claimed

    def _deliveries(self, stream: bytes | str, entries: Any) -> list[Delivery]:
        name = stream.decode() if isinstance(stream, bytes) else stream
        priority = next(each for each, own in self._streams.items() if own == name)
        # An entry without the field was not written by us: its empty id is unknown to the store, which drops it.
        return [
            Delivery(Ticket((fields or {}).get(FIELD, b"").decode(errors="replace"), priority), receipt.decode())
            for receipt, fields in entries
        ]

    @asynccontextmanager
    async def _answering(self, *, extra_s: float = 0.0) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s + extra_s):
                yield
        except (RedisError, OSError, TimeoutError) as failure:
            raise BrokerUnavailable(
                f"Redis does not answer as a broker: {failure!s}.",
                remedy="Jobs are kept and go on when it is back; check [broker] url and the server.",
            ) from failure
