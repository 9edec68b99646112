"""What a client of RabbitMQ makes of a server, or a way to it, that stops at any moment."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from pamqp import commands, frame
from proxies import Proxy, proxy_to
from servers import server_url

from headrace.jobs.broker import Broker, BrokerUnavailable, Ticket
from headrace.jobs.brokers import rabbitmq
from headrace.jobs.brokers.frames import acknowledged
from headrace.jobs.brokers.rabbitmq import RabbitBroker

__all__ = ["server_url"]

DEADLINE_S = 30
TIMEOUT_S = 1.0
TICKET = [Ticket("job_1", "interactive")]


@pytest.fixture
async def way(server_url) -> AsyncIterator[tuple[Proxy, RabbitBroker]]:
    """A broker whose server is at the other end of a proxy."""
    url, prefix = server_url("rabbitmq"), f"headrace-test-{uuid4().hex[:8]}"
    async with proxy_to(urlsplit(url).port) as (proxy, port):
        broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{port}/", prefix=prefix, timeout_s=TIMEOUT_S)
        yield proxy, broker
        await broker.close()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in ("tickets.interactive", "tickets.batch", "dead"):
            await channel.queue_delete(f"{prefix}.{name}")
        await channel.exchange_delete(f"{prefix}.dead")


async def published(broker: Broker) -> None:
    """Again and again, as a relay does."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await broker.publish(TICKET)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def taken(broker: Broker) -> list[str]:
    """The first that come, as a worker takes them."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                if deliveries := await broker.take(limit=8, timeout_s=0.2):
                    return [each.ticket.job_id for each in deliveries]
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def test_who_waits_when_the_connection_is_closed_beside_him_is_told_and_not_cancelled(way):
    proxy, broker = way
    await broker.open()
    proxy.hold()
    waiting = asyncio.create_task(broker.depth())
    await asyncio.wait_for(proxy.holds.wait(), DEADLINE_S)

    await broker.close()

    with pytest.raises(BrokerUnavailable):
        await asyncio.wait_for(asyncio.shield(waiting), DEADLINE_S)


async def test_who_is_cancelled_while_he_waits_is_cancelled(way):
    proxy, broker = way
    await broker.open()
    proxy.hold()
    waiting = asyncio.create_task(broker.depth())
    await asyncio.wait_for(proxy.holds.wait(), DEADLINE_S)

    waiting.cancel()

    await asyncio.wait({waiting}, timeout=DEADLINE_S)
    assert waiting.cancelled()


async def test_what_a_line_was_brought_that_was_given_up_is_brought_again(way, monkeypatch):
    monkeypatch.setattr(rabbitmq, "AGAIN_S", 0.1)
    proxy, broker = way
    await published(broker)
    # The server takes the consumer and brings the ticket, but neither is heard of in time.
    proxy.hold()
    with pytest.raises(BrokerUnavailable):
        await broker.take(limit=1, timeout_s=0.2)

    proxy.release()

    assert await taken(broker) == ["job_1"]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
async def test_a_way_that_is_cut_or_stops_anywhere_is_left_and_work_goes_on(way, share):
    proxy, broker = way
    await published(broker)
    await taken(broker)
    await broker.close()
    whole, proxy.said = proxy.said, 0
    proxy.hold_from = round(whole * share)

    tasks = asyncio.create_task(published(broker)), asyncio.create_task(taken(broker))
    await asyncio.wait_for(proxy.holds.wait(), DEADLINE_S)
    proxy.cut()
    proxy.release()

    await asyncio.wait_for(tasks[0], DEADLINE_S)
    assert set(await asyncio.wait_for(tasks[1], DEADLINE_S)) == {"job_1"}


async def test_a_server_that_takes_no_messages_is_said_to_and_why(way):
    proxy, broker = way
    await broker.open()
    proxy.hold()
    proxy.say(frame.marshal(commands.Connection.Blocked("low on disk"), 0))

    with pytest.raises(BrokerUnavailable, match="it takes no messages, for it is low on disk"):
        await broker.publish(TICKET)


async def test_a_server_that_takes_messages_again_is_no_longer_said_not_to(way):
    proxy, broker = way
    await broker.open()
    proxy.hold()
    for news in (commands.Connection.Blocked("low on disk"), commands.Connection.Unblocked()):
        proxy.say(frame.marshal(news, 0))

    with pytest.raises(BrokerUnavailable, match="no answer within 1 s"):
        await broker.publish(TICKET)


async def test_a_server_that_stops_is_left_soon(way):
    proxy, broker = way
    await broker.open()
    proxy.hold()

    async with asyncio.timeout(DEADLINE_S):
        await broker.close()

    assert not await broker.is_healthy()


async def test_a_line_whose_channel_the_server_ended_is_listened_to_anew(way):
    _, broker = way
    await published(broker)
    await taken(broker)
    line = broker._lines["interactive"]
    # It closes the channel over a message that it has not brought.
    await line._send(acknowledged(line._channel.number, [999]))
    async with asyncio.timeout(DEADLINE_S):
        while not line._channel.is_closed:
            await asyncio.sleep(0.01)

    await published(broker)

    assert "job_1" in await taken(broker)


async def test_a_server_that_reads_nothing_is_left_soon_with_much_unsent(way):
    proxy, broker = way
    await broker.open()
    proxy.is_deaf = True
    with pytest.raises(BrokerUnavailable):
        await broker.publish(TICKET * 200_000)

    await asyncio.wait_for(broker.close(), 5 * TIMEOUT_S)
