"""SharedTexts: what the processes of one server tell each other of the texts that they have seen."""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from time import monotonic

from headrace.monitoring.near_duplicates import KEPT, Fingerprint

SLOTS = 1024
"""Of each process. Who has not listened for longer than that has missed the oldest."""
LOOK_S = 1.0
_SUFFIX = ".texts"
_HEAD = struct.Struct("<q")
_COUNT = struct.Struct("<q")
_SLOT_BYTES = _COUNT.size + 8 * KEPT
_FILE_BYTES = _HEAD.size + SLOTS * _SLOT_BYTES


class SharedTexts:
    """A ring of fingerprints for each process, in a file of `folder` that it alone writes and all map into memory.

    Nobody waits for anybody: a slot is written before the head says so, and who reads one while it is written over gets
    a fingerprint that is near nothing. Hashes are the same in all processes that are forked from one. A file takes half
    a megabyte; one of a process that was killed stays until the folder goes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / f"{os.getpid()}-{token_hex(4)}{_SUFFIX}"
        self._ring = _mapped(self._own, is_own=True)
        self._told = 0
        self._others: dict[str, tuple[mmap.mmap, int]] = {}
        self._look_at = 0.0

    def tell(self, mark: Fingerprint) -> None:
        """Lets the others know of a text; never waits."""
        hashes = mark.hashes
        at = _HEAD.size + self._told % SLOTS * _SLOT_BYTES
        _COUNT.pack_into(self._ring, at, len(hashes))
        self._ring[at + _COUNT.size : at + _COUNT.size + 8 * len(hashes)] = hashes.tobytes()
        self._told += 1
        _HEAD.pack_into(self._ring, 0, self._told)

    def heard(self) -> Iterator[Fingerprint]:
        """What the others have told since this was last asked; never waits."""
        ended = self._look() if monotonic() >= self._look_at else set()
        for name, (ring, known) in self._others.items():
            (told,) = _HEAD.unpack_from(ring)
            if told == known:
                continue
            self._others[name] = ring, told
            for number in range(max(known, told - SLOTS), told):
                at = _HEAD.size + number % SLOTS * _SLOT_BYTES
                (count,) = _COUNT.unpack_from(ring, at)
                if 0 < count <= KEPT:
                    start = at + _COUNT.size
                    yield Fingerprint(array("q", ring[start : start + 8 * count]))
        # What they told last has been read.
        for name in ended:
            self._others.pop(name)[0].close()

    def close(self) -> None:
        """Gives back the memory, and the file of this process."""
        self._own.unlink(missing_ok=True)
        for ring, _ in self._others.values():
            ring.close()
        self._ring.close()

    def _look(self) -> set[str]:
        """Finds processes that have begun; those that have ended."""
        self._look_at = monotonic() + LOOK_S
        names = {path.name for path in self._folder.glob(f"*{_SUFFIX}")} - {self._own.name}
        for name in names - self._others.keys():
            # It may have ended meanwhile, or not have given its file its size yet: then at the next look.
            with suppress(OSError, ValueError):
                self._others[name] = _mapped(self._folder / name, is_own=False), 0
        return self._others.keys() - names


def _mapped(path: Path, *, is_own: bool) -> mmap.mmap:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL if is_own else os.O_RDONLY
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        if is_own:
            _reserve(descriptor, path)
        return mmap.mmap(descriptor, _FILE_BYTES, access=mmap.ACCESS_DEFAULT if is_own else mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, path: Path) -> None:
    """Room on the disc: a page of the mapping that there was none for would end the process."""
    try:
        os.posix_fallocate(descriptor, 0, _FILE_BYTES)
    except OSError:
        path.unlink()
        raise
