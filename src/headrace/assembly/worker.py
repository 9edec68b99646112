"""The role `worker`: answers jobs by the same endpoints as the gateway."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from functools import partial

from opentelemetry.trace import SpanKind

from headrace.assembly.binding import Binding, serving_variant
from headrace.assembly.isolated import isolating, origin_of
from headrace.assembly.jobs import broker_of, is_embedded
from headrace.assembly.platform import Running
from headrace.domain.job import Job, RetryPolicy
from headrace.errors import HeadraceError, InvalidConfiguration, NotFound
from headrace.jobs.attempt import Answering, JobAnswer, Work
from headrace.jobs.broker import Broker
from headrace.jobs.brokers.enduring import EnduringBroker
from headrace.jobs.colleagues import Colleagues
from headrace.jobs.pace import Pace
from headrace.jobs.worker import Worker, WorkerRules
from headrace.serving.context import Context, Priority, Progress
from headrace.serving.cores import usable_cores
from headrace.serving.question import question_of
from headrace.serving.upload import Upload
from headrace.settings import JobSettings
from headrace.telemetry import TraceParent

MOST_A_CORE = 32


async def work(running: Running) -> None:
    """Works until it is cancelled, then hands back what cannot end in time."""
    colleagues = colleagues_of(running)
    worker = worker_of(running, colleagues)
    metrics = running.metrics
    metrics.running_jobs.set_function(lambda: worker.running)
    attending = asyncio.create_task(colleagues.attend())
    try:
        await worker.run()
    finally:
        attending.cancel()
        await asyncio.gather(attending, return_exceptions=True)


def colleagues_of(running: Running) -> Colleagues:
    """The workers beside this one, which are silent for a lease before they are held to be dead."""
    return Colleagues(
        running.jobs.attendances,
        f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        running.planner.codes(),
        silent_s=running.settings.jobs.lease_s,
        on_failure=telling_of(running, "attendance_failed"),
    )


def worker_of(running: Running, colleagues: Colleagues, *, is_isolated: bool = False) -> Worker:
    """A worker of a running platform; one that is isolated already sends nothing to a process of its own."""
    settings, jobs = running.settings, running.jobs
    pace = _pace(settings.jobs)
    running.metrics.job_concurrency.set_function(lambda: pace.limit)
    binding = Binding(running, colleagues, rebinds=settings.jobs.release_gone == "rebind")
    origin = None if is_isolated else origin_of(running.platform)
    return Worker(
        jobs.store,
        _broker(running),
        jobs.artifacts,
        answering(running, binding),
        pace=pace,
        rules=rules_of(settings.jobs),
        isolate=None if origin is None else isolating(origin, settings),
        note=partial(_note, running),
        on_dead=partial(note_dead, running),
        on_failure=telling_of(running, "worker_failed"),
    )


def _broker(running: Running) -> Broker:
    settings, store = running.settings, running.jobs.store
    broker = broker_of(settings, store)
    if is_embedded(settings):
        return broker

    def on_overdue(age_s: float) -> None:
        remedy = "Jobs are taken from the store for now; check [broker] url, its server, and that a role control runs."
        running.tell("broker_passed_over", {"overdue_s": round(age_s, 1), "remedy": remedy})

    return EnduringBroker(broker, store, ticket_s=settings.jobs.lease_s, on_overdue=on_overdue)


def rules_of(settings: JobSettings) -> WorkerRules:
    """How workers work."""
    return WorkerRules(
        lease_s=settings.lease_s, job_s=settings.job_seconds, drain_s=settings.drain_s, policy=policy_of(settings)
    )


def policy_of(settings: JobSettings) -> RetryPolicy:
    """How often jobs are tried."""
    return RetryPolicy(attempts_allowed=settings.attempts, deaths_allowed=settings.deaths)


def telling_of(running: Running, event: str) -> Callable[[HeadraceError], None]:
    """Tells of failures that a loop outlives."""
    return lambda failure: running.tell(event, {"code": failure.code, "detail": str(failure)})


def answering(running: Running, binding: Binding) -> Answering:
    """Answers a job by its endpoint, under the release that it is bound to."""
    spans = running.spans

    async def answer(work: Work) -> JobAnswer:
        carried = work.job.request.trace
        if spans is None:
            return await answered_within(work, carried)
        name, kind = f"attempt {work.job.endpoint}", SpanKind.CONSUMER
        with spans.span(name, parent=carried, kind=kind, job_id=work.job.id, attempt=work.number) as span:
            answer = await answered_within(work, str(span.traceparent))
            span.tell(decision_id=answer.decision_id or "")
        return answer

    async def answered_within(work: Work, carried: str) -> JobAnswer:
        job = work.job
        endpoint = running.endpoints.get(job.endpoint)
        if endpoint is None:
            raise NotFound(
                f"There is no endpoint {job.endpoint} any more.", remedy="Serve it again, then retry the job."
            )
        upload = Upload(work.content, job.request.filename, job.request.media_type)
        question = question_of(endpoint.route, upload)

        def report(progress: Progress) -> None:
            work.report(progress.stage, progress.done, progress.total)

        context = Context(
            key=job.request.variant_key or job.input_digest,
            priority=Priority(job.priority),
            trace_id=_trace_id(carried),
            trace_parent=carried,
            progress=report,
            tags=job.request.tags,
            checkpoints=work.checkpoints,
        )
        async with binding.bound(endpoint, work) as variant:
            answered = await endpoint.answer(
                question,
                context=context,
                input_digest=job.input_digest,
                request_id=job.request.request_id,
                variant=variant,
            )
        return JobAnswer(answered.body, decision_id=answered.decision.id)

    return answer


def release_now(running: Running, job: Job) -> str | None:
    """The release that would answer the job if it came in now; None where nothing answers its endpoint."""
    endpoint = running.endpoints.get(job.endpoint)
    return None if endpoint is None else serving_variant(endpoint, job).release


def _pace(settings: JobSettings) -> Pace:
    cores = usable_cores()
    if settings.concurrency == "auto":
        return Pace(least=1, most=MOST_A_CORE * cores, first=2 * cores)
    if not str(settings.concurrency).isdecimal() or int(settings.concurrency) < 1:
        raise InvalidConfiguration(
            f"[jobs] concurrency = {settings.concurrency!r} is no number of jobs.", remedy='Write "auto", or 1 or more.'
        )
    fixed = int(settings.concurrency)
    return Pace(least=fixed, most=fixed, first=fixed)


def note_dead(running: Running, job: Job) -> None:
    """Counts and tells of a job that was given up."""
    code = "unknown" if job.error is None else job.error.code
    running.metrics.dead_jobs.labels(code).inc()
    facts = {"job_id": job.id, "trace_id": _trace_id(job.request.trace), "code": code, "attempts": len(job.attempts)}
    running.tell("job_failed", facts)


def _trace_id(carried: str) -> str:
    place = TraceParent.read(carried)
    return "" if place is None else place.trace_id


def _note(running: Running, outcome: str, seconds: float) -> None:
    running.metrics.attempts.labels(outcome).inc()
    running.metrics.attempt_seconds.labels(outcome).observe(seconds)
