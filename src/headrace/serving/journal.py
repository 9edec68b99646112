"""Journal: what was answered, on this machine's disc before the answer goes out, until a store has it.

One folder holds the journals of all processes of a machine. A journal is a row of segments, files of a size reserved
beforehand that are filled from their beginning; each record has a number, its length and a checksum. Segments are
mapped into memory: what is copied there belongs to the operating system at once, without the system call that takes
longer than a small model, so a record survives the death of the process at any moment after `append` has returned;
`sync` makes it survive a loss of power too.

A segment whose records are all settled is filled again from its beginning: its pages are there already, while those of
a new file cost more at their first touch than the records copied there. What it held before lies behind an empty head.
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
from itertools import islice
from pathlib import Path
from secrets import token_hex
from threading import Lock

from headrace.errors import Overloaded

SEGMENT_BYTES = 1024 * 1024
SPARES = 16
BOUND_BYTES = 1024 * 1024 * 1024
_FRAME = struct.Struct("<IIQ")
"""Length of the record, CRC-32 of number and record, number."""
_WITHIN_LOCK_BYTES = 5 * 1024
"""For more, `crc32` gives the interpreter lock back: the answer would wait for other threads to get it again."""
_END = bytes(_FRAME.size)
"""A head that no record has: the checksum of its number would not be 0."""


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

    def takes(self, number: int, content: bytes) -> bool:
        """Appends a record, its head last; False where it does not fit."""
        start = self.size_bytes + _FRAME.size
        end = start + len(content)
        if (room_bytes := len(self.content) - end) < 0:
            return False
        # Before there is a head to read on from: what stood here before may be anything, also what a caller sent.
        self.content[end : end + _FRAME.size] = _END[:room_bytes]
        self.content[start:end] = content
        _FRAME.pack_into(self.content, self.size_bytes, len(content), _checksum(number, content), number)
        self.size_bytes = end
        self.last = number
        return True

    def clear(self) -> None:
        """Holds nothing any more."""
        self.content[: _FRAME.size] = _END
        self.size_bytes = self.last = 0

    def close(self, *, is_kept: bool) -> None:
        """Gives the file back, cut to what it holds, or deletes it."""
        self.content.close()
        if is_kept:
            os.ftruncate(self.descriptor, self.size_bytes)
        os.close(self.descriptor)
        if not is_kept:
            self.path.unlink(missing_ok=True)


class Journal:
    """The journal of this process; one thread may append while another settles."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, bound_bytes: int = BOUND_BYTES) -> None:
        self.process = f"{os.getpid()}-{token_hex(6)}"
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._bound_bytes = bound_bytes
        self._segments: list[_Segment] = []
        self._spares: list[_Segment] = []
        self._segment_number = 0
        self._number = 0
        self._changing = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        # Who holds the lock lives: its journal is its own business. The lock ends with the process, however that ends.
        self._lock = _taken(folder / f"{self.process}.lock")

    @property
    def folder(self) -> Path:
        """Where the journals of this machine lie, with what is attached to them."""
        return self._folder

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
            number = self._number + 1
            if not self._segments or not self._segments[-1].takes(number, content):
                self._open_segment(_FRAME.size + len(content))
                self._segments[-1].takes(number, content)
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
        """All up to number `through` is stored elsewhere, or given up: segments that hold nothing else are free."""
        gone = []
        with self._changing:
            while self._segments and self._segments[0].last <= through:
                segment = self._segments.pop(0)
                if len(segment.content) == self._segment_bytes and len(self._spares) < SPARES:
                    segment.clear()
                    self._spares.append(segment)
                else:
                    gone.append(segment)
        # To give a file back takes longer than many answers may wait.
        for segment in gone:
            segment.close(is_kept=False)

    def unsettled(self, after: int) -> Iterator[Record]:
        """The records with numbers above `after`, from the disc."""
        for segment in list(self._segments):
            if segment.last > after:
                yield from (record for record in records_of(segment.path) if record.number > after)

    def close(self, *, settled: int) -> None:
        """Gives the files back; those that hold nothing above `settled` are deleted. Safe to call twice."""
        kept = [segment for segment in self._segments if segment.last > settled]
        for segment in [*self._segments, *self._spares]:
            segment.close(is_kept=segment in kept)
        self._segments, self._spares = [], []
        if self._lock is not None:
            if not kept:
                (self._folder / f"{self.process}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _open_segment(self, size_bytes: int) -> None:
        """Appends a segment that takes a record of `size_bytes`, with room on the disc reserved for it.

        A page of the mapping that the disc then had no room for would end the process.
        """
        if self.size_bytes + size_bytes > self._bound_bytes:
            raise Overloaded("The journal is full.", remedy="Look why the store takes nothing.")
        if self._spares and size_bytes <= self._segment_bytes:
            self._segments.append(self._spares.pop())
            return
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
        self._segments.append(_Segment(path, descriptor, content))


class Abandoned:
    """The journal of a process that has died, with its lock taken over."""

    def __init__(self, folder: Path, process: str, lock: int) -> None:
        self.process = process
        self._folder = folder
        self._lock = lock

    def records(self) -> Iterator[Record]:
        """All that is whole, by number. Half a record at the end was never finished, so its answer never went out."""
        paths = self._folder.glob(f"{self.process}.*.journal")
        first = {path: record.number for path in paths for record in islice(records_of(path), 1)}
        for path in sorted(first, key=first.__getitem__):
            yield from records_of(path)

    def delete(self) -> None:
        """Its files are gone, also attachments, the lock last: a crash in between leaves an abandoned journal again."""
        for path in self._folder.glob(f"{self.process}.*"):
            if path.suffix != ".lock":
                path.unlink(missing_ok=True)
        (self._folder / f"{self.process}.lock").unlink(missing_ok=True)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._lock)


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
    last = 0
    with stream:
        while len(head := stream.read(_FRAME.size)) == _FRAME.size:
            length, checksum, number = _FRAME.unpack(head)
            content = stream.read(length)
            is_whole = len(content) == length and _checksum(number, content) == checksum
            # After a loss of power an older record may stand where the end was not written any more.
            if not is_whole or number <= last:
                return
            last = number
            yield Record(number, content)


def _checksum(number: int, content: bytes) -> int:
    checksum = zlib.crc32(number.to_bytes(8, "little"))
    if len(content) <= _WITHIN_LOCK_BYTES:
        return zlib.crc32(content, checksum)
    view = memoryview(content)
    for start in range(0, len(content), _WITHIN_LOCK_BYTES):
        checksum = zlib.crc32(view[start : start + _WITHIN_LOCK_BYTES], checksum)
    return checksum


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
