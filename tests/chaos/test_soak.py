"""The short form of the soak: after thousands of answers, failures and callers that left, nothing has piled up."""

import asyncio
import gc
import os
import random
from pathlib import Path
from time import monotonic

from headrace import Service, ServiceFailed, batched, fallback, pipeline
from headrace.assembly import Platform, Settings, forgetful_decisions
from headrace.errors import HeadraceError
from headrace.serving.batcher import Call
from headrace.serving.breaker import Permit
from headrace.serving.context import Context

ROUNDS, AT_ONCE = 30, 40


class Stone(Service):
    """Fails for some questions, and lingers over others."""

    @batched(max_size=8, size=len)
    async def turn(self, corns: list[str]) -> list[str]:
        if any(corn.startswith("fail") for corn in corns):
            raise ServiceFailed("the stone stuck")
        return [corn.upper() for corn in corns]

    @fallback("hand", of=turn, on_standby=True)
    async def _by_hand(self, corn: str) -> str:
        return corn


class Sieve(Service):
    """Awaits, and has no lesser way."""

    async def sift(self, flour: str) -> str:
        await asyncio.sleep(0)
        return flour


@pipeline
class Mill:
    """Two services side by side."""

    def __init__(self) -> None:
        self.stone = Stone()
        self.sieve = Sieve()

    async def grind(self, corn: str) -> str:
        turned, sifted = await asyncio.gather(self.stone.turn(corn), self.sieve.sift(corn))
        return f"{turned} {sifted}"


async def one_round(endpoint, source):
    calls = []
    for _ in range(AT_ONCE):
        corn = source.choice(("fail", "rye", "wheat")) * source.randint(1, 9)
        context = Context(deadline=monotonic() + source.choice((30.0, 30.0, 0.0005)))
        calls.append(asyncio.create_task(endpoint.answer(corn, context=context, input_digest=corn)))
        if source.random() < 0.2:
            await asyncio.sleep(0)
            calls[-1].cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    strange = [
        each
        for each in outcomes
        if isinstance(each, BaseException) and not isinstance(each, HeadraceError | asyncio.CancelledError)
    ]
    assert not strange
    return sum(not isinstance(each, BaseException) for each in outcomes)


def counted():
    gc.collect()
    kinds = (Call, Context, Permit, asyncio.Future, asyncio.Task)
    return sum(isinstance(each, kinds) for each in gc.get_objects()), len(list(Path("/proc/self/fd").iterdir()))


def resident_bytes():
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_nothing_piles_up_over_answers_failures_and_callers_that_left(tmp_path):
    source = random.Random(5)
    settings = Settings(data=str(tmp_path))
    async with Platform(Mill).running(settings, decisions=forgetful_decisions()) as running:
        endpoint = running.endpoints["mill/grind"]
        for _ in range(ROUNDS // 3):
            await one_round(endpoint, source)
        objects, descriptors = counted()
        held = resident_bytes()

        answered = 0
        async with asyncio.timeout(300):
            for _ in range(ROUNDS):
                answered += await one_round(endpoint, source)
        # Timers that have not run out yet hold some; what leaks stays.
        for _ in range(100):
            objects_after, descriptors_after = counted()
            if objects_after < objects + 400:
                break
            await asyncio.sleep(0.1)

        assert answered > 0.3 * ROUNDS * AT_ONCE
        # What leaks grows with the 1,200 questions.
        assert objects_after < objects + 400
        assert descriptors_after <= descriptors + 4
        assert resident_bytes() < 1.05 * held + 8 * 2**20
        assert running.admission.in_flight == 0
