"""Replicas in threads: what stays on the event loop, and what happens to those that hang."""

import asyncio
import threading
import time
from time import monotonic

import pytest

from headrace import Service, batched
from headrace.errors import DeadlineExceeded, Overloaded
from headrace.serving.context import Context
from headrace.serving.runtimes import threads
from headrace.serving.runtimes.aside import LOOK_EVERY
from headrace.serving.runtimes.threads import ThreadReplicas


class Places(Service):
    """Tells in which thread it answers."""

    release = threading.Event()

    @batched(max_size=8)
    async def quick(self, words: list[str]) -> list[str]:
        return [threading.current_thread().name for _ in words]

    async def awaiting(self, word: str) -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    async def slow(self, word: str) -> str:
        deadline = monotonic() + 0.001
        while monotonic() < deadline:
            pass
        return threading.current_thread().name

    async def hang(self, word: str) -> str:
        self.release.wait(60)
        return word


@pytest.fixture
async def replicas():
    Places.release = threading.Event()
    built = ThreadReplicas(Places, count=1)
    await built.start()
    yield built
    Places.release.set()
    await built.close()


async def places(replicas, method, rounds=40):
    replies = [await replicas.ask(Places.methods[method], "x", Context()) for _ in range(rounds)]
    return [reply.value for reply in replies]


async def test_what_is_learned_to_be_quick_is_answered_on_the_loop(replicas):
    found = await places(replicas, "quick")

    assert found[0] == "replica-0"
    assert "MainThread" in found


@pytest.mark.parametrize("method", ["awaiting", "slow"])
async def test_what_awaits_or_takes_long_never_is(replicas, method):
    assert set(await places(replicas, method)) == {"replica-0"}


async def test_what_came_up_in_one_turn_of_the_loop_shares_calls(replicas):
    await places(replicas, "quick")

    rounds = [
        await asyncio.gather(*(replicas.ask(Places.methods["quick"], "x", Context()) for _ in range(64)))
        for _ in range(20)
    ]

    assert max(reply.batch_size for replies in rounds for reply in replies) > 1


async def test_a_caller_whose_time_runs_out_before_the_loop_comes_to_it_is_told(replicas):
    await places(replicas, "quick")
    loop = asyncio.get_running_loop()

    def ask(within_s: float):
        return asyncio.create_task(
            replicas.ask(Places.methods["quick"], "x", Context(deadline=monotonic() + within_s))
        )  # fmt: skip

    # Questions that have lately come together wait for the end of the loop's turn.
    for _ in range(2 * LOOK_EVERY):
        await asyncio.gather(ask(30), ask(30))
    call = ask(0.002)
    loop.call_soon(time.sleep, 0.01)

    async with asyncio.timeout(30):
        with pytest.raises(DeadlineExceeded):
            await call


async def test_a_quick_question_that_finds_the_replica_busy_has_its_deadline_all_the_same(replicas):
    await places(replicas, "quick")
    hanging = asyncio.create_task(replicas.ask(Places.methods["hang"], "x", Context(deadline=monotonic() + 30)))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(20):
        with pytest.raises(DeadlineExceeded):
            await replicas.ask(Places.methods["quick"], "x", Context(deadline=monotonic() + 0.05))
        Places.release.set()
        assert (await hanging).value == "x"


async def test_a_quick_question_that_comes_alone_is_answered_within_its_own_turn(replicas):
    await places(replicas, "quick")

    def is_answered_at_once() -> bool:
        asking = replicas.ask(Places.methods["quick"], "x", Context(deadline=monotonic() + 30))
        try:
            asking.send(None)
        except StopIteration as ended:
            return bool(ended.value.batch_size == 1)
        asking.close()
        return False

    at_once = []
    for _ in range(3 * LOOK_EVERY):
        at_once.append(is_answered_at_once())
        await asyncio.sleep(0)

    assert LOOK_EVERY < at_once.count(True) < len(at_once)


@pytest.mark.parametrize(("wall_s", "computed_s", "cost_s"), [(0.1, 0.05, 0.05), (0.1, 0.001, 0.1)])
def test_what_computes_costs_its_time_on_a_core_and_what_waits_all_of_its_time(wall_s, computed_s, cost_s):
    assert threads._cost_s(wall_s, computed_s) == cost_s


async def test_a_replica_that_hangs_is_replaced_and_the_next_caller_answered(replicas, monkeypatch):
    monkeypatch.setattr(threads, "GRACE_S", 0.02)

    with pytest.raises(DeadlineExceeded):
        await replicas.ask(Places.methods["hang"], "x", Context(deadline=monotonic() + 0.05))
    reply = await replicas.ask(Places.methods["awaiting"], "x", Context(deadline=monotonic() + 30))

    assert reply.value == "replica-0"
    assert replicas.health().restarts == 1


async def test_when_too_many_hang_health_says_so_and_no_more_threads_are_raised(replicas, monkeypatch):
    monkeypatch.setattr(threads, "GRACE_S", 0.02)

    async with asyncio.timeout(30):
        while "hang" not in replicas.health().detail:
            with pytest.raises((DeadlineExceeded, Overloaded)):
                await replicas.ask(Places.methods["hang"], "x", Context(deadline=monotonic() + 0.05))
            await asyncio.sleep(0.05)

    assert replicas.health().restarts == 1
