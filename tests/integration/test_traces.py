"""One document is one trace, from the gateway by the worker to who is told; without a collector nothing is sent."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest
from collector import attributes_of, collecting
from receivers import answering, receiver
from served import served

from headrace.assembly.spans import observing
from headrace.assembly.webhooks import deliver
from headrace.assembly.worker import work
from headrace.errors import InvalidConfiguration
from headrace.telemetry import TraceParent

pytest.importorskip("headrace.telemetry.otlp", reason="the extra otlp is not installed")

DEADLINE_S = 60
TELLING = {"webhooks.allowed_hosts": ["127.0.0.1"]}
SPANS = (
    "POST /v1/mill/grind",
    "submit mill/grind",
    "attempt mill/grind",
    "answer mill/grind",
    "echo.echo",
    "deliver webhook",
)


@asynccontextmanager
async def milling(tmp_path, overrides=None):
    """All roles in this process."""
    async with served(tmp_path, overrides=TELLING | (overrides or {})) as mill:
        tasks = [asyncio.create_task(role(mill.running)) for role in (work, deliver)]
        try:
            yield mill
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def ignore(_answered):
    return None


async def sent_as_a_job(mill, told, requests, caller):
    """The job that the receiver was told of, and the headers that told it."""
    headers = {"Prefer": "respond-async", "X-Headrace-Webhook": told, "traceparent": str(caller)}
    response = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=headers)
    assert response.status_code == 202, response.text
    assert TraceParent.of(response.headers["traceparent"]).trace_id == caller.trace_id
    async with asyncio.timeout(DEADLINE_S):
        while not requests:
            await asyncio.sleep(0.02)
    ((received, body),) = requests
    return json.loads(body)["data"], received


async def test_a_document_sent_as_a_job_is_one_trace_from_the_caller_to_the_webhook(tmp_path):
    caller = TraceParent.fresh()
    with collecting() as (address, collector):
        async with (
            receiver(answering("200 OK")) as (url, requests),
            milling(tmp_path, {"telemetry.otlp": address, "telemetry.headers": {"x-team": "mill"}}) as mill,
        ):
            told = url.replace("receiver.example", "127.0.0.1")
            job, received = await sent_as_a_job(mill, told, requests, caller)

    found = {name: spans for name, spans in collector.spans.items() if name in SPANS}
    assert set(found) == set(SPANS)
    assert {span.trace_id.hex() for spans in found.values() for span in spans} == {caller.trace_id}
    (asked,), (submitted,), (attempt,), (answer,), (stage,), (delivery,) = (found[name] for name in SPANS)
    assert asked.parent_span_id.hex() == caller.span_id
    assert submitted.parent_span_id == asked.span_id
    assert attempt.parent_span_id == delivery.parent_span_id == submitted.span_id
    assert answer.parent_span_id == attempt.span_id
    assert stage.parent_span_id == answer.span_id
    assert received["traceparent"] == f"00-{caller.trace_id}-{delivery.span_id.hex()}-01"
    assert answer.start_time_unix_nano <= answer.end_time_unix_nano
    assert stage.start_time_unix_nano <= stage.end_time_unix_nano
    assert [span.kind for span in (asked, submitted, attempt, answer, delivery)] == [2, 4, 5, 1, 3]
    assert attributes_of(asked)["http.response.status_code"] == 202
    for span in (submitted, attempt):
        assert attributes_of(span)["headrace.job_id"] == job["id"]
    for span in (attempt, answer):
        assert attributes_of(span)["headrace.decision_id"] == job["decision_id"]
    (evaluation,) = answer.events
    assert evaluation.name == "feature_flag.evaluation"
    assert attributes_of(evaluation)["feature_flag.result.variant"] == attributes_of(answer)["headrace.variant"]
    assert attributes_of(evaluation)["feature_flag.version"] == attributes_of(answer)["headrace.release"]
    assert collector.headers[0]["x-team"] == "mill"


async def test_without_a_collector_nothing_is_made_or_sent_and_the_trace_goes_on(tmp_path, monkeypatch):
    caller = TraceParent.fresh()
    # Whatever would export by the usual names of the environment finds this collector.
    with collecting() as (address, collector):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        async with receiver(answering("200 OK")) as (url, requests), milling(tmp_path) as mill:
            job, received = await sent_as_a_job(mill, url.replace("receiver.example", "127.0.0.1"), requests, caller)
            decision = (await mill.client.get(f"/v1/decisions/{job['decision_id']}")).json()

            assert mill.running.spans is None
            assert observing(ignore, mill.running.spans) is ignore

    assert collector.spans == {}
    assert TraceParent.of(received["traceparent"]).trace_id == caller.trace_id
    assert decision["trace_id"] == caller.trace_id


async def test_an_answer_given_at_once_lies_below_its_call_and_a_failure_is_marked(tmp_path):
    with collecting() as (address, collector):
        async with served(tmp_path, overrides={"telemetry.otlp": address}) as mill:
            given = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"})
            failed = await mill.client.post("/v1/mill/trip", json={"corn": "wheat"})
            await mill.client.get("/no/such/path")

    (asked,), (answer,) = collector.spans["POST /v1/mill/grind"], collector.spans["answer mill/grind"]
    (tripped,) = collector.spans["POST /v1/mill/trip"]
    assert answer.parent_span_id == asked.span_id
    place = TraceParent.of(given.headers["traceparent"])
    assert (place.trace_id, place.span_id) == (asked.trace_id.hex(), asked.span_id.hex())
    assert (failed.status_code, tripped.status.code) == (500, 2)
    (trip,) = collector.spans["answer mill/trip"]
    assert (trip.parent_span_id, trip.status.code) == (tripped.span_id, 2)
    assert "GET unknown" in collector.spans
    (facts,) = [facts for event, facts in mill.told if event == "request_failed"]
    assert facts["trace_id"] == tripped.trace_id.hex()


async def test_of_a_share_of_no_traces_nothing_is_sent_but_what_callers_ask_for(tmp_path):
    caller = TraceParent.fresh()
    with collecting() as (address, collector):
        async with served(tmp_path, overrides={"telemetry.otlp": address, "telemetry.share": 0}) as mill:
            own = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"})
            await mill.client.post("/v1/mill/grind", json={"corn": "rye"}, headers={"traceparent": str(caller)})

    assert TraceParent.of(own.headers["traceparent"]).flags & 1 == 0
    sent = {span.trace_id.hex() for spans in collector.spans.values() for span in spans}
    assert sent == {caller.trace_id}


async def test_a_share_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidConfiguration, match="share"):
        async with served(tmp_path, overrides={"telemetry.share": 2}):
            pass
