"""Logs, metrics and spans in one voice."""

from headrace.telemetry.logs import configured_logs
from headrace.telemetry.metrics import SECONDS, Metrics
from headrace.telemetry.spans import OpenSpan, Spans, TraceParent

__all__ = ["SECONDS", "Metrics", "OpenSpan", "Spans", "TraceParent", "configured_logs"]
