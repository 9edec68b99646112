"""The broker promise, held against every keeper that is a server of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import uuid4

import aio_pika
import pytest
from redis.asyncio import Redis
from stores import emptied

from headrace.domain.job import Job
from headrace.domain.stores import JobSubmission
from headrace.jobs.broker import Broker, BrokerUnavailable, Delivery, Ticket
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.brokers.rabbitmq import RabbitBroker
from headrace.jobs.brokers.redis import RedisBroker
from headrace.jobs.job_queue import utc_now
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

DEADLINE_S = 10


class EmbeddedInTests(EmbeddedBroker):
    """Tickets are issued by submitting their jobs, for the table of jobs is all there is."""

    def __init__(self, store: SqlJobs) -> None:
        super().__init__(store)
        self.store = store

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            now = utc_now()
            job = Job(ticket.job_id, "p/e", "sha256:0", "sha256:1", now, now, priority=ticket.priority)
            await self.store.add(JobSubmission(job, b""))


@pytest.fixture(params=["sqlite", "postgres", "redis", "rabbitmq"])
async def new_broker(request, server_url) -> AsyncIterator[Callable[[str], Broker]]:
    """Makes brokers that share one set of queues of their own; all of it is gone afterwards."""
    if request.param in {"sqlite", "postgres"}:
        async for new_embedded in _embedded(request):
            yield new_embedded
        return
    url, prefix = server_url(request.param), f"headrace-test-{uuid4().hex[:8]}"
    made: list[Broker] = []

    def new(consumer: str) -> Broker:
        broker: Broker = (
            RedisBroker(url, consumer=consumer, prefix=prefix, claim_after_s=0.1)
            if request.param == "redis"
            else RabbitBroker(url, prefix=prefix)
        )
        made.append(broker)
        return broker

    yield new
    for broker in made:
        await broker.close()
    await (_forget_redis(url, prefix) if request.param == "redis" else _forget_rabbit(url, prefix))


async def _embedded(request) -> AsyncIterator[Callable[[str], Broker]]:
    """Brokers of one table, each with a store of its own as in another process."""
    url = f"sqlite:///{request.getfixturevalue('tmp_path')}/headrace.db"
    if request.param == "postgres":
        emptied(url := request.getfixturevalue("postgres_url"))
    made: list[EmbeddedInTests] = []

    def new(_consumer: str) -> Broker:
        made.append(EmbeddedInTests(SqlJobs(opened_database(url))))
        return made[-1]

    yield new
    for broker in made:
        await broker.close()
        await broker.store.close()


async def _forget_redis(url: str, prefix: str) -> None:
    async with Redis.from_url(url) as redis:
        for key in [key async for key in redis.scan_iter(f"{prefix}:*")]:
            await redis.delete(key)


async def _forget_rabbit(url: str, prefix: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in ("tickets.interactive", "tickets.batch", "dead"):
            await channel.queue_delete(f"{prefix}.{name}")
        await channel.exchange_delete(f"{prefix}.dead")


def tickets(*names: str, priority: str = "interactive") -> list[Ticket]:
    return [Ticket(name, priority) for name in names]


async def taken(broker: Broker, count: int) -> list[Delivery]:
    """`count` deliveries, however many takes they need."""
    found: list[Delivery] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            found += await broker.take(limit=count - len(found), timeout_s=1)
    return found


def names(deliveries: list[Delivery]) -> list[str]:
    return [delivery.ticket.job_id for delivery in deliveries]


async def test_what_is_published_is_taken_in_order(new_broker):
    broker = new_broker("a")
    await broker.open()

    await broker.publish(tickets("job_1", "job_2", "job_3"))

    assert names(await taken(broker, 3)) == ["job_1", "job_2", "job_3"]


async def test_a_ticket_issued_before_any_worker_lived_is_taken(new_broker):
    submitter, worker = new_broker("submitter"), new_broker("worker")
    await submitter.open()
    await submitter.publish(tickets("job_1"))

    await worker.open()

    assert names(await taken(worker, 1)) == ["job_1"]


async def test_an_acknowledged_ticket_is_not_brought_again(new_broker):
    broker = new_broker("a")
    await broker.open()
    await broker.publish(tickets("job_1"))
    await broker.acknowledge(await taken(broker, 1))
    await broker.close()

    other = new_broker("b")
    await other.open()

    assert await other.take(limit=1, timeout_s=0.5) == []


async def test_what_a_dead_worker_held_is_brought_to_another(new_broker):
    dead, alive = new_broker("dead"), new_broker("alive")
    await dead.open()
    await dead.publish(tickets("job_1"))
    await taken(dead, 1)
    await dead.close()

    await alive.open()

    assert names(await taken(alive, 1)) == ["job_1"]


async def test_what_is_handed_back_is_brought_again(new_broker):
    broker = new_broker("a")
    await broker.open()
    await broker.publish(tickets("job_1"))

    await broker.hand_back(await taken(broker, 1))

    assert names(await taken(broker, 1)) == ["job_1"]


async def test_interactive_goes_before_batch_and_batch_does_not_starve(new_broker):
    broker = new_broker("a")
    await broker.open()
    await broker.publish(tickets(*(f"job_b{n}" for n in range(5)), priority="batch"))
    await broker.publish(tickets(*(f"job_i{n}" for n in range(40))))
    await taken_all_arrived(broker)

    order = []
    for _ in range(40):
        order += names(await taken(broker, 1))

    assert order[0].startswith("job_i")
    assert 1 <= sum(name.startswith("job_b") for name in order[:30]) <= 6


async def taken_all_arrived(broker: Broker) -> None:
    """Puts one delivery back, by which a pushing broker has had the time to push the rest."""
    await broker.hand_back(await taken(broker, 1))
    async with asyncio.timeout(DEADLINE_S):
        while isinstance(broker, RabbitBroker) and not all(line.arrived for line in broker._lines.values()):
            await asyncio.sleep(0.01)


async def test_taking_waits_for_a_ticket_and_wakes_when_it_comes(new_broker):
    worker, submitter = new_broker("worker"), new_broker("submitter")
    await worker.open()
    await submitter.open()

    waiting = asyncio.create_task(worker.take(limit=1, timeout_s=DEADLINE_S))
    await submitter.publish(tickets("job_1", priority="batch"))

    assert names(await asyncio.wait_for(waiting, DEADLINE_S)) == ["job_1"]


async def test_two_workers_never_share_a_delivery(new_broker):
    one, two = new_broker("one"), new_broker("two")
    await one.open()
    await two.open()
    await one.publish(tickets(*(f"job_{n}" for n in range(20))))

    first, second = await asyncio.gather(one.take(limit=20, timeout_s=2), two.take(limit=20, timeout_s=2))

    assert set(names(first)).isdisjoint(names(second))


async def test_the_depth_tells_an_empty_broker_from_one_with_tickets(new_broker):
    broker = new_broker("a")
    await broker.open()
    before = await broker.depth()
    await broker.publish(tickets("job_1"))

    async with asyncio.timeout(DEADLINE_S):
        while await broker.depth() == 0:
            await asyncio.sleep(0.05)

    assert before == 0


async def test_a_healthy_server_is_said_to_be_healthy(new_broker):
    broker = new_broker("a")
    await broker.open()

    assert await broker.is_healthy()


@pytest.mark.parametrize(
    "broker",
    [
        RedisBroker("redis://127.0.0.1:1/0", consumer="a", timeout_s=1),
        RabbitBroker("amqp://guest:guest@127.0.0.1:1/", timeout_s=1),
    ],
    ids=["redis", "rabbitmq"],
)
async def test_a_server_that_is_away_is_named_with_a_remedy(broker: Broker):
    with pytest.raises(BrokerUnavailable, match=r"\[broker\] url"):
        await broker.open()
    assert not await broker.is_healthy()


async def test_a_redis_that_lost_everything_is_made_anew(server_url):
    url, prefix = server_url("redis"), f"headrace-test-{uuid4().hex[:8]}"
    broker = RedisBroker(url, consumer="a", prefix=prefix)
    await broker.open()
    await broker.publish(tickets("job_1"))
    await _forget_redis(url, prefix)

    assert await broker.take(limit=1, timeout_s=0.1) == []
    await broker.publish(tickets("job_2"))

    assert names(await taken(broker, 1)) == ["job_2"]
    await broker.close()
    await _forget_redis(url, prefix)


async def test_a_rabbitmq_that_lost_its_queues_is_made_anew(server_url):
    url, prefix = server_url("rabbitmq"), f"headrace-test-{uuid4().hex[:8]}"
    broker = RabbitBroker(url, prefix=prefix)
    await broker.open()
    await broker.take(limit=1, timeout_s=0)
    await _forget_rabbit(url, prefix)

    async with asyncio.timeout(30):
        while True:
            try:
                await broker.publish(tickets("job_1"))
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.1)

    assert names(await taken(broker, 1)) == ["job_1"]
    await broker.close()
    await _forget_rabbit(url, prefix)
