"""Spans reach a collector that speaks OTLP over HTTP, and one trace goes through several processes."""

import pytest
from collector import attributes_of, collecting

from headrace.telemetry import Spans, TraceParent

otlp = pytest.importorskip("headrace.telemetry.otlp", reason="the extra otlp is not installed")


def work(spans, carried):
    with spans.span("job", parent=carried) as done:
        done.tell(decision_id="dec_1")
        done.event("feature_flag.evaluation", {"feature_flag.result.variant": "champion"})
        raise ValueError("mouldy")


def test_spans_of_two_processes_arrive_as_one_trace():
    with collecting() as (address, collector):
        gateway = otlp.ExportedSpans(address, headers={"x-team": "mill"}, attributes={"service.instance.id": "a"})
        worker = otlp.ExportedSpans(address, headers={}, attributes={"service.instance.id": "b"})
        with gateway.span("POST /v1/jobs", job_id="job_1", http__request__method="POST") as asked:
            carried = str(asked.traceparent)
        with pytest.raises(ValueError, match="mouldy"):
            work(worker, carried)
        gateway.close()
        worker.close()

    (asked,), (done,) = collector.spans["POST /v1/jobs"], collector.spans["job"]
    assert asked.trace_id == done.trace_id
    assert done.parent_span_id == asked.span_id
    assert asked.parent_span_id == b""
    assert attributes_of(asked) == {"headrace.job_id": "job_1", "http.request.method": "POST"}
    assert attributes_of(done)["headrace.decision_id"] == "dec_1"
    assert {event.name for event in done.events} == {"feature_flag.evaluation", "exception"}
    assert done.status.code == 2
    assert {each["service.instance.id"] for each in collector.resources} == {"a", "b"}
    assert collector.headers[0]["x-team"] == "mill"


def test_a_collector_that_is_away_costs_no_answer():
    spans = otlp.ExportedSpans("http://127.0.0.1:9", headers={}, attributes={})

    with spans.span("answer") as span:
        carried = span.traceparent

    assert len(carried.trace_id) == 32


def test_without_an_exporter_the_trace_of_the_caller_is_carried_on():
    caller = TraceParent.fresh()

    with Spans().span("answer", parent=str(caller)) as span:
        assert span.traceparent == caller


def test_without_a_caller_a_fresh_trace_begins():
    with Spans().span("one") as one, Spans().span("two") as two:
        assert one.trace_id != two.trace_id


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    ],
)
def test_what_is_no_traceparent_begins_a_fresh_trace(header):
    assert TraceParent.read(header) is None
    assert len(TraceParent.of(header).trace_id) == 32


def test_a_traceparent_is_read_and_written_as_the_standard_says():
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

    assert str(TraceParent.of(header)) == header
    # A later version may say more after the flags; what is known of it still counts.
    assert TraceParent.of(header.replace("00-", "01-", 1) + "-more").trace_id == "0af7651916cd43dd8448eb211c80319c"
