"""A late answer of one host does not make its caller late."""

import asyncio

import pytest
from authored import Echo

from headrace.errors import ServiceFailed, Unreadable
from headrace.serving.context import Context
from headrace.serving.hedging import LEARNED_AFTER, MOST_SAVED, Hedged
from headrace.serving.runtime import Reply

ECHO = Echo.methods["echo"]


class Hosts:
    """Answers at once, except where told to hang, to fail or to refuse; counts who is asked and who is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.plan = []

    async def ask(self, method, question, context):
        self.asked += 1
        what = self.plan.pop(0) if self.plan else "answer"
        try:
            if what == "hang":
                await asyncio.Event().wait()
            if what == "fail after another":
                while self.asked < 2:
                    await asyncio.sleep(0)
                raise ServiceFailed("the host died")
            if what == "answer later":
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if what == "refuse":
            raise Unreadable("mouldy")
        context.report_degraded("echo", reason="test", used=what)
        return Reply(question, 0.0, 1.0)


@pytest.fixture
async def hedged():
    built = Hedged(Hosts())
    for _ in range(LEARNED_AFTER):
        await built.ask(ECHO, "warm", Context())
    built._replicas.asked = 0
    return built


async def test_a_late_call_is_made_again_and_the_first_answer_taken(hedged):
    hosts, context = hedged._replicas, Context()
    hosts.plan = ["hang", "answer"]

    async with asyncio.timeout(30):
        reply = await hedged.ask(ECHO, "water", context)

    assert reply.value == "water"
    assert (hosts.asked, hosts.cancelled, hedged.hedges) == (2, 1, 1)
    assert [each.used for each in context.degraded] == ["answer"]


async def test_a_call_in_time_is_made_once(hedged):
    await hedged.ask(ECHO, "water", Context())

    assert hedged._replicas.asked == 1


async def test_a_failure_of_one_host_is_not_the_callers_while_another_works(hedged):
    hedged._replicas.plan = ["fail after another", "answer later"]

    async with asyncio.timeout(30):
        reply = await hedged.ask(ECHO, "water", Context())

    assert reply.value == "water"


async def test_when_both_fail_the_caller_is_told(hedged):
    hedged._replicas.plan = ["fail after another", "fail after another"]

    with pytest.raises(ServiceFailed):
        async with asyncio.timeout(30):
            await hedged.ask(ECHO, "water", Context())


async def test_a_wrong_question_is_asked_once(hedged):
    hedged._replicas.plan = ["refuse"]

    with pytest.raises(Unreadable):
        await hedged.ask(ECHO, "water", Context())

    assert hedged._replicas.asked == 1


async def test_second_calls_are_few(hedged):
    calls = []
    for _ in range(20):
        hedged._replicas.plan = ["hang"] * 40
        calls.append(asyncio.create_task(hedged.ask(ECHO, "water", Context())))
    async with asyncio.timeout(30):
        while hedged.hedges < int(MOST_SAVED):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert hedged.hedges <= MOST_SAVED + 1
    assert hedged._replicas.cancelled == hedged._replicas.asked
