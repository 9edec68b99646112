"""Turns: hardly more questions compute at once than there are cores, over all processes of a server."""

from __future__ import annotations

import mmap
import sys
from threading import get_native_id
from time import monotonic

from headrace.serving.semaphores import Semaphores

MOST_OWED_MS = 32_767

SPARE = 1
"""Turns beyond the cores: while one passes to another process, no core is without work."""

PLACES, MOST_PLACES = 16, 256
"""Places for each core and at most, where threads wait for a turn in the order in which their questions came."""

KNOWN_FOR_S = 1e-3
"""So long what is due counts as known: to ask for it takes a system call."""

MOST_STRETCH, STRETCH_GAIN = 8.0, 1 / 16

_FREE, _OWED, _FIXED = 0, 1, 2


class Turns:
    """A turn for each of `cores` and one to spare, and how long a question that comes now would wait for its own.

    Whose question came first has the next turn, whichever process it came to. Who waits for a turn has a place: it
    says there since when, and whoever gives a turn back wakes the first of them. What a process held that dies, turns
    and places, the kernel gives back, however it dies; a wake that was lost with it is made up for by the next one, or
    by the patience of who waits.
    """

    def __init__(self, *, cores: int) -> None:
        self._cores = cores
        self._stretch = 1.0
        self._wait_s, self._known_until = 0.0, 0.0
        self._places = min(PLACES * cores, MOST_PLACES)
        self._semaphores = Semaphores(_FIXED + 2 * self._places)
        self._semaphores.set(_FREE, cores + SPARE)
        for place in range(self._places):
            self._semaphores.set(_FIXED + place, 1)
        self._shared = mmap.mmap(-1, 8 * self._places)
        self._since = memoryview(self._shared).cast("d")
        """When the question came of who waits at a place, on the clock that all processes have; 0 where nobody does."""

    @classmethod
    def opened(cls, *, cores: int) -> Turns | None:
        """The turns; None where the system has no such semaphores, or has none left."""
        if sys.platform != "linux":
            return None
        try:
            return cls(cores=cores)
        except OSError:
            return None

    @property
    def name(self) -> str:
        """What `remove` finds them by when all who had them were killed; empty where the system tells nothing."""
        return self._semaphores.name

    @staticmethod
    def remove(name: str) -> bool:
        """Removes those of this name, which nobody uses any more; whether they were still there."""
        return Semaphores.remove_named(name)

    @property
    def waiting(self) -> list[float]:
        """When the questions came that wait for a turn, the first one first."""
        return sorted(since for since in self._since.tolist() if since)

    def take(self, *, within_s: float, since: float | None = None) -> bool:
        """Whether it is this thread's turn, at once or after a wait; whoever was given one gives it back.

        `since` is when its question came, on the clock of `monotonic`: now, unless it is told.
        """
        since = since or monotonic()
        if self.is_first(since) and self._semaphores.change(_FREE, -1):
            return True
        ends = monotonic() + within_s
        place = self._place() if within_s > 0 else None
        if place is None:
            return self._semaphores.lower(_FREE, within_s=within_s)
        gate = _FIXED + self._places + place
        self._semaphores.set(gate, 0)
        self._since[place] = since
        try:
            # A turn that came back before this place could be seen woke nobody, or a place whose process has died.
            self._wake_if_free()
            while not (self.is_first(since) and self._semaphores.change(_FREE, -1)):
                if not self._semaphores.lower(gate, within_s=ends - monotonic(), is_undone=False):
                    return self._semaphores.change(_FREE, -1)
            return True
        finally:
            self._since[place] = 0.0
            self._semaphores.change(_FIXED + place, 1)
            # Two turns that came back at once woke one thread, which was the first for both of them.
            self._wake_if_free()

    def give_back(self) -> None:
        """Whoever has waited longest has it now."""
        self._semaphores.change(_FREE, 1)
        self._wake_first()

    def is_first(self, since: float) -> bool:
        """Whether nobody waits for a turn whose question came before `since`."""
        return not any(0.0 < other < since for other in self._since.tolist())

    def owe(self, seconds: float) -> int:
        """Notes work that is due, in milliseconds of a core; what `settle` is told: 0 when it was too much to note."""
        ms = min(MOST_OWED_MS, max(1, round(seconds * 1000)))
        self._known_until = 0.0
        return ms if self._semaphores.change(_OWED, ms) else 0

    def settle(self, ms: int) -> None:
        """Work that was due is done, or wanted no more."""
        if ms:
            self._known_until = 0.0
            self._semaphores.change(_OWED, -ms)

    def learn(self, *, wall_s: float, cpu_s: float) -> None:
        """Notes how long a turn took, and how much of that on a core: the rest went to others on the machine."""
        stretch = min(MOST_STRETCH, wall_s / cpu_s) if cpu_s > 0.0 else MOST_STRETCH
        self._stretch += STRETCH_GAIN * (stretch - self._stretch)

    @property
    def wait_s(self) -> float:
        """How long a question that comes now has to wait, as far as is known."""
        now = monotonic()
        if now >= self._known_until:
            self._known_until = now + KNOWN_FOR_S
            owed_ms = max(0, self._semaphores.value(_OWED))
            self._wait_s = owed_ms / 1000 / min(self._cores, (self._cores + SPARE) / self._stretch)
        return self._wait_s

    def close(self) -> None:
        """Removes them for all processes, those that wait are told that they have none; safe to call twice."""
        self._known_until = 0.0
        self._semaphores.remove()

    def _place(self) -> int | None:
        """A place to wait at, which nobody else has; None when all are taken."""
        first = get_native_id()
        for number in range(self._places):
            place = (first + number) % self._places
            if self._semaphores.change(_FIXED + place, -1):
                return place
        return None

    def _wake_if_free(self) -> None:
        if self._semaphores.value(_FREE) > 0:
            self._wake_first()

    def _wake_first(self) -> None:
        """Wakes who has waited longest; a place whose process has died is nobody's."""
        waiting = [(since, place) for place, since in enumerate(self._since.tolist()) if since]
        while waiting:
            first = min(waiting)
            place = first[1]
            if self._semaphores.value(_FIXED + place) == 0:
                self._semaphores.change(_FIXED + self._places + place, 1, is_undone=False)
                return
            if self._since[place] == first[0]:
                self._since[place] = 0.0
            waiting.remove(first)
