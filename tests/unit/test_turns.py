"""Turns: how many compute at once over several processes, what the dead give back, and what waits for no turn."""

import asyncio
import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager
from time import monotonic
from typing import ClassVar

import pytest

from headrace import Service, batched
from headrace.errors import DeadlineExceeded, Overloaded
from headrace.serving.admission import Admission
from headrace.serving.concurrency_limit import ConcurrencyLimit
from headrace.serving.context import Context, Priority
from headrace.serving.runtimes import threads, turnstile
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.turns import SPARE, Turns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Turns are those of Linux.")

LONG_S = 30.0


@pytest.fixture
def turns():
    found = Turns(cores=1)
    yield found
    found.close()


@contextmanager
def another_process(work):
    """Forks one that does `work`, says so, and sleeps; killed by SIGKILL at the end."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        work()
        os.write(writable, b"1")
        time.sleep(LONG_S)
        os._exit(0)
    try:
        assert os.read(readable, 1) == b"1"
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(readable)
        os.close(writable)


def taken(turns, most=10):
    """How many turns are free; they are taken."""
    return sum(turns.take(within_s=0.0) for _ in range(most))


def test_there_is_a_turn_for_each_core_and_one_to_spare_over_all_processes(turns):
    with another_process(lambda: turns.take(within_s=LONG_S)):
        assert taken(turns) == SPARE


def test_a_process_that_is_killed_gives_back_its_turns_and_what_was_due(turns):
    def work():
        taken(turns)
        turns.owe(3.0)

    with another_process(work):
        assert taken(turns) == 0
        assert turns.wait_s == 3.0

    assert taken(turns) == 1 + SPARE
    assert turns.wait_s == 0.0


def test_whoever_asked_first_has_the_next_turn(turns):
    taken(turns)
    order, ends = [], monotonic() + LONG_S

    def wait(number):
        assert turns.take(within_s=LONG_S)
        order.append(number)
        turns.give_back()

    others = [threading.Thread(target=wait, args=(number,)) for number in range(4)]
    for number, other in enumerate(others):
        other.start()
        while len(turns.waiting) <= number:
            assert monotonic() < ends
            time.sleep(0.001)
    turns.give_back()
    for other in others:
        other.join(LONG_S)

    assert order == [0, 1, 2, 3]


def waits(turns, since):
    """Forks a process that waits for a turn of a question that came at `since`, and holds it once it has one."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writable, b"1" if turns.take(within_s=LONG_S, since=since) else b"0")
        time.sleep(LONG_S)
        os._exit(0)
    os.close(writable)
    ends = monotonic() + LONG_S
    while since not in turns.waiting:
        assert monotonic() < ends
        time.sleep(0.001)
    return pid, readable


def has_turn(readable, within_s):
    return bool(select.select([readable], [], [], within_s)[0]) and os.read(readable, 1) == b"1"


def test_whose_question_came_first_has_the_next_turn_whichever_process_it_came_to():
    turns = Turns(cores=2)
    assert taken(turns) == 3
    came = [monotonic() + late for late in (0.3, 0.1, 0.2)]
    children = [waits(turns, since) for since in came]
    try:
        for number in (1, 2, 0):
            turns.give_back()
            assert has_turn(children[number][1], LONG_S)
            assert not any(has_turn(readable, 0.02) for _, readable in children)
    finally:
        for pid, readable in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(readable)
    assert taken(turns) == 3
    turns.close()


def test_turns_that_come_back_at_once_go_to_as_many(turns):
    taken(turns)
    children = [waits(turns, monotonic()) for _ in range(1 + SPARE)]
    try:
        for _ in children:
            turns.give_back()
        assert all(has_turn(readable, LONG_S) for _, readable in children)
    finally:
        for pid, readable in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(readable)


def test_who_is_killed_while_it_waits_is_in_nobodys_way(turns):
    taken(turns)
    pid, readable = waits(turns, monotonic())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(readable)
    later = waits(turns, monotonic())

    turns.give_back()

    try:
        assert has_turn(later[1], LONG_S)
        turns.give_back()
        assert turns.take(within_s=LONG_S)
        assert not turns.waiting
    finally:
        os.kill(later[0], signal.SIGKILL)
        os.waitpid(later[0], 0)
        os.close(later[1])


def test_a_turn_that_is_free_is_taken_though_one_was_killed_that_waited_before(turns):
    taken(turns)
    pid, readable = waits(turns, monotonic())
    os.kill(pid, signal.SIGSTOP)
    turns.give_back()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(readable)
    begun = monotonic()

    assert turns.take(within_s=LONG_S)

    assert monotonic() - begun < LONG_S / 2


