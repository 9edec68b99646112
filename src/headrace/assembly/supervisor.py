"""Supervisor: the processes of one server as one tree, begun, watched, replaced and ended together.

Members are forked from a parent that has imported everything and started nothing: what is imported lies in memory
once, and a replacement is there at once. Every member dies with the parent, however the parent dies: the kernel tells
it (PDEATHSIG), and so does the end of a pipe that the parent alone holds open.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from headrace.assembly.pools import Tell

_PR_SET_PDEATHSIG = 1
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_STOPPING, signal.SIGCHLD)
FIRST_BACKOFF_S, LONGEST_BACKOFF_S, STEADY_S = 0.1, 10.0, 60.0
LOOK_S, STEADY_LOOK_S = 0.1, 1.0
"""How often its members are looked at, and how often while all do their work: the end of one is told at once anyway."""

ORPHANED = 70

_READY, _RELIEF = b"1", b"2"


class Voice:
    """What a member says to its supervisor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """It does its work."""
        os.write(self._descriptor, _READY)

    def wants_relief(self) -> None:
        """Another is to take its place; it is told to end once that one is ready."""
        os.write(self._descriptor, _RELIEF)


@dataclass(frozen=True, slots=True)
class Member:
    """One process: `run` is called in it with its voice, and gives its exit code.

    One that `waits` is begun when the others are ready for the first time: they have the machine to themselves.
    """

    name: str
    run: Callable[[Voice], int]
    waits: bool = False


@dataclass(slots=True)
class _Seat:
    """The place of a member, whoever sits there now; `outgoing` sat there before, until the new one is ready."""

    member: Member
    pid: int = 0
    outgoing: int = 0
    readiness: int = -1
    is_ready: bool = False
    was_ready: bool = False
    begun_at: float = 0.0
    failures: int = 0
    due_at: float | None = field(default=None)

    @property
    def pids(self) -> list[int]:
        """The processes that live for it."""
        return [pid for pid in (self.pid, self.outgoing) if pid]


class Supervisor:
    """Runs its members until a SIGTERM or SIGINT, then ends them; a second signal ends them at once.

    A member that ends by itself is replaced, after a wait that grows while it keeps failing. One that ends before it
    was ever ready ends everything: what is wrong with the start will not mend itself. One that wants relief goes on
    until its successor is ready. `grace_s` is how long members may take to end; `on_stop` is called before they do.
    """

    def __init__(
        self, members: Sequence[Member], *, tell: Tell, grace_s: float, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self._seats = [_Seat(member) for member in members]
        self._tell = tell
        self._grace_s = grace_s
        self._on_stop = on_stop
        self._lifeline = (-1, -1)
        self._told_ready = False

    def run(self) -> int:
        """The exit code: 0 when it was told to stop, 1 when a member did not start."""
        self._lifeline = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        code = 0
        try:
            for seat in self._seats:
                if not seat.member.waits:
                    self._begin(seat)
            code = self._watch()
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for descriptor in self._lifeline:
                os.close(descriptor)
        return code

    def _watch(self) -> int:
        while True:
            is_steady = all(seat.is_ready and not seat.outgoing for seat in self._seats)
            if _told_to_stop(STEADY_LOOK_S if is_steady else LOOK_S):
                return 0
            for seat in self._seats:
                self._look_at(seat)
                if seat.pid == 0 and seat.failures and not seat.was_ready:
                    return 1
            if not self._told_ready and all(seat.is_ready for seat in self._seats):
                self._told_ready = True
                self._tell("ready", {"processes": len(self._seats)})

    def _look_at(self, seat: _Seat) -> None:
        """Notes that it has become ready or has ended, and begins it anew when that is due."""
        if seat.outgoing and _ended(seat.outgoing) is not None:
            seat.outgoing = 0
        if seat.pid:
            said = _heard(seat.readiness)
            if _READY in said:
                seat.is_ready = seat.was_ready = True
                if seat.outgoing:
                    os.kill(seat.outgoing, signal.SIGTERM)
            if (status := _ended(seat.pid)) is not None:
                self._note_end(seat, status)
            elif _RELIEF in said and not seat.outgoing:
                self._relieve(seat)
        elif seat.due_at is not None:
            if monotonic() >= seat.due_at:
                self._begin(seat)
        elif all(each.was_ready for each in self._seats if not each.member.waits):
            self._begin(seat)

    def _note_end(self, seat: _Seat, status: int) -> None:
        os.close(seat.readiness)
        lived_s = monotonic() - seat.begun_at
        seat.failures = 0 if lived_s > STEADY_S else seat.failures
        wait_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**seat.failures) * (0.5 + random.random())  # noqa: S311
        seat.pid, seat.is_ready, seat.failures = 0, False, seat.failures + 1
        seat.due_at = monotonic() + wait_s
        facts = {"member": seat.member.name, "reason": _reason(status), "lived_s": round(lived_s, 3)}
        self._tell("member_died", facts | ({"again_in_s": round(wait_s, 3)} if seat.was_ready else {}))

    def _relieve(self, seat: _Seat) -> None:
        self._tell("member_relieved", {"member": seat.member.name, "lived_s": round(monotonic() - seat.begun_at, 3)})
        os.close(seat.readiness)
        seat.outgoing, seat.is_ready = seat.pid, False
        self._begin(seat)

    def _begin(self, seat: _Seat) -> None:
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            os.close(self._lifeline[1])
            _live(seat.member, writable, self._lifeline[0], parent=parent, grace_s=self._grace_s)
        os.close(writable)
        seat.pid, seat.readiness, seat.begun_at, seat.due_at = pid, readable, monotonic(), None

    def _end(self) -> None:
        """Ends all: asked first, after the grace or a second signal told."""
        self._on_stop()
        self._signal_all(signal.SIGTERM)
        deadline = monotonic() + self._grace_s
        while living := [seat for seat in self._seats if seat.pids]:
            if _told_to_stop(LOOK_S) or monotonic() > deadline:
                self._signal_all(signal.SIGKILL)
            for seat in living:
                if seat.outgoing and _ended(seat.outgoing) is not None:
                    seat.outgoing = 0
                if seat.pid and _ended(seat.pid) is not None:
                    os.close(seat.readiness)
                    seat.pid = 0

    def _signal_all(self, number: signal.Signals) -> None:
        for seat in self._seats:
            for pid in seat.pids:
                os.kill(pid, number)


def _live(member: Member, ready: int, lifeline: int, *, parent: int, grace_s: float) -> None:
    """The life of a forked member; never returns."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _die_with(parent, lifeline, grace_s)
        code = member.run(Voice(ready))
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    # A fork must never return into its parent's stack, whatever was raised.
    except BaseException as error:  # noqa: BLE001
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int, lifeline: int, grace_s: float) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(ORPHANED)
    threading.Thread(target=_follow, args=(lifeline, grace_s), name="lifeline", daemon=True).start()


def _follow(lifeline: int, grace_s: float) -> None:
    """Waits until the parent has gone, asks this process to end, and ends it when it does not."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(ORPHANED)


def _told_to_stop(wait_s: float) -> bool:
    """Waits for at most `wait_s`, until a member ends or somebody asks for an end; whether somebody did."""
    found = signal.sigtimedwait(_WATCHED, wait_s)
    # A wait during which this process was stopped and continued (Ctrl-Z, a paused container) for longer than `wait_s`
    # gives what happened to lie on the stack of CPython, and no signal.
    return found is not None and found.si_signo in _STOPPING


def _heard(readable: int) -> bytes:
    try:
        return os.read(readable, 16)
    except BlockingIOError:
        return b""


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
