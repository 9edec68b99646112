"""Worker: takes tickets, opens attempts, answers, stores under the attempt's number, and acknowledges only then."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from random import random
from time import monotonic
from typing import Any

from headrace.domain.job import Job, JobError, JobState, LeaseLost, RetryPolicy
from headrace.domain.stores import ArtifactStore, BegunJob, JobStore, JobSuccess
from headrace.errors import HeadraceError, NotFound, Overloaded, ServiceFailed
from headrace.jobs.attempt import Answering, JobAnswer, JobCheckpoints, LeftToOthers, RunningAttempt, Stop, Work
from headrace.jobs.broker import Broker, BrokerUnavailable, Delivery, Ticket
from headrace.jobs.gate import Gate
from headrace.jobs.job_queue import utc_now
from headrace.jobs.pace import Pace

LARGE_RESULT_BYTES = 256 * 1024
BEAT_S = 0.5
TAKE_S = 1.0
BATCH = 128
LONGEST_REST_S = 5.0

Isolate = Callable[[BegunJob], Awaitable[str | None]]
"""Runs a job that was begun in a process of its own, which settles it. Gives how that process died, or None."""

Note = Callable[[str, float], None]
"""Hears how each attempt ended and how many seconds it took."""


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """How a worker works; a worker that is silent for `lease_s` has lost its jobs."""

    lease_s: float = 15.0
    job_s: float = 3600.0
    drain_s: float = 20.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)


def _unheard(_outcome: str, _seconds: float) -> None:
    return None


class Worker:
    """Answers jobs until it is cancelled, then drains: what cannot end in time is handed back and loses nothing.

    `name` need not be unique: two workers of one name are told apart all the same. A job under which a process died
    goes to `isolate`; without one it runs here while nothing else does.
    """

    def __init__(
        self,
        store: JobStore,
        broker: Broker,
        artifacts: ArtifactStore,
        answer: Answering,
        *,
        pace: Pace,
        rules: WorkerRules | None = None,
        name: str = "worker",
        isolate: Isolate | None = None,
        note: Note = _unheard,
        on_dead: Callable[[Job], None] = lambda _: None,
        on_failure: Callable[[HeadraceError], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
        draw: Callable[[], float] = random,
    ) -> None:
        self.name = f"{name}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store = store
        self._broker = broker
        self._artifacts = artifacts
        self._answer = answer
        self._pace = pace
        self._rules = rules or WorkerRules()
        self._isolate = isolate
        self._note = note
        self._on_dead = on_dead
        self._on_failure = on_failure
        self._clock = clock
        self._draw = draw
        self._running: dict[asyncio.Task[Any], RunningAttempt] = {}
        self._freed = asyncio.Event()
        self._gate = Gate()
        self._acknowledging: list[Delivery] = []
        self._acknowledge = asyncio.Event()

    @property
    def running(self) -> int:
        """How many attempts run here now."""
        return len(self._running)

    async def run(self) -> None:
        """Works until it is cancelled, then drains.

        Raises:
            ServiceFailed: a part of it ended by itself; it has drained, and another is to take its place.
        """
        loops = (self._take_all(), self._beat(), self._acknowledge_all())
        taking, *keepers = [asyncio.create_task(each) for each in loops]
        try:
            ended, _ = await asyncio.wait({taking, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for each in ended:
                failure = asyncio.CancelledError() if each.cancelled() else each.exception()
                raise ServiceFailed(f"A part of the worker ended by itself: {failure!r}.") from failure
        finally:
            taking.cancel()
            await asyncio.wait({taking})
            await self._drain()
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            with suppress(BrokerUnavailable):
                await self._broker.acknowledge(self._acknowledging)
            with suppress(HeadraceError):
                await self._broker.close()

    async def run_begun(self, begun: BegunJob) -> str:
        """Runs one attempt that was begun elsewhere, and settles it; how it ended."""
        attempt = RunningAttempt(begun, Delivery(Ticket(begun.job.id, begun.job.priority), ""))
        beating = asyncio.create_task(self._beat())
        task = asyncio.create_task(self._run_here(attempt))
        self._running[task] = attempt
        try:
            return await task
        finally:
            beating.cancel()

    async def _take_all(self) -> None:
        rest_s = 0.05
        while True:
            room = self._pace.limit - len(self._running)
            if room <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            try:
                deliveries = await self._broker.take(limit=min(room, BATCH), timeout_s=TAKE_S)
                if deliveries:
                    await self._begin(deliveries)
                rest_s = 0.05
            except HeadraceError as failure:
                self._on_failure(failure)
                await asyncio.sleep(rest_s)
                rest_s = min(LONGEST_REST_S, rest_s * 2)

    async def _begin(self, deliveries: Sequence[Delivery]) -> None:
        """An attempt for each job that is due; a ticket that leads to none is acknowledged and forgotten."""
        tickets = {delivery.ticket.job_id: delivery for delivery in deliveries}
        try:
            found = await self._store.begin(
                list(tickets), worker=self.name, now=self._clock(), lease_s=self._rules.lease_s
            )
        except BaseException:
            with suppress(HeadraceError):
                await asyncio.shield(self._broker.hand_back(deliveries))
            raise
        begun = {each.job.id for each in found}
        self._settle_tickets([each for each in deliveries if each is not tickets[each.ticket.job_id]])
        self._settle_tickets([tickets[job_id] for job_id in tickets if job_id not in begun])
        for each in found:
            attempt = RunningAttempt(each, tickets[each.job.id])
            task = asyncio.create_task(self._live(attempt))
            self._running[task] = attempt
            task.add_done_callback(self._forget)
        self._pace.took(len(self._running))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._freed.set()
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._on_failure(ServiceFailed(f"An attempt ended badly: {type(failure).__name__}: {failure}"))

    async def _live(self, attempt: RunningAttempt) -> None:
        """One attempt from its beginning to its acknowledged end."""
        if attempt.begun.job.attempts[-1].isolated:
            outcome = await self._run_alone(attempt)
        else:
            async with self._gate.among_others():
                outcome = await self._run_here(attempt)
        self._note(outcome, monotonic() - attempt.begun_at)
        if outcome == "turned_away":
            self._pace.turned_away()
        elif outcome != "left":
            self._pace.ended()
        self._settle_tickets([attempt.delivery])

    async def _run_alone(self, attempt: RunningAttempt) -> str:
        if self._isolate is None:
            async with self._gate.alone():
                return await self._run_here(attempt)
        attempt.is_elsewhere = True
        process = asyncio.ensure_future(self._isolate(attempt.begun))
        attempt.answering = process
        await asyncio.wait({process})
        if process.cancelled():
            return await self._settled(attempt, lambda: self._stopped(attempt))
        if (failure := process.exception()) is not None:
            return await self._settled(attempt, lambda: self._failed(attempt, failure))
        evidence = process.result()
        if evidence is None:
            return "isolated"
        policy, now = self._rules.policy, self._clock
        return await self._settled(
            attempt,
            lambda: self._told(
                "lapsed",
                self._store.lapse(
                    attempt.job_id, attempt.number, now=now(), policy=policy, alone=True, evidence=evidence
                ),
            ),
        )

    async def _run_here(self, attempt: RunningAttempt) -> str:
        overdue = asyncio.get_running_loop().call_later(self._rules.job_s, attempt.stop, Stop.OVERDUE)
        try:
            answer = await attempt.answered_by(lambda: self._answered(attempt))
        except asyncio.CancelledError as cancelled:
            if attempt.stopped is not None:
                return await self._settled(attempt, lambda: self._stopped(attempt))
            if attempt.is_cancelled:
                raise
            # The pipeline cancelled itself, which is a failure like any other.
            failure: BaseException = cancelled
        # The author's code may raise anything, and its job is told of it.
        except Exception as raised:  # noqa: BLE001
            failure = raised
        else:
            return await self._settled(attempt, lambda: self._succeeded(attempt, answer))
        finally:
            overdue.cancel()
        return await self._settled(attempt, lambda: self._failed(attempt, failure))

    async def _answered(self, attempt: RunningAttempt) -> JobAnswer:
        job, content = attempt.begun.job, attempt.begun.inline
        if content is None:
            content = await asyncio.to_thread(self._artifacts.get, job.input_digest)
        # A first attempt has nothing to go on from.
        kept = await self._store.checkpoints(job.input_digest) if len(job.attempts) > 1 else {}
        checkpoints = JobCheckpoints(self._store, attempt.begun, kept, clock=self._clock)

        async def rebind(release: str) -> Job:
            return await self._store.rebind(job.id, attempt.number, release, now=self._clock())

        try:
            return await self._answer(Work(job, attempt.number, content, attempt.report, checkpoints, rebind))
        finally:
            checkpoints.close()

    async def _succeeded(self, attempt: RunningAttempt, answer: JobAnswer) -> str:
        body, digest = answer.body, None
        if len(body) > LARGE_RESULT_BYTES:
            body, digest = b"", await asyncio.to_thread(self._artifacts.put, answer.body)
        success = JobSuccess(
            attempt.job_id,
            attempt.number,
            body,
            digest=digest,
            decision=answer.decision,
            decision_id=answer.decision_id,
            progress=attempt.progress,
        )
        await self._store.succeed(success, now=self._clock())
        return "succeeded"

    async def _failed(self, attempt: RunningAttempt, failure: BaseException) -> str:
        if isinstance(failure, Overloaded):
            # There was no room: the job has not been tried, and loses nothing.
            wait_s = failure.retry_after_s * (0.5 + self._draw())
            await self._store.hand_back(attempt.job_id, attempt.number, now=self._clock(), wait_s=wait_s)
            return "turned_away"
        if isinstance(failure, LeftToOthers):
            await self._store.hand_back(attempt.job_id, attempt.number, now=self._clock(), wait_s=failure.wait_s)
            return "left"
        job = await self._store.fail(
            attempt.job_id,
            attempt.number,
            _error_of(failure),
            now=self._clock(),
            policy=self._rules.policy,
            jitter=self._draw(),
        )
        self._look_at(job)
        return "failed"

    async def _stopped(self, attempt: RunningAttempt) -> str:
        job_id, number, now = attempt.job_id, attempt.number, self._clock()
        if attempt.stopped is Stop.CANCELLED:
            return await self._told("cancelled", self._store.stop(job_id, number, now=now))
        if attempt.stopped is Stop.OVERDUE:
            overdue = JobError("deadline_exceeded", f"It took longer than {self._rules.job_s:g} s.", retryable=True)
            failing = self._store.fail(job_id, number, overdue, now=now, policy=self._rules.policy, jitter=self._draw())
            return await self._told("overdue", failing)
        if attempt.stopped is Stop.LOST:
            return "lost"
        return await self._told("handed_back", self._store.hand_back(job_id, number, now=now))

    async def _told(self, outcome: str, telling: Awaitable[Job]) -> str:
        self._look_at(await telling)
        return outcome

    def _look_at(self, job: Job) -> None:
        if job.state is JobState.FAILED:
            self._on_dead(job)

    async def _settled(self, attempt: RunningAttempt, settle: Callable[[], Awaitable[str]]) -> str:
        """Tells the store, again and again while that is away: an answer is not thrown away for a lost connection."""
        rest_s = 0.1
        while True:
            try:
                return await settle()
            except (LeaseLost, NotFound):
                return "lost"
            except HeadraceError as failure:
                if not failure.retryable:
                    raise
                self._on_failure(failure)
            if attempt.stopped is Stop.LOST:
                return "lost"
            await asyncio.sleep(rest_s)
            rest_s = min(LONGEST_REST_S, rest_s * 2)

    def _settle_tickets(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._acknowledging += deliveries
            self._acknowledge.set()

    async def _acknowledge_all(self) -> None:
        """In batches; a ticket whose acknowledgement is lost comes again and leads nowhere."""
        while True:
            await self._acknowledge.wait()
            self._acknowledge.clear()
            deliveries, self._acknowledging = self._acknowledging, []
            with suppress(BrokerUnavailable):
                await self._broker.acknowledge(deliveries)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            attempts = list(self._running.values())
            if not attempts:
                continue
            try:
                await asyncio.gather(*(self._tell_progress(attempt) for attempt in attempts))
                held = [(attempt.job_id, attempt.number) for attempt in attempts]
                holds = await self._store.hold(held, now=self._clock(), lease_s=self._rules.lease_s)
            except HeadraceError as failure:
                self._on_failure(failure)
                continue
            for attempt in attempts:
                key = (attempt.job_id, attempt.number)
                if key in holds.lost:
                    self._lose(attempt)
                elif key in holds.cancelled:
                    attempt.stop(Stop.CANCELLED)

    def _lose(self, attempt: RunningAttempt) -> None:
        # A process of its own settles its job itself, by which the lease here is lost, and is given time to end.
        attempt.lost_at = attempt.lost_at or monotonic()
        if not attempt.is_elsewhere or monotonic() - attempt.lost_at > self._rules.drain_s:
            attempt.stop(Stop.LOST)

    async def _tell_progress(self, attempt: RunningAttempt) -> None:
        news = attempt.news()
        if news is not None:
            with suppress(LeaseLost, NotFound):
                await self._store.progress(attempt.job_id, attempt.number, news, now=self._clock())

    async def _drain(self) -> None:
        tasks = set(self._running)
        if tasks:
            await asyncio.wait(tasks, timeout=self._rules.drain_s)
        for attempt in self._running.values():
            attempt.stop(Stop.DRAINED)
        left = set(self._running)
        if left:
            await asyncio.wait(left, timeout=self._rules.lease_s)
            for task in left:
                task.cancel()


def _error_of(failure: BaseException) -> JobError:
    if isinstance(failure, HeadraceError):
        return JobError(failure.code, failure.outside, retryable=failure.retryable)
    # The text of a foreign error may hold paths or content: its kind alone is told.
    return JobError("service_failed", f"The pipeline failed: {type(failure).__name__}.", retryable=True)
