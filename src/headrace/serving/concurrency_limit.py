"""ConcurrencyLimit: how many questions are answered at once, learned from how long they wait for their turn."""

from __future__ import annotations

WINDOW_S = 0.1
LEAST_TARGET_S = 0.2
TARGET_SHARE = 1.0
DECREASE, STEEPEST_DECREASE = 0.9, 0.5
INCREASE = 0.1
BUSY_SHARE = 0.8
COMPUTE_GAIN = 0.1


class ConcurrencyLimit:
    """Grows while it is used up and nobody waits long, and shrinks as soon as even the luckiest one does.

    The signal is CoDel's: the shortest wait within a window of 100 ms tells a standing queue from a burst (Nichols and
    Jacobson 2012, RFC 8289). The reaction is that of TCP: a small step up, a share down (Chiu and Jain 1989), here
    down by as much as the wait is over its target, so that an overload is over soon after its end. The target is
    200 ms, or what a question computes, whichever is longer. Times in seconds on one clock.
    """

    def __init__(self, *, least: int, start: int, most: int) -> None:
        self._least = float(least)
        self._most = float(most)
        self._value = float(start)
        self._compute_s = 0.0
        self._shortest_wait_s: float | None = None
        self._peak = 0
        self._window_ends = 0.0

    @property
    def value(self) -> int:
        """How many may be in flight."""
        return int(self._value)

    @property
    def target_s(self) -> float:
        """How long a question may wait."""
        return max(LEAST_TARGET_S, TARGET_SHARE * self._compute_s)

    def note(self, *, wait_s: float, compute_s: float, in_flight: int, now: float) -> None:
        """A question was answered: how long it waited and computed, and how many there were with it."""
        self._compute_s += COMPUTE_GAIN * (compute_s - self._compute_s) if self._compute_s else compute_s
        if self._shortest_wait_s is None or wait_s < self._shortest_wait_s:
            self._shortest_wait_s = wait_s
        self._peak = max(self._peak, in_flight)
        if now >= self._window_ends:
            self._turn(now)

    def _turn(self, now: float) -> None:
        wait_s, peak = self._shortest_wait_s or 0.0, self._peak
        self._shortest_wait_s, self._peak = None, 0
        self._window_ends = now + WINDOW_S
        if wait_s > self.target_s:
            share = max(STEEPEST_DECREASE, min(DECREASE, self.target_s / wait_s))
            self._value = max(self._least, self._value * share)
        elif peak >= BUSY_SHARE * self._value:
            # A limit that is not used up says nothing about what could be borne.
            self._value = min(self._most, self._value + max(1.0, INCREASE * self._value))
