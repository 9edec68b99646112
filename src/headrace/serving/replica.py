"""Replica: one loaded copy of a service in this process: warm, answer, and tell the callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from threading import Lock
from time import monotonic
from typing import Any

import msgspec

from headrace.errors import HeadraceError, InvalidConfiguration, ServiceFailed
from headrace.serving.batch_answers import each_of
from headrace.serving.batcher import Call
from headrace.serving.context import Context, place_in, shared_by
from headrace.serving.driving import Driver
from headrace.serving.runtime import Reply
from headrace.serving.service import Method, Service
from headrace.serving.wire import codecs_of

QUICK_S = 0.05
"""Warm-up questions that take longer together are a noticeable part of a start."""

Outcome = tuple[asyncio.Future[Any], object]


class Replica:
    """Answers calls with one service, in the thread that calls it; whoever does holds `turn` meanwhile."""

    def __init__(self, service: Service, driver: Driver) -> None:
        self._service = service
        self._driver = driver
        self.turn = Lock()
        self.until: float | None = None
        """When the last caller of what it computes gives up, on the clock of `monotonic`; None is never, or idle."""

    def warm_again(self) -> None:
        """Answers the last warm-up question of each method: the first replica of this process has answered them all."""
        for name, question in dict(self._service.warm_up()).items():
            method = self._warmed(name)
            self._run(method, question if method.max_batch_size is None else [question])

    def warm(self) -> set[str]:
        """Answers the warm-up questions; the names of methods whose answers depend on their company."""
        asked: dict[str, list[object]] = {}
        for name, question in self._service.warm_up():
            asked.setdefault(name, []).append(question)
        differing = set()
        for name, questions in asked.items():
            method = self._warmed(name)
            if method.max_batch_size is None:
                for question in questions:
                    self._run(method, question)
            elif not self._is_same_in_company(method, questions):
                differing.add(name)
        return differing

    def answer(self, calls: Sequence[Call]) -> list[Outcome]:
        """Answers `calls` together; when that fails and they are several, each alone, so that none fails for another.

        What the author raises is an outcome: this never raises.
        """
        deadlines = [call.context.deadline for call in calls]
        self.until = None if None in deadlines else max(each for each in deadlines if each is not None)
        try:
            replies = self._answered(calls)
        # The author's code may raise anything, SystemExit too: it is given to the callers, and the replica lives on.
        except BaseException as error:  # noqa: BLE001
            if len(calls) == 1:
                return [(calls[0].future, _shareable(error, calls[0].method.title))]
            return [outcome for call in calls if call.is_wanted for outcome in self.answer([call])]
        finally:
            self.until = None
        return [(call.future, reply) for call, reply in zip(calls, replies, strict=True)]

    def unload(self) -> None:
        """Lets the service give back what it took."""
        self._service.unload()

    def _answered(self, calls: Sequence[Call]) -> list[Reply]:
        method = calls[0].method
        begun = monotonic()
        variables = calls[0].variables
        place_in(variables, calls[0].context if len(calls) == 1 else shared_by([call.context for call in calls]))
        if method.max_batch_size is None:
            values = [self._driver.run(method.run, self._service, calls[0].question, variables=variables)]
        else:
            asked = [call.question for call in calls]
            values = self._driver.run(method.run, self._service, asked, variables=variables)
        values = each_of(values, method.title, asked=len(calls))
        compute_ms = (monotonic() - begun) * 1000
        return [
            Reply(value=value, queued_ms=(begun - call.queued_at) * 1000, compute_ms=compute_ms, batch_size=len(calls))
            for call, value in zip(calls, values, strict=True)
        ]

    def _warmed(self, name: str) -> Method:
        method = self._service.methods.get(name)
        if method is None:
            kind = type(self._service)
            raise InvalidConfiguration(
                f"{kind.__name__}.warm_up asks {name!r}, which is no method of it.",
                remedy=f"It has {', '.join(kind.methods) or 'none'}.",
            )
        return method

    def _run(self, method: Method, asked: object, *, count: int = 1) -> Any:
        variables = copy_context()
        place_in(variables, shared_by([Context() for _ in range(count)]))
        return self._driver.run(method.run, self._service, asked, variables=variables)

    def _is_same_in_company(self, method: Method, questions: list[object]) -> bool:
        """Whether each question gets the same bytes alone and among the others; what is quick is asked twice there."""
        assert method.max_batch_size is not None
        alone, begun = [], monotonic()
        for question in questions:
            alone += each_of(self._run(method, [question]), method.title, asked=1)
        if method.max_batch_size == 1:
            return True
        order = [*reversed(range(len(questions)))]
        if len(questions) == 1 or monotonic() - begun < QUICK_S:
            order = [*range(len(questions)), *order]
        order = order[: method.max_batch_size]
        asked = [questions[number] for number in order]
        together = each_of(self._run(method, asked, count=len(order)), method.title, asked=len(order))
        try:
            encode = codecs_of(method)[1].encode
            return all(encode(alone[number]) == encode(value) for number, value in zip(order, together, strict=True))
        except (NameError, NotImplementedError, TypeError, OverflowError, msgspec.MsgspecError):
            # Answers that have no bytes of their own are compared as the author's types compare themselves.
            return all(bool(alone[number] == value) for number, value in zip(order, together, strict=True))


def _shareable(error: BaseException, doing: str) -> Exception:
    if isinstance(error, HeadraceError):
        return error
    failed = ServiceFailed(f"{doing} failed: {type(error).__name__}.", remedy="The log has the trace.")
    failed.__cause__ = error
    return failed


def unloadable(error: BaseException) -> Exception:
    """What whoever starts the platform is told of a replica that does not load: all of it."""
    if isinstance(error, HeadraceError):
        return error
    failed = ServiceFailed(f"A replica could not be loaded: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


def settle(outcomes: Sequence[Outcome]) -> None:
    """Tells the callers from another thread, those of one event loop with one waking."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for future, outcome in outcomes:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, those in by_loop.items():
        # The loop is closed when its callers have gone with it: nobody is left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle_here, those)


def settle_here(outcomes: Sequence[Outcome]) -> None:
    """Tells the callers, from the thread of their event loop."""
    for future, outcome in outcomes:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
