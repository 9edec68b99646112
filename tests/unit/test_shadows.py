"""Shadows under a load that never ends: those that cost little are answered, those that cost much are few."""

import asyncio
from contextlib import closing, suppress
from datetime import UTC, datetime
from time import monotonic, perf_counter

import pytest

from headrace.domain.decision import Decision
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.rollouts.loop_time import LoopTime
from headrace.rollouts.observer import Observer
from headrace.rollouts.shadows import Shadows, seen_in
from headrace.rollouts.sighting import Seen
from headrace.rollouts.traffic import RolledOut
from headrace.serving.answered import Answered
from headrace.serving.context import Context, ServiceCall
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database

CORES = 2


class Stone:
    """Answers shadows, each of which computes for so long, as its service says."""

    def __init__(self, compute_s: float) -> None:
        self.compute_s = compute_s

    async def answer_as(self, variant, question, *, context, input_digest):
        await asyncio.sleep(0)
        context.calls.append(ServiceCall("stone", "grind", 0.0, self.compute_s * 1000, 1, None))
        decision = Decision("dec_1", datetime.now(UTC), "mill/grind", variant.release, variant.name, "", b"{}", 1.0)
        return Answered(decision, question, "flour", context)


@pytest.fixture
def observer(tmp_path):
    with closing(opened_database(f"sqlite:///{tmp_path}/headrace.db")) as database:
        found = Observer(SqlRollouts(database))
        yield found
        found.close()


async def outcomes(observer, compute_s, *, count):
    """What came of so many shadows, cast while as many questions are answered as ever."""
    told = []
    shadows = Shadows(
        observer,
        in_flight=lambda: 100,
        cores=CORES,
        has_room=lambda: True,
        patience_s=0.2,
        told=lambda _rollout, outcome: told.append(outcome),
    )
    rollout = Rollout.begun(
        "rol_1", pipeline="mill", champion="sha256:a", candidate="sha256:b", plan=RolloutPlan(is_shadowed=True),
        salt="s", now=datetime.now(UTC),
    )  # fmt: skip
    living = asyncio.create_task(shadows.live())
    try:
        async with asyncio.timeout(30):
            for _ in range(count):
                shadows.cast(
                    Stone(compute_s),
                    RolledOut("sha256:a", "champion", rollout=rollout),
                    "corn",
                    Context(),
                    Seen(label="flour"),
                )
                await asyncio.sleep(0.001)
            while len(told) < count:
                await asyncio.sleep(0.01)
    finally:
        living.cancel()
        with suppress(asyncio.CancelledError):
            await living
    return told


async def test_shadows_that_cost_next_to_nothing_are_all_answered_though_there_is_never_quiet(observer):
    assert await outcomes(observer, 0.0, count=60) == ["agreed"] * 60


async def test_of_shadows_that_cost_much_few_are_answered_and_the_others_dropped_and_counted(observer):
    """Each computes for a minute, which is what they may take of two cores in many minutes."""
    told = await outcomes(observer, 60.0, count=80)

    assert told.count("agreed") == 1
    assert told.count("dropped") == 79


@pytest.mark.parametrize(("said", "counts"), [(0.5, 0.5), (float("inf"), None), (float("nan"), None), (1.5, None)])
def test_a_confidence_that_is_none_does_not_count_in_the_figures_of_a_rollout(said, counts):
    decision = Decision(
        "dec_1", datetime.now(UTC), "mill/grind", "sha256:1", "champion", "", b"{}", 1.0, confidence=said
    )
    context = Context(deadline=monotonic() + 1)

    assert seen_in(Answered(decision, None, "flour", context)).confidence == counts


async def test_of_a_coroutine_only_what_it_takes_of_the_loop_is_counted():
    async def patient():
        await asyncio.sleep(0.2)
        begun = perf_counter()
        while perf_counter() - begun < 0.05:
            pass
        await asyncio.sleep(0)
        return "done"

    took = LoopTime(patient())
    begun = monotonic()

    assert await took == "done"
    assert 0.05 <= took.spent_s < monotonic() - begun - 0.15


async def test_what_a_coroutine_raises_and_what_is_thrown_into_it_passes_through():
    async def failing():
        await asyncio.sleep(0)
        raise ValueError("no")

    heard = asyncio.Event()

    async def cancelled():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.set()
            raise

    with pytest.raises(ValueError, match="no"):
        await LoopTime(failing())

    async def awaiting():
        await LoopTime(cancelled())

    task = asyncio.create_task(awaiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.is_set()
