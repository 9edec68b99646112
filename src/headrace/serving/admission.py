"""How much is taken on at once, and what is turned away: quickly, and before anything was begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic

from headrace.errors import Overloaded
from headrace.serving.concurrency_limit import ConcurrencyLimit
from headrace.serving.context import Context, Priority
from headrace.serving.turns import Turns

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.1, 60.0
WEIGHT_OF_NEWEST = 0.1
LAG_EVERY_S = 0.05

BURST = 1.25
"""What is due may be so many times what a question may wait: it is a burst until the limit has found it to stand."""

SHARES = {Priority.INTERACTIVE: 1.0, Priority.BATCH: 0.8, Priority.SHADOW: 0.5}
"""How much of the room is open to each priority: the rest is kept for those who go before it."""


class Admission:
    """Counts what is in flight, up to `bound` or, without one, up to a limit that is learned from how long calls wait.

    When it drains, nothing new is taken on and what runs may end. How late the event loop is counts as a wait too: a
    question that is answered on the loop waits in no other line.
    """

    def __init__(
        self,
        *,
        bound: int | None = None,
        limit: ConcurrencyLimit | None = None,
        turns: Turns | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._bound = bound
        self._limit = limit
        self._turns = turns
        self._clock = clock
        self._mean_s = 1.0
        self._lag_s = 0.0
        self._in_flight = 0
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._lag_timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """How many questions are being answered."""
        return self._in_flight

    @property
    def limit(self) -> int:
        """How many may be now."""
        if self._bound is not None:
            return self._bound
        return 1 if self._limit is None else self._limit.value

    @property
    def is_draining(self) -> bool:
        """Whether it takes on nothing new any more."""
        return self._is_draining

    @property
    def retry_after_s(self) -> float:
        """When a question that was turned away may come again: those in flight now will have been answered by then."""
        return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, self._mean_s))

    def check_room(self, priority: Priority = Priority.INTERACTIVE) -> None:
        """Raises `Overloaded` when a question would be turned away now; takes no place."""
        if self._is_draining:
            raise Overloaded(
                "The server is stopping.",
                remedy="Ask another one, or again in a moment.",
                retry_after_s=self.retry_after_s,
            )
        if self._in_flight >= max(1.0, self.limit * SHARES[priority]):
            raise Overloaded(
                f"{self._in_flight} questions are being answered, and no more are taken on.",
                remedy="Ask again after the time in Retry-After.",
                retry_after_s=self.retry_after_s,
            )
        # The limit learns of a wait when it is over; what is due is known beforehand.
        if self._turns is None or self._limit is None:
            return
        if (wait_s := self._turns.wait_s) <= BURST * self._limit.target_s:
            return
        raise Overloaded(
            f"A question would wait {wait_s * 1000:.0f} ms for its turn.",
            remedy="Ask again after the time in Retry-After.",
            retry_after_s=max(self.retry_after_s, wait_s),
        )

    def admitted(self, context: Context | None = None) -> AbstractContextManager[None]:
        """A place for one question while inside; entering raises `Overloaded` at once when there is none.

        What its services tell to `context` of their queues teaches the limit.
        """
        return _Place(self, context)

    def enter(self, context: Context | None) -> float:
        """Takes a place, and gives the time at which it was taken; raises `Overloaded` when there is none."""
        self.check_room(Priority.INTERACTIVE if context is None else context.priority)
        self._in_flight += 1
        if self._in_flight == 1:
            self._is_empty.clear()
        begun = self._clock()
        if self._limit is not None and self._lag_timer is None:
            self._look_at_lag(begun)
        return begun

    def leave(self, context: Context | None, begun: float) -> None:
        """Gives the place back that was taken at `begun`."""
        now = self._clock()
        self._mean_s += WEIGHT_OF_NEWEST * (now - begun - self._mean_s)
        if self._limit is not None and context is not None and context.calls:
            self._learn(self._limit, context, now)
        self._in_flight -= 1
        if not self._in_flight:
            self._is_empty.set()

    async def drain(self, *, within_s: float) -> bool:
        """Turns away all that is new and waits for what is in flight; False when that was not over in time."""
        self._is_draining = True
        if self._lag_timer is not None:
            self._lag_timer.cancel()
        try:
            async with asyncio.timeout(within_s):
                await self._is_empty.wait()
        except TimeoutError:
            return False
        return True

    def _learn(self, limit: ConcurrencyLimit, context: Context, now: float) -> None:
        wait_ms = compute_ms = 0.0
        for call in context.calls:
            # Calls that ran side by side waited side by side: the longest wait is the question's.
            wait_ms = max(wait_ms, call.queued_ms)
            compute_ms += call.compute_ms
        limit.note(wait_s=wait_ms / 1000 + self._lag_s, compute_s=compute_ms / 1000, in_flight=self._in_flight, now=now)

    def _look_at_lag(self, due: float) -> None:
        """Notes how much later than asked for the loop comes to this, and looks again while there is work."""
        self._lag_s = max(0.0, self._clock() - due)
        if not self._in_flight or self._is_draining:
            self._lag_timer = None
            return
        loop = asyncio.get_running_loop()
        self._lag_timer = loop.call_later(LAG_EVERY_S, self._look_at_lag, self._clock() + LAG_EVERY_S)


class _Place(AbstractContextManager[None]):
    """A place in an admission. No generator: that takes longer than all that it does."""

    __slots__ = ("_admission", "_begun", "_context")

    def __init__(self, admission: Admission, context: Context | None) -> None:
        self._admission = admission
        self._context = context
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = self._admission.enter(self._context)

    def __exit__(self, *_: object) -> None:
        self._admission.leave(self._context, self._begun)