def test_where_all_places_are_taken_a_turn_is_waited_for_all_the_same(turns, monkeypatch):
    monkeypatch.setattr(turns, "_places", 0)
    taken(turns)
    got = []
    waiting = threading.Thread(target=lambda: got.append(turns.take(within_s=LONG_S)))
    waiting.start()
    turns.give_back()
    waiting.join(LONG_S)

    assert got == [True]


def test_nobody_waits_for_a_turn_for_ever(turns):
    taken(turns)

    assert not turns.take(within_s=0.01)


def test_turns_that_are_closed_are_nobodys(turns):
    taken(turns)
    turns.close()

    assert not turns.take(within_s=LONG_S)
    assert turns.owe(1.0) == 0
    assert turns.wait_s == 0.0
    turns.close()


def test_work_that_is_due_is_shared_by_the_cores_and_bounded():
    turns = Turns(cores=4)
    try:
        owed = [turns.owe(2.0), turns.owe(1000.0), turns.owe(4.0)]

        assert owed == [2000, 0, 4000]
        assert turns.wait_s == 1.5

        for each in owed:
            turns.settle(each)
        assert turns.wait_s == 0.0
    finally:
        turns.close()


def test_a_question_is_turned_away_while_more_work_is_due_than_it_may_wait_for(turns):
    limit = ConcurrencyLimit(least=2, start=64, most=64)
    admission = Admission(limit=limit, turns=turns)
    admission.check_room()

    burst = turns.owe(1.2 * limit.target_s)
    admission.check_room()
    more = turns.owe(0.1 * limit.target_s)

    with pytest.raises(Overloaded) as refused:
        admission.check_room()
    assert refused.value.retry_after_s >= 1.25 * limit.target_s
    turns.settle(more)
    admission.check_room()
    turns.settle(burst)


