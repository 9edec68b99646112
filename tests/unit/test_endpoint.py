"""Admission, and the endpoint that turns a question into a Decision."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from time import monotonic

import msgspec
import pytest

from headrace.domain.decision import answer_part
from headrace.domain.release import Release, Variant
from headrace.errors import DeadlineExceeded, Overloaded, Unreadable
from headrace.serving.admission import Admission
from headrace.serving.answered import digest_of
from headrace.serving.attachments import Attachments
from headrace.serving.context import Context, ServiceCall, current_context
from headrace.serving.endpoint import Endpoint
from headrace.serving.pipeline import Route

ROUTE = Route(path="mill/grind", method="grind", argument_name="corn", argument=str, answer=str, summary="")


@dataclass
class Flour:
    weight: float

    def body(self):
        return {"weight": self.weight}

    def text(self):
        return "flour"

    def explanation(self):
        return {"why": "corn"}

    def confidence(self):
        return 0.5


def built(run, *, bound=4, told=None, expect=None):
    witnesses = () if told is None else (told.append,)
    return Endpoint(
        ROUTE,
        run,
        admission=Admission(bound=bound),
        witnesses=witnesses,
        choose=lambda _key: Variant("sha256:1"),
        hold=lambda _release: nullcontext(),
        expect=expect,
    )


@pytest.mark.parametrize(("fails", "left"), [(True, 0), (False, 1)])
async def test_what_was_attached_of_a_question_goes_with_its_failure_and_stays_with_its_answer(tmp_path, fails, left):
    attachments = Attachments(tmp_path, "mill", put=lambda path, _: str(path))

    def expect(_path, question, context):
        context.attachment = attachments.begin(question.encode, len(question))

    async def grind(corn):
        if fails:
            raise Unreadable("chaff")
        return corn

    answering = built(grind, expect=expect).answer("corn", context=Context(), input_digest="")
    with pytest.raises(Unreadable) if fails else nullcontext():
        await answering
    attachments.close()

    assert len(list(tmp_path.iterdir())) == left


async def test_an_answer_becomes_a_decision_that_every_witness_is_told_of():
    async def grind(corn):
        context = current_context()
        context.calls.append(ServiceCall("stone", "turn", 1.0, 2.0, 3, "sha256:m"))
        context.report_degraded("stone", reason="deadline", used="hand")
        return Flour(weight=2.5)

    told = []
    endpoint = built(grind, told=told)

    answered = await endpoint.answer(
        "corn", context=Context(trace_id="trace"), input_digest=digest_of(b"corn"), request_id="request"
    )

    decision = answered.decision
    body = msgspec.json.decode(answered.body)
    assert told == [decision]
    assert body["decision_id"] == decision.id
    assert body["decision_id"].startswith("dec_")
    assert (body["release"], body["variant"], body["weight"]) == ("sha256:1", "champion", 2.5)
    assert body["degraded"] == [{"service": "stone", "reason": "deadline", "used": "hand"}]
    assert body["timings_ms"]["turn"] == 2.0
    assert body["timings_ms"]["queued"] == 1.0
    assert body["timings_ms"]["total"] > 0
    assert (decision.text, decision.confidence, decision.explanation) == ("flour", 0.5, None)
    assert answered.explanation() == b'{"why":"corn"}'
    assert msgspec.json.decode(answer_part(decision.body)) == {"degraded": body["degraded"], "weight": 2.5}
    assert [(step.service, step.batch_size, step.model) for step in decision.steps] == [("stone", 3, "sha256:m")]
    assert (decision.request_id, decision.trace_id) == ("request", "trace")
    assert decision.input_digest == digest_of(b"corn")


async def test_a_plain_value_goes_out_as_output():
    async def grind(corn):
        return {"flour": corn}

    answered = await built(grind).answer("corn", context=Context(), input_digest="")

    assert msgspec.json.decode(answered.body)["output"] == {"flour": "corn"}
    assert answered.value == {"flour": "corn"}


async def test_services_side_by_side_are_degraded_in_the_same_order_whichever_told_it_first():
    async def grind(corn):
        for service in corn.split():
            current_context().report_degraded(service, reason="slow", used="fast")
        return "flour"

    parts = []
    for corn in ("stone sack", "sack stone"):
        answered = await built(grind).answer(corn, context=Context(), input_digest="")
        parts.append(answer_part(answered.body))

    assert parts[0] == parts[1]
    assert [each["service"] for each in msgspec.json.decode(parts[0])["degraded"]] == ["sack", "stone"]


async def test_a_question_whose_time_is_over_is_not_begun():
    begun = []

    async def grind(corn):
        begun.append(corn)

    with pytest.raises(DeadlineExceeded):
        await built(grind).answer("corn", context=Context(deadline=monotonic() - 1), input_digest="")

    assert begun == []


async def test_an_answer_that_comes_too_late_is_no_answer():
    async def grind(corn):
        current_context().deadline = monotonic() - 1
        return corn

    told = []
    with pytest.raises(DeadlineExceeded):
        await built(grind, told=told).answer("corn", context=Context(deadline=monotonic() + 60), input_digest="")

    assert told == []


async def test_a_failed_question_gives_its_place_back():
    async def grind(corn):
        raise Unreadable("mouldy")

    endpoint = built(grind, bound=1)

    for _ in range(3):
        with pytest.raises(Unreadable):
            await endpoint.answer("corn", context=Context(), input_digest="")


async def test_more_than_the_bound_is_turned_away_with_a_time_to_come_back():
    gate = asyncio.Event()

    async def grind(corn):
        await gate.wait()
        return corn

    endpoint = built(grind, bound=2)
    calls = [asyncio.create_task(endpoint.answer("corn", context=Context(), input_digest="")) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    turned_away = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    assert len(turned_away) == 3
    assert all(outcome.retry_after_s > 0 for outcome in turned_away)


async def test_draining_lets_what_is_in_flight_end_and_takes_nothing_new():
    admission = Admission(bound=4)
    gate = asyncio.Event()

    async def question():
        with admission.admitted():
            await gate.wait()
            return "answered"

    running = asyncio.create_task(question())
    await asyncio.sleep(0)
    draining = asyncio.create_task(admission.drain(within_s=30))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded, match="stopping"):
        await question()
    gate.set()

    assert await draining is True
    assert await running == "answered"


async def test_draining_gives_up_when_its_time_is_over():
    admission = Admission(bound=4)

    with admission.admitted():
        is_empty = await admission.drain(within_s=0.01)

    assert is_empty is False


async def test_the_time_to_come_back_follows_what_answers_take():
    now = [0.0]
    admission = Admission(bound=4, clock=lambda: now[0])

    for _ in range(100):
        with admission.admitted():
            now[0] += 5.0

    assert admission.retry_after_s == pytest.approx(5.0, rel=0.01)


def test_a_release_is_named_by_what_decides_about_answers():
    first = Release(
        pipeline="mill", code="sha256:c", models={"stone": "sha256:m"}, settings={"stone": {"b": 1, "a": 2}}
    )
    same = Release(pipeline="mill", code="sha256:c", models={"stone": "sha256:m"}, settings={"stone": {"a": 2, "b": 1}})
    other = Release(
        pipeline="mill", code="sha256:c", models={"stone": "sha256:m"}, settings={"stone": {"a": 2, "b": 2}}
    )

    assert first.id == same.id
    assert first.id != other.id
    assert first.id.startswith("sha256:")
