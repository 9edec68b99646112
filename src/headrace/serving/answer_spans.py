"""The spans of an answer, made of what its decision and its calls to services say, once it is on its way."""

from __future__ import annotations

import asyncio
import time

from headrace.domain.decision import Decision
from headrace.errors import HeadraceError
from headrace.serving.answered import Answered
from headrace.serving.context import Context, ServiceCall
from headrace.serving.door import Failed
from headrace.telemetry import OpenSpan, Spans

MS_NS, S_NS = 1_000_000, 1_000_000_000


class AnswerSpans:
    """Makes a span of each answer within a recorded trace, and one below it of each call to a service."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def __call__(self, answered: Answered) -> None:
        """Sees an answer; the spans are made when the event loop is free again, which is after it went out."""
        if answered.context.trace_parent:
            asyncio.get_running_loop().call_soon(self._tell, answered)

    def failed(self, failed: Failed) -> None:
        """Sees a question that failed: its span says of what, and its calls to services are below it as ever."""
        if failed.context.trace_parent:
            ended_ns, failure = time.time_ns(), failed.failure
            span = self._spans.begin(
                f"answer {failed.endpoint}",
                parent=failed.context.trace_parent,
                at_ns=ended_ns - int((time.monotonic() - failed.begun) * S_NS),
                release=failed.context.release,
                error__type=failure.code if isinstance(failure, HeadraceError) else type(failure).__name__,
            )
            self._tell_calls(failed.context, span)
            span.fail(str(failure))
            span.end(at_ns=ended_ns)

    def _tell(self, answered: Answered) -> None:
        decision = answered.decision
        ended_ns = int(decision.created_at.timestamp() * S_NS)
        begun_ns = ended_ns - int(decision.duration_ms * MS_NS)
        span = self._spans.begin(
            f"answer {decision.endpoint}",
            parent=answered.context.trace_parent,
            at_ns=begun_ns,
            decision_id=decision.id,
            release=decision.release,
            variant=decision.variant,
        )
        span.event("feature_flag.evaluation", _flag(decision), at_ns=begun_ns)
        for each in decision.degraded:
            span.event("degraded", {"headrace.service": each.service, "headrace.reason": each.reason}, at_ns=ended_ns)
        self._tell_calls(answered.context, span)
        span.end(at_ns=ended_ns)

    def _tell_calls(self, context: Context, span: OpenSpan) -> None:
        monotonic_began_ns = time.time_ns() - time.monotonic_ns()
        for call in context.calls:
            # What was not computed for this answer took no time of it.
            if call.ended_at:
                self._tell_call(call, span, ended_ns=monotonic_began_ns + int(call.ended_at * S_NS))

    def _tell_call(self, call: ServiceCall, answer: OpenSpan, *, ended_ns: int) -> None:
        self._spans.begin(
            f"{call.service}.{call.method}",
            parent=answer.traceparent,
            at_ns=ended_ns - int((call.queued_ms + call.compute_ms) * MS_NS),
            queued_ms=call.queued_ms,
            compute_ms=call.compute_ms,
            batch_size=call.batch_size,
            model=call.model or "",
        ).end(at_ns=ended_ns)


def _flag(decision: Decision) -> dict[str, str]:
    """By the semantic conventions for feature flags: a rollout is a flag, its releases are versions."""
    return {
        "feature_flag.key": decision.endpoint.partition("/")[0],
        "feature_flag.provider.name": "headrace",
        "feature_flag.result.variant": decision.variant,
        "feature_flag.version": decision.release,
    }
