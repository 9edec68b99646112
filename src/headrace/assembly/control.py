"""The role `control`: tickets to the broker, jobs of silent workers round again, the watch, webhooks, figures."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from headrace.assembly.jobs import broker_of, is_embedded
from headrace.assembly.labels import calibration_by, labels_of, reference_by
from headrace.assembly.monitoring import monitor_of, watch_by_the_clock
from headrace.assembly.platform import Running
from headrace.assembly.webhooks import deliver
from headrace.assembly.worker import note_dead, policy_of, telling_of
from headrace.domain.job import Job, JobState
from headrace.errors import HeadraceError, ServiceFailed
from headrace.jobs.broker import PRIORITIES
from headrace.jobs.job_queue import utc_now
from headrace.jobs.relay import Relay
from headrace.jobs.sweeper import Sweeper

FIGURES_S = 2.0
FORGET_S = 600.0


async def control(running: Running) -> None:
    """Runs until it is cancelled. Any number of processes may take this role: each step is safe beside others."""
    works = {
        "sweeper": _sweeper(running).run(),
        "figures": _tell_figures(running),
        "retention": _forget(running),
        "webhooks": deliver(running),
        "batches": running.jobs.batches.run(),
    }
    if running.settings.monitoring.enabled:
        works["monitoring"] = _watch(running)
    if not is_embedded(running.settings):
        works["relay"] = _relay(running)
    await together(works)


async def together(works: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Runs all of them until it is cancelled.

    Raises:
        ExceptionGroup: one ended by itself, in whatever way, by which the others are ended too.
    """
    async with asyncio.TaskGroup() as group:
        for name, work in works.items():
            group.create_task(_for_ever(name, work))


async def _for_ever(name: str, work: Coroutine[Any, Any, None]) -> None:
    # A group takes no notice of a task that returns or is cancelled from within: the rest would live on without it.
    try:
        await work
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ServiceFailed(f"The part {name} of the role control was cancelled from within.") from cancelled
    raise ServiceFailed(f"The part {name} of the role control ended by itself.")


async def _watch(running: Running) -> None:
    watch = running.settings.monitoring
    monitor = partial(
        monitor_of,
        running.settings,
        running.monitoring.store,
        labels_of(running.stores),
        calibration_by(running.stores, running.registry),
        reference_by(running.stores, running.registry),
        tell=running.tell,
    )
    await watch_by_the_clock(
        running.monitoring,
        monitor,
        running.jobs.webhooks,
        every_s=watch.look_s,
        metrics=running.metrics,
        tell=running.tell,
    )


def _sweeper(running: Running) -> Sweeper:
    settings, metrics = running.settings.jobs, running.metrics

    def on_lapse(job: Job) -> None:
        metrics.lease_losses.inc()
        facts = {"job_id": job.id, "attempt": len(job.attempts), "state": job.state.value}
        running.tell("lease_lost", facts)
        if job.state is JobState.FAILED:
            note_dead(running, job)

    return Sweeper(
        running.jobs.store,
        lease_s=settings.lease_s,
        policy=policy_of(settings),
        on_lapse=on_lapse,
        on_failure=telling_of(running, "sweeper_failed"),
    )


async def _relay(running: Running) -> None:
    broker = broker_of(running.settings, running.jobs.store)
    relay = Relay(
        running.jobs.store,
        broker,
        ticket_s=4 * running.settings.jobs.lease_s,
        on_failure=telling_of(running, "relay_failed"),
    )
    try:
        await relay.run()
    finally:
        await broker.close()


async def _tell_figures(running: Running) -> None:
    """The gauges of the queue, now and every few seconds."""
    metrics, failed = running.metrics, telling_of(running, "figures_failed")
    while True:
        try:
            figures = {line.priority: line for line in await running.jobs.store.figures(now=utc_now())}
        except HeadraceError as failure:
            failed(failure)
        else:
            for priority in {*PRIORITIES, *figures}:
                line = figures.get(priority)
                metrics.queue_age.labels(priority).set(0.0 if line is None else line.age_s)
                metrics.queue_jobs.labels(priority, "waiting").set(0 if line is None else line.waiting)
                metrics.queue_jobs.labels(priority, "ticketed").set(0 if line is None else line.ticketed)
        await asyncio.sleep(FIGURES_S)


async def _forget(running: Running) -> None:
    """Drops jobs that ended long ago, with their inputs and results; now and every few minutes."""
    jobs, keep = running.jobs, timedelta(days=running.settings.jobs.keep_days)
    failed = telling_of(running, "retention_failed")
    while True:
        try:
            while digests := await jobs.store.forget(before=utc_now() - keep):
                for digest in digests:
                    await asyncio.to_thread(jobs.artifacts.delete, digest)
        except HeadraceError as failure:
            failed(failure)
        await asyncio.sleep(FORGET_S)
