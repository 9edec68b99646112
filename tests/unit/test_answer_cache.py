"""Answers that were given are given again to the same question and release, and say so."""

from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from headrace.domain.release import Variant
from headrace.serving.admission import Admission
from headrace.serving.answer_cache import AnswerCache
from headrace.serving.context import Context, ServiceCall, current_context
from headrace.serving.endpoint import Endpoint
from headrace.serving.pipeline import Route

ROUTE = Route(path="mill/grind", method="grind", argument_name="corn", argument=str, answer=str, summary="")


@dataclass(frozen=True)
class Corn:
    content: bytes
    name: str = ""


class Mill:
    def __init__(self, *, bound_bytes: int = 10_000) -> None:
        self.grinds = 0
        self.release = "sha256:1"
        self.is_degraded = False
        self.cache = AnswerCache(bound_bytes=bound_bytes)
        self.endpoint = Endpoint(
            ROUTE,
            self.grind,
            admission=Admission(bound=4),
            witnesses=(),
            choose=lambda _: Variant(self.release),
            hold=lambda _: nullcontext(),
            cache=self.cache,
        )

    async def grind(self, corn):
        self.grinds += 1
        context = current_context()
        context.calls.append(ServiceCall("stone", "turn", 1.0, 2.0, 3, "sha256:m"))
        if self.is_degraded:
            context.report_degraded("stone", reason="failed", used="hand")
        return {"flour": corn.content.decode()}

    async def ask(self, corn, digest="sha256:d"):
        return await self.endpoint.answer(corn, context=Context(), input_digest=digest)


async def test_the_same_question_is_answered_once_and_each_decision_is_its_own():
    mill = Mill()

    first, second = await mill.ask(Corn(b"rye")), await mill.ask(Corn(b"rye"))

    assert mill.grinds == 1
    assert second.value == first.value
    assert first.decision.id != second.decision.id
    assert [(step.is_cached, step.compute_ms) for step in first.decision.steps] == [(False, 2.0)]
    assert [(step.is_cached, step.compute_ms) for step in second.decision.steps] == [(True, 0.0)]


@pytest.mark.parametrize("change", ["release", "name", "digest"])
async def test_what_differs_is_answered_anew(change):
    mill = Mill()
    await mill.ask(Corn(b"rye"))

    if change == "release":
        mill.release = "sha256:2"
    await mill.ask(
        Corn(b"rye", "b" if change == "name" else ""), "sha256:e" if change == "digest" else "sha256:d"
    )  # fmt: skip

    assert mill.grinds == 2


async def test_a_degraded_answer_is_not_kept():
    mill = Mill()
    mill.is_degraded = True

    await mill.ask(Corn(b"rye"))
    mill.is_degraded = False
    await mill.ask(Corn(b"rye"))
    await mill.ask(Corn(b"rye"))

    assert mill.grinds == 2


async def test_the_least_recently_asked_go_first_and_the_bound_holds():
    mill = Mill(bound_bytes=400)
    for number in range(20):
        await mill.ask(Corn(b"x" * 50), f"sha256:{number}")
        await mill.ask(Corn(b"x" * 50), "sha256:0")

    assert mill.cache.size_bytes <= 400
    assert mill.grinds == 20


async def test_replays_look_past_it():
    mill = Mill()
    await mill.ask(Corn(b"rye"))

    await mill.endpoint.answer_as(Variant("sha256:1"), Corn(b"rye"), context=Context(), input_digest="sha256:d")

    assert mill.grinds == 2
