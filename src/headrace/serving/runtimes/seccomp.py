"""A filter on the system calls of this process (seccomp, in classic BPF): what is refused fails with EACCES."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from ctypes import CDLL, c_uint, c_ulong, c_void_p

from headrace.serving.runtimes.syscalls import (
    AUDIT_ARCH,
    CLONE,
    CLONE3,
    PRCTL,
    PRLIMIT64,
    REFUSED,
    SECCOMP,
    SIGNALS,
)

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# Where the filter finds the number, the architecture and the low half of the first argument.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1
_X32_CALLS = 0x40000000
_REFUSE = _ERRNO | errno.EACCES

Line = tuple[int, int, int, int]
"""One instruction: code, how many lines to jump over if true and if false, operand."""


def filter_calls(libc: CDLL) -> bool:
    """Puts the filter in force for all threads, for good; False where this kernel or machine has none."""
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        return False
    lines = program(machine, own_pid=os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    filter_ = _Program(len(lines), ctypes.cast(code, c_void_p))
    answer = libc.syscall(SECCOMP[machine], c_uint(_SET_MODE_FILTER), c_ulong(_ALL_THREADS), ctypes.byref(filter_))
    return bool(answer == 0)


def program(machine: str, *, own_pid: int) -> list[Line]:
    """The filter for `machine`; `own_pid` is the only process that signals may go to."""
    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        lines += [(_JUMP_IF_AT_LEAST, 0, 1, _X32_CALLS), (_RETURN, 0, 0, _REFUSE)]
    for number in REFUSED[machine]:
        lines += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    # clone3 hides its flags in memory, where no filter can look: told that there is none, the C library uses clone.
    lines += [(_JUMP_IF_EQUAL, 0, 1, CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    lines += _allowed_if(CLONE[machine], _JUMP_IF_SET, _CLONE_THREAD)
    lines += _refused_if(PRCTL[machine], _PR_SET_PDEATHSIG)
    lines += _allowed_if(PRLIMIT64[machine], _JUMP_IF_EQUAL, 0)
    for number in SIGNALS[machine]:
        lines += _allowed_if(number, _JUMP_IF_EQUAL, own_pid)
    lines.append((_RETURN, 0, 0, _ALLOW))
    return lines


def _allowed_if(number: int, test: int, operand: int) -> list[Line]:
    """Call `number` is allowed when its first argument passes `test`, else refused."""
    return [
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (test, 0, 1, operand),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _refused_if(number: int, operand: int) -> list[Line]:
    """Call `number` is refused when its first argument is `operand`, else allowed."""
    return [
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, operand),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", c_void_p)]
