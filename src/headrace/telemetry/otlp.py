"""Spans sent to a collector by OTLP over HTTP; needs the extra `otlp`."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from headrace.telemetry.spans import Spans


class ExportedSpans(Spans):
    """Spans that are sent in batches from a thread of their own; a collector that is away costs spans, never time.

    `endpoint` is the collector's address, such as `http://127.0.0.1:4318`; `share` of the traces begun here is kept,
    and those of callers as they ask.
    """

    def __init__(
        self, endpoint: str, *, headers: Mapping[str, str], attributes: Mapping[str, str], share: float = 1.0
    ) -> None:
        address = endpoint.rstrip("/")
        if not address.endswith("/v1/traces"):
            address += "/v1/traces"
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "headrace", **attributes}),
            sampler=ParentBased(TraceIdRatioBased(share)),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=address, headers=dict(headers), timeout=10)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        super().__init__(self._provider)

    def close(self) -> None:
        """Sends what is waiting, for at most a few seconds, and ends the thread."""
        self._provider.force_flush(5_000)
        self._provider.shutdown()
