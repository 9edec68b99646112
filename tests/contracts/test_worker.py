"""What workers keep, over every pair of store and broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import aio_pika
import pytest
from redis.asyncio import Redis
from stores import emptied

from headrace.domain.job import AttemptOutcome, Job, JobState, RetryPolicy
from headrace.errors import GiveUp, Overloaded, Retry, ServiceFailed
from headrace.jobs.attempt import JobAnswer, LeftToOthers, Work
from headrace.jobs.broker import Broker, BrokerUnavailable, Ticket
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.brokers.enduring import EnduringBroker
from headrace.jobs.brokers.rabbitmq import RabbitBroker
from headrace.jobs.brokers.redis import RedisBroker
from headrace.jobs.job_queue import INLINE_BYTES, JobQueue, Question, utc_now
from headrace.jobs.pace import Pace
from headrace.jobs.relay import Relay
from headrace.jobs.sweeper import Sweeper
from headrace.jobs.worker import LARGE_RESULT_BYTES, Worker, WorkerRules
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

DEADLINE_S = 40
POLICY = RetryPolicy(attempts_allowed=3, first_wait_s=0.05)
RULES = WorkerRules(lease_s=5.0, drain_s=0.2, policy=POLICY)
PAIRS = [
    ("sqlite://", "embedded"),
    ("sqlite", "embedded"),
    ("postgres", "embedded"),
    ("sqlite", "redis"),
    ("postgres", "rabbitmq"),
]


class Mill:
    """A store, a broker, and as many workers as a test starts."""

    def __init__(self, url: str, broker: str, server: str, folder: str) -> None:
        self.url = url
        self.store = SqlJobs(opened_database(url))
        self.artifacts = opened_artifacts(f"{folder}/artifacts")
        self.queue = JobQueue(self.store, self.artifacts)
        self.kind, self.server, self.prefix = broker, server, f"headrace-test-{uuid4().hex[:8]}"

    def broker(self) -> Broker:
        if self.kind == "redis":
            return RedisBroker(self.server, consumer=uuid4().hex, prefix=self.prefix, claim_after_s=0.5)
        if self.kind == "rabbitmq":
            return RabbitBroker(self.server, prefix=self.prefix)
        return EmbeddedBroker(self.store, ticket_s=5.0)

    async def submit(self, content: bytes = b"input", **changes: object) -> Job:
        return await self.queue.submit(Question("p/e", "sha256:1", content=content, **changes))

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        if self.kind == "embedded":
            yield
            return
        broker = self.broker()
        task = asyncio.create_task(Relay(self.store, broker, lost_after_s=0.5).run())
        try:
            yield
        finally:
            await ended(task)
            await broker.close()

    @asynccontextmanager
    async def working(self, answer, *, at_once: int = 4, name: str = "worker", rules: WorkerRules = RULES):
        async with self.relaying():
            worker = self.worker(answer, at_once=at_once, name=name, rules=rules)
            task = asyncio.create_task(worker.run())
            try:
                yield worker
            finally:
                await ended(task)

    def worker(self, answer, *, at_once: int = 4, name: str = "worker", rules: WorkerRules = RULES) -> Worker:
        pace = Pace(least=at_once, most=at_once, first=at_once)
        return Worker(self.store, self.broker(), self.artifacts, answer, pace=pace, rules=rules, name=name)

    async def end_of(self, job: Job) -> Job:
        found = await self.queue.wait(job.id, timeout_s=DEADLINE_S)
        assert found.state.is_final, found
        return found


async def ended(task: asyncio.Task) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(params=PAIRS, ids=["-".join(pair).replace("sqlite://", "memory") for pair in PAIRS])
async def mill(request, server_url, tmp_path):
    store, broker = request.param
    url = f"sqlite:///{tmp_path}/headrace.db" if store == "sqlite" else store
    if store == "postgres":
        emptied(url := request.getfixturevalue("postgres_url"))
    server = "" if broker == "embedded" else server_url(broker)
    mill = Mill(url, broker, server, str(tmp_path))
    yield mill
    await mill.store.close()
    if broker == "redis":
        async with Redis.from_url(server) as redis:
            for key in [key async for key in redis.scan_iter(f"{mill.prefix}:*")]:
                await redis.delete(key)
    elif broker == "rabbitmq":
        await forget_rabbit(server, mill.prefix)


async def forget_rabbit(server: str, prefix: str) -> None:
    async with await aio_pika.connect(server) as connection:
        channel = await connection.channel()
        for name in ("tickets.interactive", "tickets.batch", "dead"):
            await channel.queue_delete(f"{prefix}.{name}")
        await channel.exchange_delete(f"{prefix}.dead")


async def echo(work: Work) -> JobAnswer:
    return JobAnswer(work.content, decision_id=f"dec_{work.job.id}")


async def test_every_job_is_answered_once(mill):
    jobs = [await mill.submit(f"input {n}".encode(), priority=("interactive", "batch")[n % 2]) for n in range(20)]

    async with mill.working(echo):
        ends = [await mill.end_of(job) for job in jobs]

    assert {job.state for job in ends} == {JobState.SUCCEEDED}
    assert {len(job.attempts) for job in ends} == {1}
    assert [(await mill.queue.result(job.id)).body for job in jobs] == [f"input {n}".encode() for n in range(20)]
    assert await mill.store.figures(now=utc_now()) == []


async def test_large_inputs_and_results_pass_through_the_artifacts(mill):
    content = b"x" * (max(INLINE_BYTES, LARGE_RESULT_BYTES) + 1)
    job = await mill.submit(content)

    async with mill.working(echo):
        await mill.end_of(job)

    assert (await mill.queue.result(job.id)).digest == job.input_digest
    assert (await mill.queue.result(job.id)).body == content


async def test_an_error_that_may_pass_is_tried_again_and_another_is_not(mill):
    async def answer(work: Work) -> JobAnswer:
        if work.content == b"hopeless":
            raise GiveUp("No further attempt will help.")
        if work.number == 1:
            raise Retry("The model slept.")
        return JobAnswer(b"awake")

    again, never = await mill.submit(b"sleepy"), await mill.submit(b"hopeless")
    async with mill.working(answer):
        again, never = await mill.end_of(again), await mill.end_of(never)

    assert (again.state, len(again.attempts)) == (JobState.SUCCEEDED, 2)
    assert (never.state, never.error.code, len(never.attempts)) == (JobState.FAILED, "give_up", 1)


async def test_the_text_of_a_foreign_error_is_not_told(mill):
    async def answer(_work: Work) -> JobAnswer:
        raise ValueError("password")

    job = await mill.submit()
    async with mill.working(answer):
        job = await mill.end_of(job)

    assert "ValueError" in job.error.detail
    assert "password" not in job.error.detail


async def test_a_job_that_finds_no_room_loses_nothing(mill):
    turns = iter([Overloaded("Full.", retry_after_s=0.05)] * 5)

    async def answer(_work: Work) -> JobAnswer:
        for refusal in turns:
            raise refusal
        return JobAnswer(b"in")

    job = await mill.submit()
    async with mill.working(answer):
        job = await mill.end_of(job)

    assert job.state is JobState.SUCCEEDED
    assert job.ended_as(AttemptOutcome.FAILED) == 0


async def test_what_another_worker_alone_can_answer_is_left_to_it(mill):
    async def newer(_work: Work) -> JobAnswer:
        raise LeftToOthers("It is of an older release.", wait_s=0.05)

    async def older(work: Work) -> JobAnswer:
        return JobAnswer(work.job.release.encode())

    jobs = [await mill.submit(f"input {n}".encode()) for n in range(8)]
    async with mill.working(newer, name="newer"), mill.working(older, name="older"):
        ends = [await mill.end_of(job) for job in jobs]

    assert {(job.state, job.error) for job in ends} == {(JobState.SUCCEEDED, None)}
    outcomes = {(each.worker.partition(":")[0], each.outcome) for job in ends for each in job.attempts}
    assert outcomes <= {("newer", AttemptOutcome.HANDED_BACK), ("older", AttemptOutcome.SUCCEEDED)}
    assert {(await mill.queue.result(job.id)).body for job in jobs} == {b"sha256:1"}


async def test_a_job_that_is_bound_anew_is_answered_whole_and_uses_no_earlier_checkpoint(mill):
    found = []

    async def answer(work: Work) -> JobAnswer:
        if work.number == 1:
            work.checkpoints.save("sha256:1", "page 1", b"of the first release")
            while not await mill.store.checkpoints(work.job.input_digest):
                await asyncio.sleep(0.01)
            raise Retry("The model slept.")
        await work.rebind("sha256:2")
        found.append(work.checkpoints.find("sha256:2", "page 1"))
        return JobAnswer(b"done")

    job = await mill.submit()
    async with mill.working(answer):
        job = await mill.end_of(job)

    assert (job.state, job.release, found) == (JobState.SUCCEEDED, "sha256:2", [None])
    told = [(each.kind, json.loads(each.data).get("release")) for each in await mill.queue.events(job.id)]
    assert [each for each in told if each[1]] == [("release", {"from": "sha256:1", "to": "sha256:2"})]


async def test_a_running_job_is_cancelled(mill):
    begun, was_stopped = asyncio.Event(), asyncio.Event()

    async def answer(_work: Work) -> JobAnswer:
        begun.set()
        try:
            await asyncio.sleep(DEADLINE_S)
        finally:
            was_stopped.set()
        return JobAnswer(b"too late")

    job = await mill.submit()
    async with mill.working(answer):
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        await mill.queue.cancel(job.id)
        job = await mill.end_of(job)

    assert was_stopped.is_set()
    assert (job.state, job.attempts[0].outcome) == (JobState.CANCELLED, AttemptOutcome.CANCELLED)
    assert await mill.store.result(job.id) is None


async def test_an_attempt_that_was_taken_over_is_not_heard(mill):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(work: Work) -> JobAnswer:
        if work.number == 1:
            begun.set()
            # Not to be stopped from outside, like a worker whose network is away.
            await asyncio.shield(go_on.wait())
        return JobAnswer(f"attempt {work.number}".encode())

    job = await mill.submit()
    async with mill.working(answer):
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        await mill.store.lapse(job.id, 1, now=utc_now(), policy=POLICY, alone=False)
        job = await mill.end_of(job)
        go_on.set()

    assert (await mill.queue.result(job.id)).body == b"attempt 2"
    assert [each.outcome for each in job.attempts] == [AttemptOutcome.LAPSED_INNOCENT, AttemptOutcome.SUCCEEDED]


async def test_a_worker_that_stops_hands_back_what_it_cannot_finish(mill):
    begun = asyncio.Event()

    async def slow(_work: Work) -> JobAnswer:
        begun.set()
        await asyncio.sleep(DEADLINE_S)
        return JobAnswer(b"never")

    job = await mill.submit()
    async with mill.working(slow):
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
    async with mill.working(echo):
        job = await mill.end_of(job)

    assert [each.outcome for each in job.attempts] == [AttemptOutcome.HANDED_BACK, AttemptOutcome.SUCCEEDED]


async def test_two_workers_of_one_name_share_the_work_and_nothing_else(mill):
    runs: list[str] = []

    async def answer(work: Work) -> JobAnswer:
        runs.append(work.job.id)
        await asyncio.sleep(0.01)
        return JobAnswer(b"{}")

    jobs = [await mill.submit() for _ in range(30)]
    async with mill.working(answer, name="twin"), mill.working(answer, name="twin"):
        for job in jobs:
            await mill.end_of(job)

    assert sorted(runs) == sorted(job.id for job in jobs)


async def test_a_ticket_that_names_no_job_is_passed_over(mill):
    if mill.kind == "embedded":
        pytest.skip("The table of jobs has no tickets but those of jobs.")
    broker = mill.broker()
    await broker.open()
    await broker.publish([Ticket("job_none", "interactive"), Ticket("\x00'; drop table jobs", "interactive")])
    job = await mill.submit()

    async with mill.working(echo):
        await mill.end_of(job)
        async with asyncio.timeout(DEADLINE_S):
            while await broker.depth():
                await asyncio.sleep(0.05)
    await broker.close()


async def test_a_ticket_that_comes_twice_leads_to_one_answer(mill):
    job = await mill.submit()
    broker = mill.broker()
    await broker.open()
    await broker.publish([Ticket(job.id, "interactive")] * 3)

    async with mill.working(echo):
        job = await mill.end_of(job)
    await broker.close()

    assert len(job.attempts) == 1


class CancellingBroker(EmbeddedBroker):
    """Cancels who acknowledges first, as a library may that ends its own tasks."""

    has_cancelled = False

    async def acknowledge(self, _deliveries) -> None:
        if not self.has_cancelled:
            self.has_cancelled = True
            raise asyncio.CancelledError


@pytest.mark.parametrize("mill", PAIRS[:1], indirect=True)
async def test_a_worker_of_which_a_part_ended_drains_and_fails_and_does_not_live_on(mill):
    mill.broker = lambda: CancellingBroker(mill.store)
    job = await mill.submit()

    with pytest.raises(ServiceFailed, match="A part of the worker ended by itself"):
        await asyncio.wait_for(mill.worker(echo).run(), DEADLINE_S)

    assert (await mill.queue.look_up(job.id)).state is JobState.SUCCEEDED


async def test_progress_is_told_as_it_comes_and_never_falls(mill):
    go_on = asyncio.Event()

    async def answer(work: Work) -> JobAnswer:
        work.report("extract", 2, 4)
        work.report("extract", 1, 4)
        await go_on.wait()
        return JobAnswer(b"{}")

    job = await mill.submit()
    async with mill.working(answer):
        async with asyncio.timeout(DEADLINE_S):
            async for event in mill.queue.watch(job.id, after=1):
                if event is not None and event.kind == "progress":
                    break
        found = await mill.queue.look_up(job.id)
        go_on.set()
        await mill.end_of(job)

    assert (found.progress.stage, found.progress.done, found.progress.total) == ("extract", 1, 4)
    assert found.progress.fraction == pytest.approx(0.95 / 2)


async def test_the_next_attempt_goes_on_from_what_was_finished(mill):
    computed: list[int] = []

    async def answer(work: Work) -> JobAnswer:
        for page in (1, 2, 3):
            if work.checkpoints.find("sha256:1", f"page {page}") is None:
                computed.append(page)
                work.checkpoints.save("sha256:1", f"page {page}", b"text")
                if page == 2 and work.number == 1:
                    await kept(mill, work.job.input_digest, 2)
                    raise Retry("Again.")
        return JobAnswer(b"{}")

    job = await mill.submit()
    async with mill.working(answer):
        await mill.end_of(job)

    assert computed == [1, 2, 3]


async def kept(mill, digest: str, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while len(await mill.store.checkpoints(digest)) < count:
            await asyncio.sleep(0.01)


async def test_a_job_of_a_silent_worker_goes_round_and_then_runs_alone(mill):
    alone: list[bool] = []
    running: list[str] = []

    async def answer(work: Work) -> JobAnswer:
        running.append(work.job.id)
        if work.job.isolated:
            alone.append(len(running) == 1)
        await asyncio.sleep(0.05)
        running.remove(work.job.id)
        return JobAnswer(b"{}")

    job = await mill.submit()
    await mill.store.begin([job.id], worker="dead", now=utc_now(), lease_s=30)
    sweeper = Sweeper(mill.store, lease_s=0.2, policy=POLICY)
    await sweeper.sweep()
    await asyncio.sleep(0.3)
    assert [each.id for each in await sweeper.sweep()] == [job.id]
    others = [await mill.submit() for _ in range(8)]
    async with mill.working(answer):
        for each in (job, *others):
            await mill.end_of(each)

    assert alone == [True]


async def test_a_sweeper_leaves_a_worker_that_beats_alone(mill):
    job = await mill.submit()
    await mill.store.begin([job.id], worker="alive", now=utc_now(), lease_s=30)
    sweeper = Sweeper(mill.store, lease_s=0.2, policy=POLICY)

    for _ in range(5):
        await sweeper.sweep()
        await asyncio.sleep(0.1)
        await mill.store.hold([(job.id, 1)], now=utc_now(), lease_s=30)

    assert (await mill.queue.look_up(job.id)).state is JobState.RUNNING


async def test_what_a_broker_lost_is_issued_again(mill):
    if mill.kind == "embedded":
        pytest.skip("The table of jobs is the broker.")
    jobs = [await mill.submit() for _ in range(3)]
    lossy = mill.broker()
    await lossy.open()
    # Taken off the outbox, and never published.
    await mill.store.issue(["interactive"], limit=9, now=utc_now(), ticket_s=3600)
    await lossy.close()

    async with mill.working(echo):
        for job in jobs:
            await mill.end_of(job)


async def test_a_broker_that_is_away_delays_jobs_and_loses_none(mill):
    job = await mill.submit()
    broker = Flaky(mill.broker() if mill.kind != "embedded" else EmbeddedBroker(mill.store))
    worker = Worker(mill.store, broker, mill.artifacts, echo, pace=Pace(least=1, most=1, first=1), rules=RULES)
    async with mill.relaying():
        task = asyncio.create_task(worker.run())
        await mill.end_of(job)
        await ended(task)

    assert broker.refusals == 3


class Flaky(Broker):
    """A broker that does not answer its first three calls."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.refusals = 0

    async def take(self, *, limit, timeout_s):
        if self.refusals < 3:
            self.refusals += 1
            raise BrokerUnavailable("Away.")
        return await self._broker.take(limit=limit, timeout_s=timeout_s)

    async def acknowledge(self, deliveries):
        await self._broker.acknowledge(deliveries)

    async def hand_back(self, deliveries):
        await self._broker.hand_back(deliveries)

    async def close(self):
        await self._broker.close()


