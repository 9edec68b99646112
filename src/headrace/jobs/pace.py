"""Pace: how many jobs a worker runs at once, learned from what more of them bring."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

WINDOW_S = 1.0
GAIN = 1.05
"""Less than this much more throughput is not worth the memory and the waiting of one more job."""


class Pace:
    """Climbs while more jobs at once bring more answers, and goes back when they do not, or when work is turned away.

    Throughput is measured over windows in which all places were taken. `least` equal to `most` is a fixed number.
    """

    def __init__(self, *, least: int, most: int, first: int, ticking: Callable[[], float] = monotonic) -> None:
        self._least = least
        self._most = most
        self._ticking = ticking
        self._limit = min(most, max(least, first))
        self._direction = 1
        self._rate = 0.0
        self._ended = 0
        self._begun_at = ticking()
        self._was_full = False

    @property
    def limit(self) -> int:
        """How many may run now."""
        return self._limit

    def took(self, running: int) -> None:
        """So many run now."""
        self._was_full = self._was_full or running >= self._limit

    def ended(self) -> None:
        """One was answered, or failed by itself."""
        self._ended += 1
        seconds = self._ticking() - self._begun_at
        if seconds >= WINDOW_S and self._ended >= self._limit:
            self._judge(self._ended / seconds)

    def turned_away(self) -> None:
        """A job found no room behind this worker: fewer at once."""
        self._limit = max(self._least, self._limit * 3 // 4)
        self._direction, self._rate = -1, 0.0
        self._begin()

    def _judge(self, rate: float) -> None:
        if self._was_full:
            # Going on has to pay; going back may cost nothing, held against the rate that it began from.
            pays = rate > self._rate * (GAIN if self._direction > 0 else 1 / GAIN)
            if self._direction > 0:
                self._rate = max(self._rate, rate)
            elif not pays:
                self._rate = rate
            self._direction = self._direction if pays else -self._direction
            step = max(1, self._limit // 4) if self._direction > 0 else 1
            self._limit = min(self._most, max(self._least, self._limit + self._direction * step))
        self._begin()

    def _begin(self) -> None:
        self._ended = 0
        self._begun_at = self._ticking()
        self._was_full = False