class Miller(Service):
    """Notes how many of its calls compute at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    at_once: ClassVar[dict[str, int]] = {}
    most: ClassVar[dict[str, int]] = {}
    release = threading.Event()

    def begin(self, name):
        with self.lock:
            self.at_once[name] = self.at_once.get(name, 0) + 1
            self.most[name] = max(self.most.get(name, 0), self.at_once[name])

    def end(self, name):
        with self.lock:
            self.at_once[name] -= 1

    def load(self, artifact):
        return self

    @batched(max_size=1)
    async def grind(self, seconds: list[float]) -> list[float]:
        self.begin("grind")
        ends = time.thread_time() + seconds[0]
        while time.thread_time() < ends:
            pass
        self.end("grind")
        return seconds

    async def sleep(self, seconds: float) -> float:
        self.begin("sleep")
        threading.Event().wait(seconds)
        self.end("sleep")
        return seconds

    async def hang(self, seconds: float) -> float:
        self.release.wait(LONG_S)
        return seconds


@pytest.fixture
def build(turns):
    Miller.at_once, Miller.most, Miller.release = {}, {}, threading.Event()
    lock = threading.Lock()
    built = []

    def make():
        service = Miller()
        service.lock = lock
        return service

    async def begun(count):
        replicas = ThreadReplicas(make, count=count, turns=turns)
        await replicas.start()
        built.append(replicas)
        return replicas

    yield begun
    Miller.release.set()


async def asked(replicas, method, seconds, times, context=Context):
    calls = [replicas.ask(Miller.methods[method], seconds, context()) for _ in range(times)]
    async with asyncio.timeout(LONG_S):
        return await asyncio.gather(*calls)


async def in_line(calls):
    """The calls as a task; they stand in line when this returns."""
    task = asyncio.create_task(calls)
    for _ in range(2):
        await asyncio.sleep(0)
    return task


async def test_no_more_calls_compute_at_once_than_there_are_turns(build, turns, monkeypatch):
    monkeypatch.setattr(turnstile, "LEAST_PATIENCE_S", LONG_S)
    replicas = await build(5)

    await asked(replicas, "grind", 0.03, 20)
    await replicas.close()

    assert Miller.most["grind"] == 1 + SPARE
    assert taken(turns) == 1 + SPARE
    assert turns.wait_s == 0.0


async def test_short_calls_wait_in_turn_behind_all_that_came_before_them(build, turns):
    first, second = await build(2), await build(2)
    await asked(first, "grind", 0.05, 4)
    await asked(second, "grind", 0.005, 4)
    Miller.most.clear()

    long = await in_line(asked(first, "grind", 0.05, 12))
    short = await in_line(asked(second, "grind", 0.005, 4))
    await asyncio.gather(long, short)
    for replicas in (first, second):
        await replicas.close()

    assert Miller.most["grind"] == 1 + SPARE
    assert taken(turns) == 1 + SPARE


async def test_calls_that_only_wait_soon_need_no_turn(build):
    replicas = await build(4)

    await asked(replicas, "sleep", 0.03, 12)
    Miller.most.clear()
    await asked(replicas, "sleep", 0.03, 8)
    await replicas.close()

    assert Miller.most["sleep"] == 4


@pytest.mark.parametrize("came_s", [-100.0, 100.0], ids=["earlier", "later"])
async def test_a_turn_passes_to_whose_question_came_first_also_from_call_to_call(build, turns, came_s):
    replicas = await build(1)
    await asked(replicas, "grind", 0.03, 2)
    assert turns.take(within_s=0.0)
    done, seen = [], []

    def wait_elsewhere():
        assert turns.take(within_s=LONG_S, since=monotonic() + came_s)
        seen.append(len(done))
        turns.give_back()

    elsewhere = threading.Thread(target=wait_elsewhere)
    calls = [asyncio.create_task(replicas.ask(Miller.methods["grind"], 0.2, Context())) for _ in range(3)]
    for call in calls:
        call.add_done_callback(done.append)
    while not Miller.at_once.get("grind"):
        await asyncio.sleep(0.001)
    elsewhere.start()
    async with asyncio.timeout(LONG_S):
        await asyncio.gather(*calls)
        await asyncio.to_thread(elsewhere.join)
    await replicas.close()
    turns.give_back()

    # It is given on before the caller is told of the answer.
    assert seen[0] <= 1 if came_s < 0 else seen[0] >= 2
    assert taken(turns) == 1 + SPARE


async def test_batches_need_no_turn_and_are_not_due(build, turns):
    replicas = await build(2)
    await asked(replicas, "grind", 0.01, 2)
    taken(turns)

    begun = monotonic()
    batch = asyncio.create_task(asked(replicas, "grind", 5.0, 1, lambda: Context(priority=Priority.BATCH)))
    while not Miller.at_once.get("grind"):
        assert monotonic() < begun + LONG_S
        await asyncio.sleep(0.001)
    due_s = turns.wait_s
    batch.cancel()
    await replicas.close()

    assert due_s == 0.0


async def test_what_is_learned_of_a_method_is_due_while_its_calls_wait_and_no_longer(build, turns):
    replicas = await build(1)
    await asked(replicas, "grind", 0.05, 3)

    calls = await in_line(asked(replicas, "grind", 0.05, 4))
    due_s = turns.wait_s
    await calls
    await replicas.close()

    assert due_s > 0.1
    assert turns.wait_s == 0.0


async def test_one_long_call_keeps_nobody_out(build, turns):
    admission = Admission(limit=ConcurrencyLimit(least=2, start=64, most=64), turns=turns)
    replicas = await build(1)
    await asked(replicas, "grind", 0.5, 1)

    long = await in_line(asked(replicas, "grind", 0.5, 1))
    due_s = turns.wait_s
    admission.check_room()
    await long
    await replicas.close()

    assert due_s > 0.0


async def test_a_call_that_finds_no_turn_is_answered_all_the_same(build, turns):
    replicas = await build(1)
    taken(turns)

    (reply,) = await asked(replicas, "grind", 0.01, 1)
    await replicas.close()

    assert reply.value == 0.01


async def test_what_nobody_waits_for_any_more_when_its_turn_comes_is_not_computed(build, turns, monkeypatch):
    monkeypatch.setattr(turnstile, "LEAST_PATIENCE_S", 0.3)
    replicas = await build(1)
    taken(turns)

    with pytest.raises(DeadlineExceeded):
        await asked(replicas, "sleep", 0.0, 1, lambda: Context(deadline=monotonic() + 0.05))
    (reply,) = await asked(replicas, "grind", 0.01, 1)
    await replicas.close()

    assert reply.value == 0.01
    assert "sleep" not in Miller.most


async def test_a_replica_that_hangs_gives_back_its_turn(build, turns, monkeypatch):
    monkeypatch.setattr(threads, "GRACE_S", 0.1)
    replicas = await build(1)

    with pytest.raises(DeadlineExceeded):
        await asked(replicas, "hang", 0.0, 1, lambda: Context(deadline=monotonic() + 0.05))
    ends = monotonic() + LONG_S
    while replicas.health().restarts == 0:
        assert monotonic() < ends
        await asyncio.sleep(0.01)

    assert taken(turns) == 1 + SPARE
    Miller.release.set()
    await replicas.close()


def test_turns_of_which_all_processes_were_killed_are_removed_by_their_name():
    left = Turns(cores=1)
    name = left.name

    assert int(name.split()[1]) > 2
    assert Turns.remove(name) is True
    assert left.take(within_s=0.0) is False
    assert Turns.remove(name) is False


def test_no_others_are_removed_that_were_given_the_same_id(turns):
    number, _, rest = turns.name.partition(" ")

    assert Turns.remove(f"{number} {rest}0") is False
    assert Turns.remove("") is False
    assert turns.take(within_s=0.0) is True
