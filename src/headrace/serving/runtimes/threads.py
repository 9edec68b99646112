"""Replicas in threads of this process: for models, whose runtimes release the interpreter lock while they compute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from time import monotonic
from typing import Any

from headrace.errors import DeadlineExceeded, HeadraceError, Overloaded, ServiceFailed
from headrace.serving.batcher import Call, Line
from headrace.serving.context import Context, place_in, shared_by
from headrace.serving.driving import Driver
from headrace.serving.runtime import Health, ReplicaState, Reply
from headrace.serving.service import Here, Method, Service

JOIN_S = 10.0


class ThreadReplicas:
    """`count` threads, each with a replica of its own that `make` gives it loaded, on one line of calls.

    The author's coroutines run in the replica's thread and never on the caller's event loop, so they may compute.
    Without `warms` no warm-up questions are asked.
    """

    def __init__(self, make: Callable[[], Service], *, count: int, queue_bound: int = 1024, warms: bool = True) -> None:
        self._make = make
        self._count = count
        self._warms = warms
        self._line = Line(bound=queue_bound)
        self._threads: list[Thread] = []
        self._state = ReplicaState.STOPPED

    async def start(self) -> None:
        """Loads one replica after the other in their threads: the second finds the files in memory already."""
        self._state = ReplicaState.STARTING
        loop = asyncio.get_running_loop()
        for number in range(self._count):
            is_ready: asyncio.Future[None] = loop.create_future()
            thread = Thread(target=self._live, args=(is_ready,), name=f"replica-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
            try:
                await is_ready
            except BaseException:
                await self.close()
                raise
        self._state = ReplicaState.READY

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """Waits in line until the deadline; a call whose caller has gone is dropped before it begins."""
        context.check()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._line.put(Call(method=method, question=question, context=context, future=future))
        if context.deadline is None:
            return await future
        try:
            async with asyncio.timeout(context.remaining_s()):
                return await future
        except TimeoutError as late:
            raise DeadlineExceeded(
                f"{method.name} did not answer within the caller's time.", remedy="Give more time or send less."
            ) from late

    async def close(self) -> None:
        """Ends the threads after what they are computing; those who still wait are told. Safe to call twice."""
        if self._state is ReplicaState.STOPPED:
            return
        self._state = ReplicaState.DRAINING
        stopped = Overloaded("The service has stopped.", remedy="Ask again in a moment.")
        _settle([(call.future, stopped) for call in self._line.close()])
        deadline = monotonic() + JOIN_S
        for thread in self._threads:
            # A replica that computes on past this is left behind as a daemon: no one can end a thread from outside.
            await asyncio.to_thread(thread.join, max(0.0, deadline - monotonic()))
        self._threads.clear()
        self._state = ReplicaState.STOPPED

    def health(self) -> Health:
        """Ready while every thread lives."""
        alive = sum(thread.is_alive() for thread in self._threads)
        return Health(state=self._state, replicas=alive, queued=len(self._line))

    def _live(self, is_ready: asyncio.Future[None]) -> None:
        with Driver() as driver:
            try:
                service = self._make()
                service.bind(Here(service))
                if self._warms:
                    _warm(driver, service)
            # Whatever the author's loading raises belongs to whoever starts the platform, not to this thread.
            except BaseException as error:  # noqa: BLE001
                _settle([(is_ready, _unloadable(error))])
                return
            _settle([(is_ready, None)])
            while calls := self._line.take():
                _settle(_outcomes(driver, service, calls))
            service.unload()


def _warm(driver: Driver, service: Service) -> None:
    for name, question in service.warm_up():
        method = service.methods[name]
        asked = question if method.max_batch_size is None else [question]
        driver.run(method.run, service, asked, variables=copy_context())


def _outcomes(driver: Driver, service: Service, calls: Sequence[Call]) -> list[tuple[asyncio.Future[Any], object]]:
    """Answers `calls` together; when that fails and they are several, each alone, so that none fails for another."""
    try:
        replies = _answered(driver, service, calls)
    # The author's code may raise anything, SystemExit too: it is given to the callers, and the replica lives on.
    except BaseException as error:  # noqa: BLE001
        if len(calls) == 1:
            return [(calls[0].future, _shareable(error, calls[0].method.name))]
        return [outcome for call in calls if call.is_wanted for outcome in _outcomes(driver, service, [call])]
    return [(call.future, reply) for call, reply in zip(calls, replies, strict=True)]


def _answered(driver: Driver, service: Service, calls: Sequence[Call]) -> list[Reply]:
    method = calls[0].method
    begun = monotonic()
    context = shared_by([call.context for call in calls])
    variables = calls[0].variables
    place_in(variables, context)
    if method.max_batch_size is None:
        values = [driver.run(method.run, service, calls[0].question, variables=variables)]
    else:
        values = driver.run(method.run, service, [call.question for call in calls], variables=variables)
    if not isinstance(values, list) or len(values) != len(calls):
        given = len(values) if isinstance(values, list) else type(values).__name__
        raise ServiceFailed(f"{method.name} was asked {len(calls)} questions and gave {given} answers.")
    compute_ms = (monotonic() - begun) * 1000
    return [
        Reply(value=value, queued_ms=(begun - call.queued_at) * 1000, compute_ms=compute_ms, batch_size=len(calls))
        for call, value in zip(calls, values, strict=True)
    ]


def _shareable(error: BaseException, doing: str) -> Exception:
    if isinstance(error, HeadraceError):
        return error
    failed = ServiceFailed(f"{doing} failed: {type(error).__name__}.", remedy="The log has the trace.")
    failed.__cause__ = error
    return failed


def _unloadable(error: BaseException) -> Exception:
    if isinstance(error, HeadraceError):
        return error
    # Read by whoever starts the platform, who needs to know all of it.
    failed = ServiceFailed(f"A replica could not be loaded: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


def _settle(outcomes: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    """Tells the callers, those of one event loop with one waking."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
    for future, outcome in outcomes:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, those in by_loop.items():
        # The loop is closed when its callers have gone with it: nobody is left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, those)


def _set(outcomes: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in outcomes:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
