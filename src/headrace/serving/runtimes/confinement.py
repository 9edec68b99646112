"""What a guarded worker takes from itself before it reads anything untrusted: memory, files, network, programs.

Each part is switched on where the kernel has it; `confine` tells which are in force, and nothing is assumed silently.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from ctypes import CDLL, c_int, c_ulong
from dataclasses import dataclass
from pathlib import Path

from headrace.serving.runtimes.landlock import restrict_files
from headrace.serving.runtimes.seccomp import filter_calls
from headrace.serving.runtimes.syscalls import CAPSET

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 1, 38, 24
_CAPABILITY_VERSION = 0x20080522
_MOST_CAPABILITIES = 64
OPEN_FILES = 256
LARGEST_FILE = 64 * 1024 * 1024

MEMORY, DIES_WITH_PARENT = "bounded memory, time and files", "dies with its parent"
NO_CAPABILITIES, NO_FILES, NO_CALLS = "no capabilities", "no files but its own", "no network, programs or signals"
ALL_PROTECTIONS = (MEMORY, DIES_WITH_PARENT, NO_CAPABILITIES, NO_FILES, NO_CALLS)


@dataclass(frozen=True, slots=True)
class Confinement:
    """The bounds of one worker: address space in bytes, readable paths, one folder that it may write to, its parent."""

    memory_bytes: int
    readable: tuple[str, ...]
    writable: str
    parent: int


def confine(bounds: Confinement) -> list[str]:
    """Takes from this process all but what `bounds` leave it; names the protections that are in force."""
    libc = CDLL(None, use_errno=True)
    libc.prctl.argtypes = [c_int, c_ulong, c_ulong, c_ulong, c_ulong]
    libc.syscall.restype = ctypes.c_long
    _limit(bounds)
    protections = [MEMORY]
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
        protections.append(DIES_WITH_PARENT)
    # The parent may have died before it could be asked to take this process with it.
    if os.getppid() != bounds.parent:
        raise SystemExit(1)
    has_no_way_back = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    is_alone = len(list(Path("/proc/self/task").iterdir())) == 1
    # Capabilities and Landlock bind the calling thread and its children: threads from before would be left free.
    if is_alone and _drop_capabilities(libc):
        protections.append(NO_CAPABILITIES)
    if is_alone and has_no_way_back and restrict_files(libc, readable=bounds.readable, writable=bounds.writable):
        protections.append(NO_FILES)
    if has_no_way_back and filter_calls(libc):
        protections.append(NO_CALLS)
    return protections


def allow_cpu(seconds: float) -> None:
    """From now on this process may use `seconds` more of processor time before the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _limit(bounds: Confinement) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, bounds.memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
    ):
        _, hard = resource.getrlimit(limit)
        lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lowered, lowered))


def _drop_capabilities(libc: CDLL) -> bool:
    """Root stays the owner of its files and is nothing more; for others there is nothing to drop."""
    for capability in range(_MOST_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    number = CAPSET.get(platform.machine())
    if number is None:
        return False
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    nothing = ctypes.create_string_buffer(struct.pack("=6I", *[0] * 6))
    return bool(libc.syscall(number, header, nothing) == 0)
