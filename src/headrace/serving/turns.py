"""Turns: hardly more questions compute at once than there are cores, over all processes of a server."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from time import monotonic

# <sys/ipc.h> and <sys/sem.h> of Linux.
_PRIVATE, _CREATE, _REMOVE, _AT_ONCE = 0, 0o1000, 0, 0o4000
_GET_VALUE, _SET_VALUE, _UNDO = 12, 16, 0x1000
_TURNS, _OWED = 0, 1
MOST_OWED_MS = 32_767

_LISTED = Path("/proc/sysvipc/sem")

SPARE = 1
"""Turns beyond the cores: while one passes to another process, no core is without work."""

MOST_STRETCH, STRETCH_GAIN = 8.0, 1 / 16


class _Step(ctypes.Structure):
    _fields_ = (("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short))


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Turns:
    """A turn for each of `cores` and one to spare, and how long a question that comes now would wait for its own.

    Two System V semaphores, which all processes forked from the one that made them share: the kernel gives turns in
    the order in which they are asked for, and takes back what a process held that dies, however it dies. Calls that
    may wait leave the interpreter to other threads.
    """

    def __init__(self, *, cores: int) -> None:
        self._cores = cores
        self._stretch = 1.0
        self._wait = ctypes.CDLL(None, use_errno=True)
        # What never waits is sooner done than the interpreter lock is given up and taken again.
        self._quick = ctypes.PyDLL(None, use_errno=True)
        self._id = self._quick.semget(_PRIVATE, 2, _CREATE | 0o600)
        if self._id < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._quick.semctl(self._id, _TURNS, _SET_VALUE, cores + SPARE)
        self._take_now = _Step(_TURNS, -1, _UNDO | _AT_ONCE)
        self._take = _Step(_TURNS, -1, _UNDO)
        self._give = _Step(_TURNS, 1, _UNDO)

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
        return next((line for line in _listed() if line.startswith(f"{self._id} ")), "")

    @staticmethod
    def remove(name: str) -> bool:
        """Removes those of this name, which nobody uses any more; whether they were still there."""
        if not name or name not in _listed():
            return False
        removed: int = ctypes.CDLL(None).semctl(int(name.partition(" ")[0]), 0, _REMOVE)
        return removed == 0

    def take(self, *, within_s: float) -> bool:
        """Whether it is this thread's turn, at once or after a wait; whoever was given one gives it back."""
        if self._quick.semop(self._id, ctypes.byref(self._take_now), 1) == 0:
            return True
        ends = monotonic() + within_s
        while (left_s := ends - monotonic()) > 0:
            time = _Time(int(left_s), int(left_s % 1 * 1e9))
            if self._wait.semtimedop(self._id, ctypes.byref(self._take), 1, ctypes.byref(time)) == 0:
                return True
            if ctypes.get_errno() != errno.EINTR:
                return False
        return False

    def give_back(self) -> None:
        """Whoever has waited longest has it now."""
        self._quick.semop(self._id, ctypes.byref(self._give), 1)

    def owe(self, seconds: float) -> int:
        """Notes work that is due, in milliseconds of a core; what `settle` is told: 0 when it was too much to note."""
        ms = min(MOST_OWED_MS, max(1, round(seconds * 1000)))
        return ms if self._change_owed(ms) else 0

    def settle(self, ms: int) -> None:
        """Work that was due is done, or wanted no more."""
        if ms:
            self._change_owed(-ms)

    def learn(self, *, wall_s: float, cpu_s: float) -> None:
        """Notes how long a turn took, and how much of that on a core: the rest went to others on the machine."""
        stretch = min(MOST_STRETCH, wall_s / cpu_s) if cpu_s > 0.0 else MOST_STRETCH
        self._stretch += STRETCH_GAIN * (stretch - self._stretch)

    @property
    def wait_s(self) -> float:
        """How long a question that comes now has to wait, as far as is known."""
        owed_ms: int = self._quick.semctl(self._id, _OWED, _GET_VALUE)
        return max(0, owed_ms) / 1000 / min(self._cores, (self._cores + SPARE) / self._stretch)

    def close(self) -> None:
        """Removes them for all processes, those that wait are told that they have none; safe to call twice."""
        self._quick.semctl(self._id, 0, _REMOVE)

    def _change_owed(self, ms: int) -> bool:
        step = _Step(_OWED, ms, _UNDO | _AT_ONCE)
        done: int = self._quick.semop(self._id, ctypes.byref(step), 1)
        return done == 0


def _listed() -> list[str]:
    """The id, the number of semaphores, the owner and the time of making of each set: ids are given out again."""
    try:
        rows = _LISTED.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [f"{semid} {count} {owner} {made}" for _, semid, _, count, owner, *_, made in map(str.split, rows)]
