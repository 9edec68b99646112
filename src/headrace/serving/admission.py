"""How much is taken on at once, and what is turned away: quickly, and before anything was begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from headrace.errors import Overloaded

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.1, 60.0
WEIGHT_OF_NEWEST = 0.1


class Admission:
    """Counts what is in flight, up to `bound`; when it drains, nothing new is taken on and what runs may end."""

    def __init__(self, *, bound: int, clock: Callable[[], float] = monotonic) -> None:
        self._bound = bound
        self._clock = clock
        self._mean_s = 1.0
        self._in_flight = 0
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def in_flight(self) -> int:
        """How many questions are being answered."""
        return self._in_flight

    @property
    def is_draining(self) -> bool:
        """Whether it takes on nothing new any more."""
        return self._is_draining

    @property
    def retry_after_s(self) -> float:
        """When a question that was turned away may come again: those in flight now will have been answered by then."""
        return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, self._mean_s))

    def check_room(self) -> None:
        """Raises `Overloaded` when a question would be turned away now; takes no place."""
        if self._is_draining:
            raise Overloaded(
                "The server is stopping.",
                remedy="Ask another one, or again in a moment.",
                retry_after_s=self.retry_after_s,
            )
        if self._in_flight >= self._bound:
            raise Overloaded(
                f"{self._in_flight} questions are being answered, and no more are taken on.",
                remedy="Ask again after the time in Retry-After.",
                retry_after_s=self.retry_after_s,
            )

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for one question while inside; raises `Overloaded` at once when there is none."""
        self.check_room()
        self._in_flight += 1
        self._is_empty.clear()
        begun = self._clock()
        try:
            yield
        finally:
            self._mean_s += WEIGHT_OF_NEWEST * (self._clock() - begun - self._mean_s)
            self._in_flight -= 1
            if not self._in_flight:
                self._is_empty.set()

    async def drain(self, *, within_s: float) -> bool:
        """Turns away all that is new and waits for what is in flight; False when that was not over in time."""
        self._is_draining = True
        try:
            async with asyncio.timeout(within_s):
                await self._is_empty.wait()
        except TimeoutError:
            return False
        return True
