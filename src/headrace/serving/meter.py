"""The witness that counts and times what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headrace.domain.decision import Decision
from headrace.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class _Of:
    """The metrics of one service: looked up by their labels once."""

    queued: Any
    computing: Any
    batch_size: Any


class Meter:
    """Tells the metrics of every decision: how long each service queued and computed, and what was degraded."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._of: dict[str, _Of] = {}

    def __call__(self, decision: Decision) -> None:
        """Notes a decision."""
        for step in decision.steps:
            of = self._of.get(step.service) or self._look_up(step.service)
            of.queued.observe(step.queued_ms / 1000)
            of.computing.observe(step.compute_ms / 1000)
            of.batch_size.observe(step.batch_size)
        for each in decision.degraded:
            self._metrics.degraded.labels(each.service, each.reason).inc()

    def _look_up(self, service: str) -> _Of:
        stage = self._metrics.stage_seconds
        found = _Of(
            stage.labels(service, "queued"),
            stage.labels(service, "computing"),
            self._metrics.batch_size.labels(service),
        )
        return self._of.setdefault(service, found)
