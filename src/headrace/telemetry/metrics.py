"""Metrics: all of one process in one registry, which is passed on."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from headrace.telemetry.histogram import Histogram
from headrace.telemetry.variants import VariantMetrics

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "headrace_requests", "Answered requests by route and status.", ["route", "status"], **own
        )
        self.request_seconds = Histogram(
            "headrace_request_seconds", "Time from the first byte to the answer.", ["route"], buckets=SECONDS, **own
        )
        self.stage_seconds = Histogram(
            "headrace_stage_seconds",
            "Time of each service within answers, queued or computing.",
            ["service", "stage"],
            buckets=SECONDS,
            **own,
        )
        self.batch_size = Histogram(
            "headrace_batch_questions",
            "Questions that shared a call.",
            ["service"],
            buckets=(1, 2, 4, 8, 16, 32),
            **own,
        )
        self.in_flight = Gauge("headrace_in_flight_requests", "Questions being answered.", **own)
        self.in_flight_limit = Gauge(
            "headrace_in_flight_limit_requests", "Questions that may be answered at once.", **own
        )
        self.degraded = Counter(
            "headrace_degraded_answers", "Answers that a lesser way gave.", ["service", "reason"], **own
        )
        self.decisions = Counter(
            "headrace_decisions", "Decisions by what became of them: accepted, stored, refused.", ["outcome"], **own
        )
        self.missing_decisions = Gauge(
            "headrace_missing_decisions", "Accepted, and neither stored nor refused nor on their way: 0.", **own
        )
        self.waiting_decisions = Gauge("headrace_waiting_decisions", "Accepted, and on their way to the store.", **own)
        self.journal_bytes = Gauge("headrace_journal_bytes", "What the decision journal takes up on the disc.", **own)
        self.replicas = Gauge("headrace_replicas", "Live replicas.", ["service"], **own)
        self.restarts = Gauge("headrace_replica_restarts", "Replicas that were replaced.", ["service"], **own)
        self.open_breakers = Gauge(
            "headrace_open_breakers", "Ways to answer that are left to rest, for they failed.", ["service"], **own
        )
        self.retries = Gauge("headrace_service_retries", "Calls that were tried again.", ["service"], **own)
        self.variants = VariantMetrics(self.registry)
        self.webhook_tries = Counter(
            "headrace_webhook_tries", "Tries to deliver webhooks, by where the delivery stands then.", ["state"], **own
        )
        self.webhook_lag_seconds = Histogram(
            "headrace_webhook_lag_seconds", "From an event to its delivery.", buckets=SECONDS, **own
        )
        self.queue_age = Gauge("headrace_queue_age_seconds", "How long the oldest due job has waited.", ["line"], **own)
        self.queue_jobs = Gauge(
            "headrace_queue_jobs", "Jobs that are due: waiting, or with a ticket out.", ["line", "stage"], **own
        )
        self.attempts = Counter("headrace_job_attempts", "Attempts at jobs by how they ended.", ["outcome"], **own)
        self.attempt_seconds = Histogram(
            "headrace_job_attempt_seconds", "Time of attempts at jobs.", ["outcome"], buckets=SECONDS, **own
        )
        self.lease_losses = Counter("headrace_lease_losses", "Attempts whose worker fell silent.", **own)
        self.dead_jobs = Counter("headrace_dead_jobs", "Jobs that were given up, by their error.", ["code"], **own)
        self.running_jobs = Gauge("headrace_running_jobs", "Attempts that run now.", **own)
        self.job_concurrency = Gauge("headrace_job_concurrency", "Attempts that may run at once.", **own)

        self.watched = Counter(
            "headrace_watched_decisions",
            "Decisions by what the watch made of them: seen, dropped, failed.",
            ["outcome"],
            **own,
        )
        self.alerts = Counter("headrace_alerts", "Alerts raised and recovered.", ["kind", "rule", "severity"], **own)
        self.quarantined = Counter("headrace_quarantined_inputs", "Inputs that were kept back.", ["reason"], **own)

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
