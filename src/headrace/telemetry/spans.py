"""Spans: what happened within one trace, by the OpenTelemetry API, and the `traceparent` that joins processes.

Without an SDK nothing is recorded, yet the trace of the caller is carried on: through the queue, to webhooks, to other
hosts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A place in a trace, as W3C Trace Context writes it; ids are lower-case hexadecimal."""

    trace_id: str
    span_id: str
    flags: int = 1

    @classmethod
    def read(cls, header: str) -> TraceParent | None:
        """What the header `traceparent` says; None when it says nothing that the standard allows."""
        found = _FORM.fullmatch(header.strip())
        if not found or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        if found[2] == "0" * 32 or found[3] == "0" * 16:
            return None
        return cls(found[2], found[3], int(found[4], 16))

    @classmethod
    def fresh(cls) -> TraceParent:
        """The beginning of a trace that nobody has named yet."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @classmethod
    def of(cls, header: str) -> TraceParent:
        """What `header` says, or a fresh one."""
        return cls.read(header) or cls.fresh()

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


class OpenSpan:
    """One piece of work that is going on; `traceparent` is what to hand to whoever does a part of it."""

    def __init__(self, span: trace.Span, parent: TraceParent, spans: Spans) -> None:
        self._span = span
        self._spans = spans
        own = span.get_span_context()
        here = parent
        # One that is not kept counts too: what is done for it is not kept either.
        if own.is_valid:
            here = TraceParent(f"{own.trace_id:032x}", f"{own.span_id:016x}", int(own.trace_flags))
        self.traceparent = here

    @property
    def trace_id(self) -> str:
        """The trace it belongs to."""
        return self.traceparent.trace_id

    def tell(self, **attributes: Attribute) -> None:
        """Adds attributes; `decision_id` is told as `headrace.decision_id`."""
        self._span.set_attributes(_named(attributes))

    def event(self, name: str, attributes: Mapping[str, Attribute], *, at_ns: int | None = None) -> None:
        """Something that happened, now or `at_ns`; attributes keep the names they come with."""
        self._span.add_event(name, dict(attributes), at_ns)

    def part(
        self, name: str, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: Attribute
    ) -> AbstractContextManager[OpenSpan]:
        """A span of a part of this work."""
        return self._spans.span(name, parent=self.traceparent, kind=kind, **attributes)

    def fail(self, reason: str) -> None:
        """Marks the work as failed."""
        self._span.set_status(Status(StatusCode.ERROR, reason))

    def end(self, *, at_ns: int | None = None) -> None:
        """Ends what `Spans.begin` began, now or `at_ns`."""
        self._span.end(at_ns)


class Spans:
    """Opens spans. `provider` is that of an SDK; None records nothing."""

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = (provider or trace.NoOpTracerProvider()).get_tracer("headrace")

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | TraceParent = "",
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: Attribute,
    ) -> Iterator[OpenSpan]:
        """A span under `parent`, or the root of a fresh trace; an error that passes through marks it as failed."""
        above = parent if isinstance(parent, TraceParent) else TraceParent.of(parent)
        is_root = not isinstance(parent, TraceParent) and TraceParent.read(parent) is None
        with self._tracer.start_as_current_span(
            name, context=None if is_root else _within(above), kind=kind, attributes=_named(attributes)
        ) as span:
            yield OpenSpan(span, above, self)

    def begin(
        self,
        name: str,
        *,
        parent: str | TraceParent = "",
        kind: SpanKind = SpanKind.INTERNAL,
        at_ns: int | None = None,
        **attributes: Attribute,
    ) -> OpenSpan:
        """A span that its caller ends, begun now or `at_ns` of the clock of `time.time_ns`; `parent` as in `span`."""
        known = parent if isinstance(parent, TraceParent) else TraceParent.read(parent)
        span = self._tracer.start_span(
            name,
            context=Context() if known is None else _within(known),
            kind=kind,
            attributes=_named(attributes),
            start_time=at_ns,
        )
        return OpenSpan(span, known or TraceParent.fresh(), self)


def _within(parent: TraceParent) -> Context:
    context = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
    )
    return trace.set_span_in_context(NonRecordingSpan(context))


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Own names go below `headrace.`; names of the semantic conventions are written with `__` for a dot."""
    return {
        name.replace("__", ".") if "__" in name else f"headrace.{name}": value for name, value in attributes.items()
    }
