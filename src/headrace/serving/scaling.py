"""Scaling: how many replicas a service has, between bounds, by how long questions wait for one."""

from __future__ import annotations

GROW_WAIT_S = 0.1
GROW_EVERY_S = 0.5
IDLE_S = 30.0


class Scaling:
    """Wants one more replica when a question waited longer than 100 ms, at most every half second, up to `most`.

    Wants one fewer, down to `least`, for each 30 seconds in which not all of them were needed at once: idle memory is
    given back. Pure: the clock is passed in, in seconds.
    """

    def __init__(self, *, least: int, start: int, most: int) -> None:
        self._least = least
        self._most = most
        self.wanted = start
        self._grown_at = float("-inf")
        self._needed_at = float("-inf")

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to decide."""
        return self._least == self._most

    def note(self, *, waited_s: float, busy: int, now: float) -> bool:
        """A question got its replica, the `busy`th at work; whether one more is wanted from now on."""
        if busy >= self.wanted:
            self._needed_at = now
        if waited_s <= GROW_WAIT_S or self.wanted >= self._most or now - self._grown_at < GROW_EVERY_S:
            return False
        self.wanted += 1
        self._grown_at = self._needed_at = now
        return True

    def look(self, *, now: float) -> bool:
        """Whether one fewer is wanted from now on; to be asked now and then while there is little to do."""
        if self.wanted <= self._least or now - self._needed_at < IDLE_S:
            return False
        self.wanted -= 1
        self._needed_at = now
        return True
