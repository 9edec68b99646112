"""Replicas in guarded worker processes: for parsers of untrusted bytes. One call at a time in each, each warm."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from msgspec.structs import replace

from headrace.errors import DeadlineExceeded, HeadraceError, InvalidConfiguration, Overloaded, ServiceFailed, Unreadable
from headrace.serving.checkpoints import Scoped, scope_of
from headrace.serving.context import Context
from headrace.serving.runtime import Health, ReplicaState, Reply
from headrace.serving.runtimes.cell import sweep_cells
from headrace.serving.runtimes.frames import Ask
from headrace.serving.runtimes.guarded_worker import GuardedWorker, Origin, WorkerDied, WorkerOverdue
from headrace.serving.scaling import IDLE_S, Scaling
from headrace.serving.service import Guard, Method, Service
from headrace.serving.wire import Codec, codecs_of

DEATHS_ALLOWED, TRIES_ALLOWED = 2, 5
USUAL_WALL_S = 60.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 10.0
FAILURES_BEFORE_REFUSAL = 3
CALLS_BEFORE_RENEWAL = 500
RESIDENT_BEFORE_RENEWAL = 512 * 1024 * 1024


def _unheard(_reason: str, _log: str) -> None:
    return None


class GuardedReplicas:
    """Up to `count` calls at once, each in a worker process of its own, on one bounded line.

    A worker that dies, is overdue, or whose caller has gone is ended with its group; `spares` more are warm already,
    and the next is raised. A question under which two workers died is refused as `Unreadable`. With no spares, workers
    are raised when they are asked for. `on_death` is told the reason and the end of the worker's log. With `bounds`,
    the least and the most, the number of workers follows how long questions wait, and starts from `count`.
    """

    def __init__(
        self,
        origin: Origin,
        methods: Mapping[str, Method],
        *,
        count: int,
        spares: int = 1,
        queue_bound: int = 256,
        on_death: Callable[[str, str], None] = _unheard,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        self._origin = origin
        least, most = (count, count) if bounds is None else bounds
        self._scaling = Scaling(least=least, start=min(most, max(least, count)), most=most)
        self._looking: asyncio.TimerHandle | None = None
        self._spares = spares
        self._queue_bound = queue_bound
        self._on_death = on_death
        self._codecs: dict[str, tuple[Codec, Codec]] = {name: codecs_of(method) for name, method in methods.items()}
        self._workers: set[GuardedWorker] = set()
        self._idle: list[GuardedWorker] = []
        self._busy = 0
        self._waiting: deque[asyncio.Future[GuardedWorker]] = deque()
        self._births: set[asyncio.Task[None]] = set()
        self._partings: set[asyncio.Task[None]] = set()
        self._state = ReplicaState.STOPPED
        self._restarts = 0
        self._failures_in_a_row = 0
        self._failure: HeadraceError | None = None

    async def start(self) -> None:
        """Spawns all workers side by side; raises what the first failing one says."""
        self._state = ReplicaState.STARTING
        await asyncio.to_thread(sweep_cells)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._scaling.wanted + self._spares):
                    group.create_task(self._birth())
        except BaseExceptionGroup as failures:
            await self.close()
            raise failures.exceptions[0] from failures
        except BaseException:
            await self.close()
            raise
        self._state = ReplicaState.READY

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """One worker's answer, within the caller's deadline and the guard's wall time."""
        context.check()
        asked = monotonic()
        codec, answer = self._codecs[method.name]
        encoded = codec.encode(question)
        deaths = 0
        for _ in range(TRIES_ALLOWED):
            worker = await self._borrow(context)
            begun = monotonic()
            if self._scaling.note(waited_s=begun - asked, busy=self._busy, now=begun):
                self._replenish()
            try:
                value = await self._call(worker, method, encoded, answer, context)
            except WorkerDied as died:
                self._on_death(died.detail, worker.log)
                # A worker that was dead before it began says nothing about the question.
                deaths += died.has_begun
                if deaths == DEATHS_ALLOWED:
                    raise Unreadable(
                        f"The content ended {DEATHS_ALLOWED} readers in a row. {died.detail}",
                        remedy="It is damaged or made to harm: look at it by hand, or save it anew.",
                    ) from died
            else:
                return Reply(value=value, queued_ms=(begun - asked) * 1000, compute_ms=(monotonic() - begun) * 1000)
        raise ServiceFailed("Workers die before they begin.", remedy="See the log; is the machine out of memory?")

    async def close(self) -> None:
        """Ends all workers; those who wait are told. Safe to call twice."""
        self._state = ReplicaState.DRAINING
        if self._looking is not None:
            self._looking.cancel()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(Overloaded("The service has stopped.", remedy="Ask again in a moment."))
        for birth in self._births:
            birth.cancel()
        await asyncio.gather(*self._births, *self._partings, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()
        self._state = ReplicaState.STOPPED

    def kill(self) -> None:
        """As `close`, for when the event loop is gone."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        self._idle.clear()
        self._state = ReplicaState.STOPPED

    def move_to_this_loop(self) -> None:
        """Goes on under another event loop than before, whose callers and tasks are gone."""
        self._waiting.clear()
        self._looking = None
        self._births.clear()
        self._partings.clear()
        for worker in self._workers - set(self._idle):
            worker.kill()
        self._workers = set(self._idle)
        self._busy = 0

    def health(self) -> Health:
        """Ready while a worker lives."""
        alive = [worker for worker in self._workers if not worker.is_dead]
        is_short = self._state is ReplicaState.READY and not alive
        return Health(
            state=ReplicaState.STARTING if is_short else self._state,
            replicas=len(alive),
            queued=len(self._waiting),
            restarts=self._restarts,
            protections=alive[0].protections if alive else (),
            detail="" if self._failure is None else str(self._failure),
        )

    def resident_bytes(self) -> list[int]:
        """The memory that each worker holds now."""
        return [worker.resident_bytes() for worker in self._workers]

    async def _call(
        self, worker: GuardedWorker, method: Method, encoded: bytes, answer: Codec, context: Context
    ) -> Any:
        guard = self._origin.guard
        wall_s = USUAL_WALL_S if guard.wall_s is None else guard.wall_s
        remaining_s = context.remaining_s()
        allowed_s = wall_s if remaining_s is None else min(remaining_s, wall_s)
        is_whole = False
        try:
            async with asyncio.timeout(allowed_s):
                kept, context = _scoped(method, encoded, context)
                ask = Ask(method=method.name, remaining_s=allowed_s, checkpoints=kept)
                value = await worker.ask(ask, encoded, answer, context, memory_bytes=guard.memory_bytes)
            is_whole = True
        except TimeoutError as late:
            if allowed_s < wall_s:
                raise DeadlineExceeded(
                    f"{method.title} did not answer within the caller's time.", remedy="Give more time or send less."
                ) from late
            raise WorkerOverdue(
                f"{method.title} took longer than the {wall_s:g} s that one call may take.",
                remedy="Send less, or raise [limits] document_seconds.",
            ) from late
        except WorkerDied:
            raise
        except HeadraceError:
            is_whole = True
            raise
        finally:
            # A call that did not come to its end leaves its worker in the middle of a frame: it cannot be asked again.
            self._give_back(worker, is_whole=is_whole)
        return value

    async def _borrow(self, context: Context) -> GuardedWorker:
        if self._state is not ReplicaState.READY:
            raise Overloaded("The service is not ready.", remedy="Ask again in a moment.")
        if self._failure is not None and not self._workers and self._failures_in_a_row >= FAILURES_BEFORE_REFUSAL:
            raise ServiceFailed(f"No worker comes to life. {self._failure.detail}") from self._failure
        if len(self._waiting) >= self._queue_bound:
            raise Overloaded(f"{self._queue_bound} questions wait already.", remedy="Ask again in a moment.")
        waiting: asyncio.Future[GuardedWorker] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._hand_out()
        self._replenish()
        try:
            async with asyncio.timeout(context.remaining_s()):
                return await waiting
        except TimeoutError as late:
            self._withdraw(waiting)
            raise DeadlineExceeded(
                "The caller's time was over before a worker was free.", remedy="Give more time, or more workers."
            ) from late
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise

    def _withdraw(self, waiting: asyncio.Future[GuardedWorker]) -> None:
        with suppress(ValueError):
            self._waiting.remove(waiting)
        # A worker that was handed over in the very moment in which its caller went away goes on to the next.
        if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
            self._give_back(waiting.result(), is_whole=True)

    def _give_back(self, worker: GuardedWorker, *, is_whole: bool) -> None:
        self._busy -= 1
        if not is_whole or worker.is_dead:
            self._restarts += 1
            self._part_with(worker)
        elif worker.calls >= CALLS_BEFORE_RENEWAL or worker.resident_bytes() > RESIDENT_BEFORE_RENEWAL:
            self._part_with(worker)
        else:
            worker.tidy()
            self._idle.append(worker)
        self._hand_out()
        if self._spares:
            self._replenish()
        if self._looking is None and not self._scaling.is_fixed:
            self._looking = asyncio.get_running_loop().call_later(IDLE_S, self._look)

    def _look(self) -> None:
        """Gives back the memory of workers that were not needed for a while, one each time."""
        self._looking = None
        if self._state is not ReplicaState.READY:
            return
        if self._scaling.look(now=monotonic()):
            over = len(self._workers) - self._scaling.wanted - self._spares
            for _ in range(min(over, len(self._idle))):
                self._part_with(self._idle.pop(0))
        self._looking = asyncio.get_running_loop().call_later(IDLE_S, self._look)

    def _hand_out(self) -> None:
        while self._waiting and self._busy < self._scaling.wanted:
            worker = self._next_idle()
            if worker is None:
                return
            waiting = self._waiting.popleft()
            if waiting.done():
                self._idle.append(worker)
                continue
            self._busy += 1
            waiting.set_result(worker)

    def _next_idle(self) -> GuardedWorker | None:
        while self._idle:
            worker = self._idle.pop()
            if not worker.is_dead:
                return worker
            self._restarts += 1
            self._part_with(worker)
        return None

    def _part_with(self, worker: GuardedWorker) -> None:
        self._workers.discard(worker)
        parting = asyncio.get_running_loop().create_task(worker.end())
        self._partings.add(parting)
        parting.add_done_callback(self._partings.discard)

    def _replenish(self) -> None:
        """Raises as many workers as are missing."""
        if self._state is not ReplicaState.READY:
            return
        for _ in range(self._scaling.wanted + self._spares - len(self._workers) - len(self._births)):
            birth = asyncio.get_running_loop().create_task(self._births_until_one_lives())
            self._births.add(birth)
            birth.add_done_callback(self._births.discard)

    async def _birth(self) -> None:
        worker = await GuardedWorker.spawn(self._origin)
        self._workers.add(worker)
        self._idle.append(worker)
        self._failures_in_a_row, self._failure = 0, None
        self._hand_out()

    async def _births_until_one_lives(self) -> None:
        while self._state is ReplicaState.READY:
            try:
                await self._birth()
            except HeadraceError as failure:
                # The loop must live: without it the service would be a worker short for ever. Health tells.
                self._failures_in_a_row += 1
                self._failure = failure
                wait_s = FIRST_BACKOFF_S * 2.0 ** min(self._failures_in_a_row, 10)
                await asyncio.sleep(min(LONGEST_BACKOFF_S, wait_s))
            else:
                return


def origin_of(service: Service, *, guard: Guard, artifact: str | None) -> Origin:
    """What workers of `service` are made from."""
    cls = type(service)
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        raise InvalidConfiguration(
            f"The guarded service {cls.__qualname__} of {cls.__module__} cannot be imported by a worker process.",
            remedy="Put it into a module of its own, at the top level.",
        )
    options = b"" if service.options is None else Codec(type(service.options)).encode(service.options)
    return Origin(service=f"{cls.__module__}:{cls.__name__}", options=options, artifact=artifact, guard=guard)


def _scoped(method: Method, question: bytes, context: Context) -> tuple[dict[str, bytes] | None, Context]:
    """What earlier attempts finished of this question, and the context in which names stand for its parts alone."""
    if context.checkpoints is None:
        return None, context
    own = Scoped(context.checkpoints, scope_of(method.name, question))
    return dict(own.found(context.release, "")), replace(context, checkpoints=own)
