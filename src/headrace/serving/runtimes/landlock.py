"""Landlock (Linux 5.13 and newer): which files this process may still open."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from ctypes import CDLL, c_int, c_size_t, c_uint32
from pathlib import Path

from headrace.serving.runtimes.syscalls import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
)

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REGULAR, _MAKE_LINK, _TRUNCATE = 1 << 7, 1 << 8, 1 << 12, 1 << 14
# By version of the interface: what it can watch of files, of TCP, and of signals and abstract sockets.
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP, _SCOPES = 0b11, 0b11
_READING = _EXECUTE | _READ_FILE | _READ_DIR
# No devices, sockets or pipes: a node of the disc in its own folder would open all of it to a worker of root's.
_WRITING = _READING | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REGULAR | _MAKE_LINK | _TRUNCATE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_ASK_FOR_VERSION = 1
_BELOW_PATH = 1


def version_of_landlock(libc: CDLL) -> int:
    """The version of the kernel's interface; 0 where there is none or it is switched off."""
    return max(0, int(libc.syscall(LANDLOCK_CREATE_RULESET, None, c_size_t(0), c_uint32(_ASK_FOR_VERSION))))


def restrict_files(libc: CDLL, *, readable: Iterable[str], writable: str) -> bool:
    """From now on this thread, and those it starts, may read below `readable`, write below `writable`, and no more.

    The null device can be written to as well. Paths that do not exist are left out. False where the kernel
    refuses; then nothing is in force.
    """
    version = version_of_landlock(libc)
    if not version:
        return False
    handled = _FILES[min(version, 5)]
    parts = [handled, _TCP, _SCOPES][: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, c_size_t(len(attributes)), c_uint32(0))
    if ruleset < 0:
        return False
    try:
        rules = [(path, _READING & handled) for path in set(readable) if Path(path).exists()]
        rules.append((writable, _WRITING & handled))
        # Libraries write there what nobody is to read; Tesseract does not ask whether it could open it.
        rules.append((os.devnull, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled))
        if not all(_allow(libc, ruleset, path, access) for path, access in rules):
            return False
        return bool(libc.syscall(LANDLOCK_RESTRICT_SELF, c_int(ruleset), c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: CDLL, ruleset: int, path: str, access: int) -> bool:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not Path(path).is_dir():
            access &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, opened))
        return bool(libc.syscall(LANDLOCK_ADD_RULE, c_int(ruleset), c_int(_BELOW_PATH), rule, c_uint32(0)) == 0)
    finally:
        os.close(opened)
