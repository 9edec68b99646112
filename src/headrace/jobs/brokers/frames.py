"""Frames: the bytes of AMQP 0-9-1 that tickets are made of, read and written many at a time.

The library makes several objects, futures and tasks of each message, which cost as much as the whole of a short job. So
what comes by the thousand, deliveries and confirmations, is taken out of the stream before the library reads it; the
rest it reads as ever. Layouts are those of the AMQP 0-9-1 specification, 2.3.5 (frames) and 1.8.3 (class basic).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from time import monotonic
from typing import Any

from aiormq import TransportFactory
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from yarl import URL

CHUNK = 65_536
LIVELY_S = 1.0
"""So often the library is shown that something came, lest it takes a busy connection for a dead one."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END = 0xCE
_FRAME = Struct(">BHI")
_LONG = Struct(">Q")
_PUBLISH, _RETURN, _DELIVER = b"\0\x3c\0\x28", b"\0\x3c\0\x32", b"\0\x3c\0\x3c"
_ACK, _NACK = b"\0\x3c\0\x50", b"\0\x3c\0\x78"
_BLOCKED, _UNBLOCKED = b"\0\x0a\0\x3c", b"\0\x0a\0\x3d"
_MANDATORY, _MULTIPLE, _REQUEUE = b"\x01", 1, 2
_PERSISTENT = b"\x10\x00\x02"
"""The flags of the properties that follow, which say that the mode of delivery alone does, and that: on the disc."""


class Confirms:
    """The messages of one channel that the server has yet to confirm; they are numbered from 1, in order of sending."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: OrderedDict[int, _Publication] = OrderedDict()

    def expected(self, count: int) -> asyncio.Future[None]:
        """Done when the next `count` messages are all confirmed; raises ConnectionError when one is not kept."""
        publication = _Publication(asyncio.get_running_loop().create_future(), count)
        for tag in range(self._last + 1, self._last + count + 1):
            self._waiting[tag] = publication
        self._last += count
        return publication.future

    def hear(self, tag: int, *, is_multiple: bool, is_kept: bool) -> None:
        """The server has kept message `tag`, or not; and all before it where `is_multiple`."""
        if not is_kept:
            self.fail("It has not kept a message.")
            return
        if not is_multiple:
            publication = self._waiting.pop(tag, None)
            if publication is not None:
                publication.keep()
            return
        while self._waiting and (first := next(iter(self._waiting))) <= tag:
            self._waiting.pop(first).keep()

    def fail(self, detail: str) -> None:
        """Nothing that waits will be confirmed, or is known to be: who waits publishes again."""
        failed = {id(each): each for each in self._waiting.values()}
        self._waiting.clear()
        for publication in failed.values():
            if not publication.future.done():
                publication.future.set_exception(ConnectionError(detail))
                # Who sent in vain does not wait for it any more, and the loop is not to tell of that.
                publication.future.exception()


@dataclass(slots=True, eq=False)
class _Publication:
    future: asyncio.Future[None]
    left: int

    def keep(self) -> None:
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(None)


Bring = Callable[[int, bytes], None]
"""Hears of a delivery: its tag and its body."""


@dataclass(slots=True)
class _Content:
    """What a channel is in the midst of: the body that follows a delivery, or one that came back."""

    bring: Bring | None
    tag: int
    left: int = 0
    body: bytearray = field(default_factory=bytearray)


class TicketReader:
    """Stands between the stream and the library: what `lines` and `confirms` are for, by channel, it gives to them.

    `blocked` is why the server takes no messages now, as "low on disk"; empty while it does.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.lines: dict[int, Bring] = {}
        self.confirms: dict[int, Confirms] = {}
        self.blocked = ""
        self._reader = reader
        self._raw = bytearray()
        self._passed = bytearray()
        self._contents: dict[int, _Content] = {}
        self._next_sign = 0.0

    def at_eof(self) -> bool:
        """As of a stream."""
        return not self._passed and self._reader.at_eof()

    async def read(self, limit: int = -1) -> bytes:
        """As of a stream; the library asks for it to tell what it cannot understand."""
        return await self._reader.read(limit)

    async def readexactly(self, size: int) -> bytes:
        """As of a stream, with what is ours left out."""
        while len(self._passed) < size:
            chunk = await self._reader.read(CHUNK)
            if not chunk:
                raise asyncio.IncompleteReadError(bytes(self._passed), size)
            self._raw += chunk
            self._part()
        taken = bytes(self._passed[:size])
        del self._passed[:size]
        return taken

    def _part(self) -> None:
        """Gives whole frames to whom they are for."""
        raw, start, kept_from = self._raw, 0, 0
        while len(raw) - start > _FRAME.size:
            kind, channel, size = _FRAME.unpack_from(raw, start)
            if kind not in {_METHOD, _HEADER, _BODY, _HEARTBEAT}:
                start = len(raw)  # no frame at all, which the library is to say
                break
            end = start + _FRAME.size + size
            if end >= len(raw):
                break
            if raw[end] == _END and self._is_ours(kind, channel, start + _FRAME.size, end):
                self._passed += raw[kept_from:start]
                kept_from = end + 1
            start = end + 1
        self._passed += raw[kept_from:start]
        del raw[:start]
        if kept_from and not self._passed and monotonic() >= self._next_sign:
            self._next_sign = monotonic() + LIVELY_S
            self._passed += frame(_HEARTBEAT, 0, b"")

    def _is_ours(self, kind: int, channel: int, at: int, end: int) -> bool:
        """Whether the frame with the payload from `at` to `end` was for one of ours, who then has it."""
        if kind == _METHOD:
            return self._is_our_method(channel, at)
        content = self._contents.get(channel)
        if content is None or kind == _HEARTBEAT:
            return False
        if kind == _HEADER:
            (content.left,) = _LONG.unpack_from(self._raw, at + 4)
        else:
            content.body += self._raw[at:end]
            content.left -= end - at
        if content.left <= 0:
            del self._contents[channel]
            if content.bring is not None:
                content.bring(content.tag, bytes(content.body))
        return True

    def _is_our_method(self, channel: int, at: int) -> bool:
        raw = self._raw
        method = bytes(raw[at : at + 4])
        if channel == 0 and method in {_BLOCKED, _UNBLOCKED}:
            reason = raw[at + 5 : at + 5 + raw[at + 4]] if method == _BLOCKED else b""
            self.blocked = reason.decode(errors="replace")
            return False
        if method == _DELIVER and (bring := self.lines.get(channel)) is not None:
            (tag,) = _LONG.unpack_from(raw, at + 5 + raw[at + 4])
            self._contents[channel] = _Content(bring, tag)
            return True
        confirms = self.confirms.get(channel)
        if confirms is None:
            return False
        if method == _RETURN:
            self._contents[channel] = _Content(None, 0)
            confirms.fail("It has no queue for a message.")
            return True
        if method in {_ACK, _NACK}:
            (tag,) = _LONG.unpack_from(raw, at + 4)
            confirms.hear(tag, is_multiple=bool(raw[at + 12] & _MULTIPLE), is_kept=method == _ACK)
            return True
        return False


