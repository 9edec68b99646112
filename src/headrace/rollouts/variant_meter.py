"""The meter of variants: counts and times every answer by the release that gave it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.domain.release import Variant
from headrace.serving.answered import Answered
from headrace.telemetry.variants import VariantMetrics, short


@dataclass(slots=True)
class _Target:
    """One variant with all that a call needs of it made beforehand."""

    labels: tuple[str, str, str]
    seconds: Any
    confidence: Any
    outcomes: dict[str, Any] = field(default_factory=dict)


class VariantMeter:
    """On the way of every answer, so metrics are looked up once for each variant and outcome."""

    def __init__(self, metrics: VariantMetrics) -> None:
        self._metrics = metrics
        self._targets: dict[tuple[str, str, str], _Target] = {}

    def measure(self, path: str, variant: Variant, outcome: Answered | Exception) -> None:
        """Notes what became of a question to the endpoint at `path`."""
        place = (path, variant.name, variant.release)
        target = self._targets.get(place)
        if target is None:
            labels = (path.partition("/")[0], variant.name, short(variant.release))
            target = _Target(labels, self._metrics.seconds.labels(*labels), self._metrics.confidence.labels(*labels))
            self._targets[place] = target
        name = "failed"
        if isinstance(outcome, Answered):
            decision = outcome.decision
            name = "degraded" if decision.degraded else "answered"
            target.seconds.observe(decision.duration_ms / 1000)
            if decision.sureness is not None:
                target.confidence.observe(decision.sureness)
        counter = target.outcomes.get(name)
        if counter is None:
            counter = target.outcomes[name] = self._metrics.answers.labels(*target.labels, name)
        counter.inc()
