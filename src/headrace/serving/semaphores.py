"""Semaphores: a set of System V semaphores, which all processes share that are forked from the one that made it.

The kernel takes back what a process changed that dies, however it dies. Calls that may wait leave the interpreter to
other threads; what never waits is sooner done than the interpreter lock is given up and taken again.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from time import monotonic

# <sys/ipc.h> and <sys/sem.h> of Linux.
_PRIVATE, _CREATE, _REMOVE, _AT_ONCE = 0, 0o1000, 0, 0o4000
_GET_VALUE, _SET_VALUE, _UNDO = 12, 16, 0x1000

_LISTED = Path("/proc/sysvipc/sem")


class _Step(ctypes.Structure):
    _fields_ = (("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short))


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Semaphores:
    """`count` semaphores, all 0 at first; raises `OSError` where the system has none, or none left."""

    def __init__(self, count: int) -> None:
        self._wait = ctypes.CDLL(None, use_errno=True)
        self._quick = ctypes.PyDLL(None, use_errno=True)
        self._id = self._quick.semget(_PRIVATE, count, _CREATE | 0o600)
        if self._id < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    @property
    def name(self) -> str:
        """What `remove_named` finds them by when all who had them were killed; empty where the system tells nothing."""
        return next((line for line in _listed() if line.startswith(f"{self._id} ")), "")

    @staticmethod
    def remove_named(name: str) -> bool:
        """Removes those of this name, which nobody uses any more; whether they were still there."""
        if not name or name not in _listed():
            return False
        removed: int = ctypes.CDLL(None).semctl(int(name.partition(" ")[0]), 0, _REMOVE)
        return removed == 0

    def value(self, number: int) -> int:
        """How high one of them is; negative once they are removed."""
        found: int = self._quick.semctl(self._id, number, _GET_VALUE)
        return found

    def set(self, number: int, value: int) -> None:
        """Makes one of them as high as that; nothing that a process changed of it before is taken back any more."""
        self._quick.semctl(self._id, number, _SET_VALUE, value)

    def change(self, number: int, by: int, *, is_undone: bool = True) -> bool:
        """Changes one of them if that can be done at once; it `is_undone` when this process dies."""
        step = _Step(number, by, _AT_ONCE | (_UNDO if is_undone else 0))
        done: int = self._quick.semop(self._id, ctypes.byref(step), 1)
        return done == 0

    def lower(self, number: int, *, within_s: float, is_undone: bool = True) -> bool:
        """Takes 1 of one of them, as soon as there is one; those who wait are given it in the order of their coming."""
        step = _Step(number, -1, _UNDO if is_undone else 0)
        ends = monotonic() + within_s
        while (left_s := ends - monotonic()) > 0:
            time = _Time(int(left_s), int(left_s % 1 * 1e9))
            if self._wait.semtimedop(self._id, ctypes.byref(step), 1, ctypes.byref(time)) == 0:
                return True
            if ctypes.get_errno() != errno.EINTR:
                return False
        return False

    def remove(self) -> None:
        """Removes them for all processes, those that wait are told that they get nothing; safe to call twice."""
        self._quick.semctl(self._id, 0, _REMOVE)


def _listed() -> list[str]:
    """The id, the number of semaphores, the owner and the time of making of each set: ids are given out again."""
    try:
        rows = _LISTED.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [f"{semid} {count} {owner} {made}" for _, semid, _, count, owner, *_, made in map(str.split, rows)]
