"""The metrics of variants and rollouts, with labels that stay few: a release by the first twelve digits of its id."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace.telemetry.histogram import Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_VARIANT = ["pipeline", "variant", "release"]


class VariantMetrics:
    """What answers, and what is judged of it. Names on `_ratio` do not add up over the processes of a server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        own: dict[str, Any] = {"registry": registry}
        self.answers = Counter(
            "headrace_variant_answers", "Questions by what came of them.", [*_VARIANT, "outcome"], **own
        )
        self.seconds = Histogram(
            "headrace_variant_answer_seconds", "What answers took.", _VARIANT, buckets=SECONDS, **own
        )
        self.confidence = Histogram(
            "headrace_variant_confidence_ratio", "How sure answers are.", _VARIANT, buckets=CONFIDENCES, **own
        )
        self.shadows = Counter(
            "headrace_shadow_answers",
            "Answers out of sight: agreed, disagreed, failed, dropped.",
            ["pipeline", "release", "outcome"],
            **own,
        )
        self.share = Gauge("headrace_rollout_share_ratio", "The candidate's part of the traffic.", ["pipeline"], **own)
        self.harm = Gauge(
            "headrace_rollout_harm_ratio",
            "Evidence of harm over what is needed to roll back: at 1 it is.",
            ["pipeline", "guard"],
            **own,
        )
        self.mismatch = Gauge(
            "headrace_rollout_mismatch_ratio",
            "Evidence against the planned split over what is needed to hold: at 1 it is.",
            ["pipeline"],
            **own,
        )
        self.changes = Counter(
            "headrace_rollout_changes", "Changes of rollouts made by this process.", ["pipeline", "state"], **own
        )
        self.lost = Counter(
            "headrace_rollout_lost_sightings", "Questions that no rollout counted: more came than fit.", **own
        )
        self.store_failures = Counter(
            "headrace_rollout_store_failures", "Looks at which the store of rollouts failed.", ["pipeline"], **own
        )


def short(release: str) -> str:
    """A release as a label."""
    return release.removeprefix("sha256:")[:12]
