"""How many jobs a worker runs at once, against machines of which the answer is known."""

import asyncio

import pytest

from headrace.jobs.gate import Gate
from headrace.jobs.pace import Pace


class Machine:
    """Answers `rate(limit)` jobs a second, on a clock of its own."""

    def __init__(self, rate) -> None:
        self.now = 0.0
        self.rate = rate
        self.pace = Pace(least=1, most=64, first=4, ticking=lambda: self.now)

    def run(self, seconds: float) -> int:
        end = self.now + seconds
        while self.now < end:
            self.pace.took(self.pace.limit)
            self.now += 1 / self.rate(self.pace.limit)
            self.pace.ended()
        return self.pace.limit


def test_work_that_waits_elsewhere_is_run_many_at_once():
    assert Machine(lambda limit: 10.0 * limit).run(200) >= 48


def test_work_that_fills_the_machine_is_not_piled_up():
    assert Machine(lambda limit: 20.0 * min(limit, 2)).run(200) <= 4


def test_work_that_suffers_from_company_is_run_by_few():
    assert Machine(lambda limit: 40.0 / (1 + 0.2 * limit)).run(200) <= 3


def test_work_that_finds_no_room_slows_the_worker_at_once():
    machine = Machine(lambda limit: 10.0 * limit)
    before = machine.run(60)

    machine.pace.turned_away()

    assert machine.pace.limit < before


def test_a_fixed_number_stays():
    pace = Pace(least=7, most=7, first=7)

    for _ in range(100):
        pace.took(7)
        pace.ended()
        pace.turned_away()

    assert pace.limit == 7


async def test_who_is_alone_has_nobody_beside_and_others_follow():
    gate, inside, seen = Gate(), set(), []

    async def enter(name: str, place) -> None:
        async with place:
            inside.add(name)
            seen.append((name, set(inside)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            inside.discard(name)

    await asyncio.gather(
        enter("a", gate.among_others()),
        enter("b", gate.among_others()),
        enter("lonely", gate.alone()),
        enter("lonelier", gate.alone()),
        enter("c", gate.among_others()),
    )

    assert dict(seen)["lonely"] == {"lonely"}
    assert dict(seen)["lonelier"] == {"lonelier"}
    assert {name for name, _ in seen} == {"a", "b", "c", "lonely", "lonelier"}


async def test_who_gives_up_waiting_to_be_alone_lets_others_in():
    gate = Gate()
    async with gate.among_others():
        waiting = asyncio.create_task(enter_alone(gate))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async with asyncio.timeout(30), gate.among_others():
        pass


async def enter_alone(gate: Gate) -> None:
    async with gate.alone():
        pass
