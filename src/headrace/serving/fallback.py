"""Ladder: what answers a method of a service; its best way, and when that cannot, the next lesser one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from msgspec.structs import replace

from headrace.errors import DeadlineExceeded, HeadraceError, Overloaded, Retry, ServiceFailed
from headrace.serving.breaker import Breaker, BreakerState
from headrace.serving.context import Context, Degraded
from headrace.serving.finite import finder
from headrace.serving.retry_budget import RetryBudget
from headrace.serving.runtime import Reply, Unreachable
from headrace.serving.runtimes.guarded_worker import WorkerOverdue
from headrace.serving.service import Method
from headrace.serving.service_time import ServiceTime

Ask = Callable[[Method, object, Context], Awaitable[Reply]]

# What another way may mend. Everything else is the fault of the question, or the author's last word.
_MENDABLE = (ServiceFailed, Overloaded, DeadlineExceeded, Retry, WorkerOverdue)
_TRIED_AGAIN = (ServiceFailed, Retry)

LARGEST_RESERVE = 0.5
UNLEARNED_RESERVE_S = 0.25
LEAST_PATIENCE_S = 5.0
PATIENCE = 4.0
LEARNED_AFTER = 20
AWAY_S, AWAY_PAUSE_S = 3.0, 0.1
"""How long a host that is away is waited for where nobody else can answer: its supervisor raises another meanwhile."""


class Way:
    """One way to answer: whom to ask for what, how long it takes, and whether it is worth asking now."""

    def __init__(self, name: str, method: Method, ask: Ask, *, timeout_s: float | None = None) -> None:
        self.name = name
        self.method = method
        self._ask = ask
        self._find = finder(method)
        self.breaker = Breaker()
        self.time = ServiceTime()
        self._timeout_s = timeout_s

    async def ask(self, question: object, context: Context) -> Reply:
        """The reply; raises `ServiceFailed` also where a number in it is none."""
        reply = await self._ask(self.method, question, context)
        if self._find is not None and (place := self._find(reply.value)) is not None:
            raise ServiceFailed(f"{self.method.title} answered with a number that is none, at answer{place}.")
        return reply

    @property
    def reserve_s(self) -> float:
        """The time to leave to it."""
        return self.time.bound_s if self.time.count else UNLEARNED_RESERVE_S

    @property
    def patience_s(self) -> float | None:
        """After how long it is given up, whatever time the caller has: several times what it ever took."""
        if self._timeout_s is not None:
            return self._timeout_s
        return max(LEAST_PATIENCE_S, PATIENCE * self.time.longest_s) if self.time.count >= LEARNED_AFTER else None


class Ladder:
    """Answers one method of one service by the first of its `ways` that can; of one way alone it is that way.

    The best way has a breaker, and so has every other but the last. Each leaves to the next the time that it needs; a
    failure is tried again at once where the time and the budget of retries allow. Used from one event loop.
    """

    def __init__(self, service: str, ways: Sequence[Way], *, retries: RetryBudget) -> None:
        self._service = service
        self._ways = tuple(ways)
        self._retries = retries

    @property
    def breakers(self) -> dict[str, BreakerState]:
        """How the breaker of each way but the last stands."""
        return {way.name: way.breaker.state for way in self._ways[:-1]}

    async def ask(self, question: object, context: Context) -> tuple[Way, Reply]:
        """The reply and the way that gave it; a lesser one is told to `context`.

        Raises:
            HeadraceError: what the best way raised, when no other could answer either.
        """
        if len(self._ways) == 1:
            return self._ways[0], await self._awaited(self._ways[0], question, context)
        if context.retraced is not None:
            way, reason = self._taken_before(context.retraced)
            attempt = replace(context, degraded=[])
            reply = await self._tried(way, question, attempt)
            self._tell(context, way, reason, attempt)
            return way, reply
        first: HeadraceError | None = None
        reason = ""
        for way, following in zip(self._ways, self._ways[1:], strict=False):
            begun = monotonic()
            attempt = replace(context, deadline=_deadline(way, following, context, begun), degraded=[])
            try:
                reply = await self._guarded(way, question, attempt, begun=begun)
            except _MENDABLE as error:
                if context.is_over():
                    raise
                first = first or error
                reason = reason or _reason(error)
                continue
            self._tell(context, way, reason, attempt)
            return way, reply
        last, attempt = self._ways[-1], replace(context, degraded=[])
        try:
            reply = await self._tried(last, question, attempt)
        except _MENDABLE as error:
            if first is None or context.is_over():
                raise
            raise first from error
        self._tell(context, last, reason, attempt)
        return last, reply

    async def _awaited(self, way: Way, question: object, context: Context) -> Reply:
        """The reply of the only way; while its host is away it is asked again, for a moment."""
        ends = monotonic() + AWAY_S
        while True:
            try:
                return await self._tried(way, question, context)
            except Unreachable:
                left_s = context.remaining_s()
                if monotonic() + AWAY_PAUSE_S > ends or (left_s is not None and left_s < way.time.bound_s):
                    raise
            await asyncio.sleep(AWAY_PAUSE_S)

    def _taken_before(self, retraced: list[Degraded]) -> tuple[Way, str]:
        """The way that answered then, and why it was no better one; each lesser one is taken once."""
        for step in retraced:
            way = next((way for way in self._ways[1:] if way.name == step.used), None)
            if way is not None and step.service == self._service:
                retraced.remove(step)
                return way, step.reason
        return self._ways[0], ""

    def _tell(self, context: Context, way: Way, reason: str, attempt: Context) -> None:
        """Why this way answered, by the ladder's clock; then what the way itself left out in the time it was given."""
        if way is not self._ways[0]:
            context.report_degraded(self._service, reason=reason, used=way.name)
        context.degraded.extend(attempt.degraded)

    async def _guarded(self, way: Way, question: object, attempt: Context, *, begun: float) -> Reply:
        """One way behind its breaker, within the time that is left to it."""
        given_s = None if attempt.deadline is None else attempt.deadline - begun
        # A way that was never quicker than this is not begun: half an answer helps nobody.
        if given_s is not None and way.time.count >= LEARNED_AFTER and given_s < way.time.shortest_s:
            raise DeadlineExceeded(f"{way.method.title} takes longer than the caller's time.", remedy="Give more time.")
        permit = way.breaker.permit()
        if permit is None:
            raise BreakerOpen(f"{self._service} failed lately and is left to rest.", remedy="Ask again in a moment.")
        try:
            reply = await self._tried(way, question, attempt)
        except (ServiceFailed, WorkerOverdue, Retry):
            permit.failed()
            raise
        except DeadlineExceeded as late:
            # A caller in a hurry says nothing about the service; one who gave it what it seldom exceeds does.
            if given_s is None or given_s < way.time.bound_s:
                permit.abandoned()
                raise
            permit.failed()
            raise TooSlow(late.detail, remedy=late.remedy) from late
        except BaseException:
            permit.abandoned()
            raise
        permit.succeeded()
        return reply

    async def _tried(self, way: Way, question: object, context: Context) -> Reply:
        """The reply of a way; a failure is tried once more where time and the budget of retries allow."""
        begun = monotonic()
        try:
            reply = await way.ask(question, context)
        except _TRIED_AGAIN:
            left_s = context.remaining_s()
            if (left_s is not None and left_s < way.time.bound_s) or not self._retries.spend():
                raise
            begun = monotonic()
            reply = await way.ask(question, context)
        self._retries.earn()
        way.time.learn(monotonic() - begun)
        return reply


class BreakerOpen(Overloaded):
    """The way is not asked: it failed lately."""


class TooSlow(DeadlineExceeded):
    """The way had the time that it usually takes, and more, and did not answer."""


_REASONS: tuple[tuple[type[HeadraceError], str], ...] = (
    (BreakerOpen, "breaker_open"),
    (TooSlow, "slow"),
    (WorkerOverdue, "slow"),
    (Overloaded, "overloaded"),
    (DeadlineExceeded, "deadline"),
)


def _reason(error: HeadraceError) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "failed")


def _deadline(way: Way, following: Way, context: Context, now: float) -> float | None:
    """When `way` has to have answered, on the clock of `monotonic`: its patience, less what `following` needs."""
    patience_s = way.patience_s
    ends = [] if patience_s is None else [now + patience_s]
    if context.deadline is not None:
        left_s = max(0.0, context.deadline - now)
        ends.append(context.deadline - min(following.reserve_s, LARGEST_RESERVE * left_s))
    return min(ends, default=None)
