"""How much is taken on at once: the learned limit, priorities, quotas, and refusals before anything is begun."""

import asyncio
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from multiprocessing import get_context
from random import Random
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.release import Variant
from headrace.errors import DeadlineExceeded, Overloaded, OverQuota
from headrace.serving.admission import Admission
from headrace.serving.concurrency_limit import WINDOW_S, ConcurrencyLimit
from headrace.serving.context import Context, Priority, ServiceCall
from headrace.serving.endpoint import LEARNED_AFTER, PROBE_EVERY, Endpoint
from headrace.serving.pipeline import Route
from headrace.serving.quota import MOST_CALLERS, Quota


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def server(limit, *, cores, compute_s, seconds, offered):
    """The limit after `seconds` of a server whose cores need `compute_s` a question, kept full up to the limit."""
    now, waits = 0.0, []
    while now < seconds:
        now += compute_s / cores
        in_flight = min(limit.value, offered)
        waits.append(max(0.0, (in_flight - cores) * compute_s / cores))
        limit.note(wait_s=waits[-1], compute_s=compute_s, in_flight=in_flight, now=now)
    return waits[len(waits) // 2 :]


@settings(deadline=None, max_examples=40)
@given(cores=st.integers(1, 8), compute_ms=st.floats(4, 400), start=st.integers(2, 1000))
def test_the_limit_keeps_the_wait_near_its_target_and_all_cores_busy(cores, compute_ms, start):
    limit = ConcurrencyLimit(least=2, start=start, most=100_000)

    waits = server(limit, cores=cores, compute_s=compute_ms / 1000, seconds=30, offered=10**6)

    assert limit.value >= cores
    assert max(waits) < 1.5 * limit.target_s + 2 * compute_ms / 1000 / cores


def overload(limit, *, cores, compute_s, offered, seconds, seed):
    """How long answers took, and how busy the cores were, once a server that is told late has seen a third of it.

    Questions come by chance, `offered` a second; what one computes varies by half.
    """
    random = Random(seed)
    line, latencies, in_flight, free, busy_s = deque(), [], 0, cores, 0.0
    numbers, now = count(), 0.0
    events = [(random.expovariate(offered), next(numbers), None)]
    while now < seconds:
        now, _, answered = heappop(events)
        if answered is None:
            heappush(events, (now + random.expovariate(offered), next(numbers), None))
            if in_flight < limit.value:
                in_flight += 1
                line.append(now)
        else:
            arrived, begun = answered
            limit.note(wait_s=begun - arrived, compute_s=now - begun, in_flight=in_flight, now=now)
            in_flight, free = in_flight - 1, free + 1
            latencies.append(now - arrived)
        while free and line:
            took_s = compute_s * random.uniform(0.5, 1.5)
            heappush(events, (now + took_s, next(numbers), (line.popleft(), now)))
            free, busy_s = free - 1, busy_s + took_s
    return latencies[len(latencies) // 3 :], busy_s / seconds / cores


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("cores", "compute_ms"), [(2, 40), (2, 80), (8, 50), (2, 5)])
def test_twice_what_can_be_answered_is_answered_soon_or_not_at_all(cores, compute_ms, seed):
    limit = ConcurrencyLimit(least=2 * cores, start=32 * cores, most=1024 * cores)
    capacity = cores * 1000 / compute_ms

    latencies, busy = overload(
        limit, cores=cores, compute_s=compute_ms / 1000, offered=2 * capacity, seconds=20, seed=seed
    )

    latencies.sort()
    assert latencies[int(0.99 * len(latencies))] < 3 * limit.target_s + 3 * compute_ms / 1000
    assert busy > 0.95


def test_a_limit_that_is_not_used_up_stays_as_it_is():
    limit = ConcurrencyLimit(least=2, start=64, most=1000)

    server(limit, cores=8, compute_s=0.01, seconds=10, offered=8)

    assert limit.value == 64


def test_the_limit_stays_within_its_bounds():
    limit = ConcurrencyLimit(least=4, start=8, most=16)
    for second in range(100):
        limit.note(wait_s=0.0, compute_s=0.001, in_flight=16, now=second * WINDOW_S)
    highest = limit.value
    for second in range(100, 200):
        limit.note(wait_s=9.0, compute_s=0.001, in_flight=16, now=second * WINDOW_S)

    assert (highest, limit.value) == (16, 4)


async def test_who_waits_long_in_its_services_makes_the_room_smaller():
    clock = Clock()
    limit = ConcurrencyLimit(least=2, start=100, most=1000)
    admission = Admission(limit=limit, clock=clock)

    for _ in range(50):
        with admission.admitted(context := Context()):
            clock.now += 1.0
            context.calls.append(ServiceCall("stone", "turn", 900.0, 10.0, 1, None))

    assert admission.limit < 20
    await admission.drain(within_s=30)


async def test_those_who_may_wait_leave_room_to_those_who_may_not():
    admission = Admission(bound=10)
    batch, shadow = Context(priority=Priority.BATCH), Context(priority=Priority.SHADOW)
    entered = [admission.admitted() for _ in range(5)]
    for each in entered:
        each.__enter__()

    with pytest.raises(Overloaded):
        admission.check_room(Priority.SHADOW)
    for context in (batch, batch, batch):
        entered.append(admission.admitted(context))
        entered[-1].__enter__()
    with pytest.raises(Overloaded), admission.admitted(batch):
        pass
    with pytest.raises(Overloaded), admission.admitted(shadow):
        pass
    with admission.admitted(), admission.admitted(), pytest.raises(Overloaded), admission.admitted():
        pass

    for each in entered:
        each.__exit__(None, None, None)
    assert admission.in_flight == 0


def endpoint_of(run):
    route = Route(path="mill/grind", method="grind", argument_name="corn", argument=str, answer=str, summary="")
    return Endpoint(
        route,
        run,
        admission=Admission(bound=4),
        witnesses=(),
        choose=lambda _: Variant("sha256:1"),
        hold=lambda _: _Held(),
    )


class _Held:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


async def test_what_was_never_done_in_so_little_time_is_refused_before_it_begins_and_probed_now_and_then():
    async def grind(corn):
        await asyncio.sleep(0.02)
        return corn

    endpoint = endpoint_of(grind)
    endpoint.check_room(Context(deadline=monotonic() + 0.001))
    for _ in range(LEARNED_AFTER):
        await endpoint.answer("corn", context=Context(), input_digest="")

    outcomes = []
    for _ in range(2 * PROBE_EVERY):
        try:
            endpoint.check_room(Context(deadline=monotonic() + 0.001))
            outcomes.append("probe")
        except DeadlineExceeded:
            outcomes.append("refused")

    assert outcomes.count("probe") == 2
    endpoint.check_room(Context(deadline=monotonic() + 60))


def test_a_caller_may_use_its_quota_at_once_and_then_at_its_pace():
    clock = Clock()
    quota = Quota(a_minute=60, clock=clock)

    first = quota.take("mill")
    for _ in range(59):
        quota.take("mill")
    with pytest.raises(OverQuota) as caught:
        quota.take("mill")
    other = quota.take("bakery")
    clock.now += 2.0

    assert first == '"minute";r=59;t=2'
    assert quota.policy == '"minute";q=60;w=60'
    assert caught.value.retry_after_s == pytest.approx(1.0)
    assert other == '"minute";r=59;t=2'
    assert [quota.take("mill"), quota.take("mill")] == ['"minute";r=1;t=60', '"minute";r=0;t=61']
    with pytest.raises(OverQuota):
        quota.take("mill")


def test_a_quota_does_not_grow_with_its_callers_and_forgets_who_used_it_least():
    clock = Clock()
    quota = Quota(a_minute=4, clock=clock)
    for _ in range(4):
        quota.take("greedy")

    for number in range(2 * MOST_CALLERS):
        quota.take(str(number))

    with pytest.raises(OverQuota):
        quota.take("greedy")


def _taken(path, count):
    quota, taken = Quota(a_minute=100, shared=path, clock=lambda: 1000.0), 0
    for _ in range(count):
        with suppress(OverQuota):
            quota.take("mill")
            taken += 1
    return taken


def test_processes_that_share_a_quota_give_no_more_than_it_together(tmp_path):
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        taken = list(pool.map(_taken, [tmp_path / "quota"] * 3, [100] * 3))

    assert sum(taken) == 100