@pytest.mark.parametrize("mill", PAIRS[3:], indirect=True, ids=["sqlite-redis", "postgres-rabbitmq"])
@pytest.mark.parametrize("is_away", [False, True], ids=["silent", "away"])
async def test_what_is_overdue_is_taken_from_the_store_while_the_broker_brings_nothing(mill, is_away):
    # Nobody listens at port 1; and no relay hands tickets to the other.
    server, mill.server = mill.server, f"{mill.server.partition(':')[0]}://127.0.0.1:1/" if is_away else mill.server
    broker, told = mill.broker(), []
    enduring = EnduringBroker(broker, mill.store, ticket_s=5.0, after_s=0.3, on_overdue=told.append)
    jobs = [await mill.submit(f"grain {number}".encode()) for number in range(12)]
    pace = Pace(least=4, most=4, first=4)
    worker = Worker(mill.store, enduring, mill.artifacts, echo, pace=pace, rules=RULES)

    task = asyncio.create_task(worker.run())
    try:
        found = [await mill.end_of(job) for job in jobs]
    finally:
        await ended(task)
        mill.server = server

    assert [job.state for job in found] == [JobState.SUCCEEDED] * 12
    assert {len(job.attempts) for job in found} == {1}
    assert told
    assert told[0] >= 0.3


@pytest.mark.parametrize("mill", PAIRS[3:], indirect=True, ids=["sqlite-redis", "postgres-rabbitmq"])
async def test_the_broker_is_asked_again_once_nothing_is_overdue(mill):
    told: list[float] = []
    enduring = EnduringBroker(mill.broker(), mill.store, ticket_s=5.0, after_s=0.3, on_overdue=told.append)
    worker = Worker(mill.store, enduring, mill.artifacts, echo, pace=Pace(least=4, most=4, first=4), rules=RULES)
    first = await mill.submit(b"while nobody hands tickets out")
    task = asyncio.create_task(worker.run())
    try:
        await mill.end_of(first)
        async with mill.relaying():
            second = [await mill.end_of(await mill.submit(f"grain {number}".encode())) for number in range(5)]
    finally:
        await ended(task)

    assert len(told) == 1
    assert {len(job.attempts) for job in second} == {1}
