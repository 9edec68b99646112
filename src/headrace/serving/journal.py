"""Journal: what was answered, on this machine's disc before the answer goes out, until a store has it.

One folder holds the journals of all processes of a machine. A journal is a row of segments, files that are only
appended to; each record has a number, its length and a checksum. A record is handed to the operating system before
`append` returns, so it survives the death of the process at any moment; `sync` makes it survive a loss of power too.
"""

from __future__ import annotations

import errno
import fcntl
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
    size_bytes: int = 0
    last: int = 0


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
            size = _FRAME.size + len(content)
            if self.size_bytes + size > self._bound_bytes:
                raise Overloaded("The journal is full.", remedy="Look why the store takes nothing.")
            number = self._number + 1
            segment = self._open_segment()
            checksum = zlib.crc32(content, zlib.crc32(number.to_bytes(8, "little")))
            _write_all(segment, _FRAME.pack(len(content), checksum, number) + content)
            segment.size_bytes += size
            segment.last = self._number = number
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
                is_full = segment is not self._segments[-1] or segment.size_bytes >= self._segment_bytes
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
                os.close(segment.descriptor)
        is_empty = not self._segments
        self._segments = []
        if self._lock is not None:
            if is_empty:
                (self._folder / f"{self.process}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _open_segment(self) -> _Segment:
        if not self._segments or self._segments[-1].size_bytes >= self._segment_bytes:
            self._segment_number += 1
            path = self._folder / f"{self.process}.{self._segment_number:08}.journal"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._segments.append(_Segment(path, descriptor))
        return self._segments[-1]

    def _drop(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        os.close(segment.descriptor)
        segment.path.unlink(missing_ok=True)


def _write_all(segment: _Segment, frame: bytes) -> None:
    written = 0
    try:
        written = os.write(segment.descriptor, frame)
    finally:
        if written < len(frame):
            # Half a record is taken away again: what follows it could not be read.
            with suppress(OSError):
                os.ftruncate(segment.descriptor, segment.size_bytes)
    if written < len(frame):
        raise OSError(errno.ENOSPC, f"only {written} of {len(frame)} bytes were written")


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
