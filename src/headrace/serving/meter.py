"""The witness that counts and times what was answered."""

from __future__ import annotations

from headrace.domain.decision import Decision
from headrace.telemetry import Metrics


class Meter:
    """Tells the metrics of every decision: how long each service queued and computed, and what was degraded."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, decision: Decision) -> None:
        """Notes a decision."""
        for step in decision.steps:
            self._metrics.stage_seconds.labels(step.service, "queued").observe(step.queued_ms / 1000)
            self._metrics.stage_seconds.labels(step.service, "computing").observe(step.compute_ms / 1000)
            self._metrics.batch_size.labels(step.service).observe(step.batch_size)
        for each in decision.degraded:
            self._metrics.degraded.labels(each.service, each.reason).inc()