class TicketTransport(TransportFactory):
    """Connects as the library does, with a `TicketReader` in between, which is there once it is connected."""

    reader: TicketReader
    _writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **options: Any) -> tuple[Any, asyncio.StreamWriter]:
        """A stream that is read by way of our reader."""
        plain = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await plain.create(url, **options)
        self.reader, self._writer = TicketReader(reader), writer
        return self.reader, writer

    @property
    def blocked(self) -> str:
        """Why the server takes no messages now; empty while it does, and before it is connected."""
        return "" if self._writer is None else self.reader.blocked

    def abort(self) -> None:
        """Drops what is still to be sent and ends the connection at once, at both ends; safe to call again."""
        if self._writer is not None:
            self._writer.transport.abort()


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return _FRAME.pack(kind, channel, len(payload)) + payload + bytes((_END,))


def published(channel: int, queue: str, bodies: Sequence[bytes]) -> bytes:
    """A persistent message for `queue` of each body, which is not empty; one that no queue takes is to come back."""
    parts: list[bytes] = []
    for body in bodies:
        parts += (_beginning(channel, queue, len(body)), body, b"\xce")
    return b"".join(parts)


def acknowledged(channel: int, tags: Iterable[int], *, is_multiple: bool = False) -> bytes:
    """These deliveries are done with; and all before each where `is_multiple`."""
    bits = bytes((_MULTIPLE if is_multiple else 0,))
    return b"".join(frame(_METHOD, channel, _ACK + _LONG.pack(tag) + bits) for tag in tags)


def handed_back(channel: int, tags: Iterable[int]) -> bytes:
    """These deliveries go back to the head of their queue."""
    return b"".join(frame(_METHOD, channel, _NACK + _LONG.pack(tag) + bytes((_REQUEUE,))) for tag in tags)


@lru_cache(maxsize=256)
def _beginning(channel: int, queue: str, size: int) -> bytes:
    """All of a message up to its body, which depends on the length of that alone."""
    name = queue.encode()
    method = _PUBLISH + b"\0\0" + b"\0" + bytes((len(name),)) + name + _MANDATORY
    header = _PUBLISH[:2] + b"\0\0" + _LONG.pack(size) + _PERSISTENT
    return frame(_METHOD, channel, method) + frame(_HEADER, channel, header) + _FRAME.pack(_BODY, channel, size)
