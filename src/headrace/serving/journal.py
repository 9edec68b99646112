"""Journal: what was answered, on this machine's disc before the answer goes out, until a store has it.

One folder holds the journals of all processes of a machine. A journal is a row of segments, files of a size reserved
beforehand that are filled from their beginning; each record has a number, its length and a checksum. Segments are
mapped into memory: what is copied there belongs to the operating system at once, without the system call that takes
longer than a small model, so a record survives the death of the process at any moment after `append` has returned;
`sync` makes it survive a loss of power too.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import Lock

from headrace.errors import Overloaded

SEGMENT_BYTES = 16 * 1024 * 1024
BOUND_BYTES = 1024 * 1024 * 1024
_FRAME = struct.Struct("<IIQ")
"""Length of the record, CRC-32 of number and record, number."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its number, from 1 without a gap, and its content."""

    number: int
    content: bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    descriptor: int
    content: mmap.mmap
    size_bytes: int = 0
    last: int = 0

    @property
    def room_bytes(self) -> int:
        """How much it still takes."""
        return len(self.content) - self.size_bytes

    def fill(self, number: int, content: bytes) -> None:
        """Appends a record, which has to fit. Its head goes last: without one there is no record for who reads it."""
        start = self.size_bytes + _FRAME.size
        body = start + len(content)
        self.content[start:body] = content
        checksum = zlib.crc32(content, zlib.crc32(number.to_bytes(8, "little")))
        _FRAME.pack_into(self.content, self.size_bytes, len(content), checksum, number)
        self.size_bytes = body
        self.last = number

    def close(self, *, is_kept: bool) -> None:
        """Gives the file back, cut to what it holds."""
        self.content.close()
        if is_kept:
            os.ftruncate(self.descriptor, self.size_bytes)
        os.close(self.descriptor)


class Journal:
    """The journal of this process; one thread may append while another settles."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, bound_bytes: int = BOUND_BYTES) -> None:
        self.process = f"{os.getpid()}-{token_hex(6)}"
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._bound_bytes = bound_bytes
        self._segments: list[_Segment] = []
        self._segment_number = 0
        self._number = 0
        self._changing = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        # Who holds the lock lives: its journal is its own business. The lock ends with the process, however that ends.
        self._lock = _taken(folder / f"{self.process}.lock")

    @property
    def size_bytes(self) -> int:
        """What it takes up on the disc."""
        return sum(segment.size_bytes for segment in self._segments)

    def append(self, content: bytes) -> int:
        """The number under which `content` is kept; it is with the operating system when this returns.

        Raises:
            Overloaded: the journal is full, because nothing was stored for long.
            OSError: the disc does not take it.
        """
        with self._changing:
            size_bytes = _FRAME.size + len(content)
            segment = self._segments[-1] if self._segments else None
            if segment is None or segment.room_bytes < size_bytes:
                if self.size_bytes + size_bytes > self._bound_bytes:
                    raise Overloaded("The journal is full.", remedy="Look why the store takes nothing.")
                segment = self._opened_segment(size_bytes)
            number = self._number + 1
            segment.fill(number, content)
            self._number = number
            return number

    def skip(self) -> int:
        """A number for what could not be appended, so that it is accounted for all the same."""
        with self._changing:
            self._number += 1
            return self._number

    def sync(self) -> None:
        """All that was appended survives a loss of power when this returns."""
        for segment in list(self._segments):
            with suppress(OSError):
                os.fdatasync(segment.descriptor)

    def settle(self, through: int) -> None:
        """All up to number `through` is stored elsewhere, or given up: segments that hold nothing else are deleted."""
        with self._changing:
            for segment in list(self._segments):
                is_full = segment is not self._segments[-1] or segment.room_bytes < _FRAME.size
                if is_full and segment.last <= through:
                    self._drop(segment)

    def unsettled(self, after: int) -> Iterator[Record]:
        """The records with numbers above `after`, from the disc."""
        for segment in list(self._segments):
            if segment.last > after:
                yield from (record for record in records_of(segment.path) if record.number > after)

    def close(self, *, settled: int) -> None:
        """Gives the files back; those that hold nothing above `settled` are deleted. Safe to call twice."""
        for segment in list(self._segments):
            if segment.last <= settled:
                self._drop(segment)
            else:
                segment.close(is_kept=True)
        is_empty = not self._segments
        self._segments = []
        if self._lock is not None:
            if is_empty:
                (self._folder / f"{self.process}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _opened_segment(self, size_bytes: int) -> _Segment:
        """A new segment that takes a record of `size_bytes`, with room on the disc reserved for it.

        A page of the mapping that the disc then had no room for would end the process.
        """
        length = max(self._segment_bytes, size_bytes)
        path = self._folder / f"{self.process}.{self._segment_number + 1:08}.journal"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, length)
            content = mmap.mmap(descriptor, length)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._segment_number += 1
        segment = _Segment(path, descriptor, content)
        self._segments.append(segment)
        return segment

    def _drop(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        segment.close(is_kept=False)
        segment.path.unlink(missing_ok=True)


class Abandoned:
    """The journal of a process that has died, with its lock taken over."""

    def __init__(self, folder: Path, process: str, lock: int) -> None:
        self.process = process
        self._folder = folder
        self._lock = lock

    def records(self) -> Iterator[Record]:
        """All that is whole, by number. Half a record at the end was never finished, so its answer never went out."""
        for path in self._paths():
            yield from records_of(path)

    def delete(self) -> None:
        """Its files are gone, the lock last: a crash in between leaves an abandoned journal again."""
        for path in self._paths():
            path.unlink(missing_ok=True)
        (self._folder / f"{self.process}.lock").unlink(missing_ok=True)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._lock)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self.process}.*.journal"))


def abandoned_in(folder: Path) -> Iterator[Abandoned]:
    """The journals of dead processes, each while it is this process's own."""
    for path in sorted(folder.glob("*.lock")):
        lock = _taken(path, create=False)
        if lock is None:
            continue
        abandoned = Abandoned(folder, path.name.removesuffix(".lock"), lock)
        try:
            yield abandoned
        finally:
            abandoned.release()


def records_of(path: Path) -> Iterator[Record]:
    """The records of one segment up to the first that is not whole."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        while len(head := stream.read(_FRAME.size)) == _FRAME.size:
            length, checksum, number = _FRAME.unpack(head)
            content = stream.read(length)
            if len(content) < length or zlib.crc32(content, zlib.crc32(number.to_bytes(8, "little"))) != checksum:
                return
            yield Record(number, content)


def _taken(path: Path, *, create: bool = True) -> int | None:
    """The descriptor of the locked file; None when someone else holds the lock, or has just deleted it."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between opening and locking, whoever had it may have finished with it.
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
