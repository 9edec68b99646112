"""Exchange: one call on an HTTP/1.1 connection; its head, its body as it comes, and the way back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Protocol

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
UNREAD_BYTES = 256 * 1024
"""So much of a body waits for who reads it in pieces; then the client has to wait."""
TOGETHER_BYTES = 64 * 1024
"""Up to here head and body are copied together, which is quicker than writing twice."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_WITHOUT_BODY = frozenset({204, 304})


class Channel(Protocol):
    """The connection, as an exchange sees it."""

    @property
    def date(self) -> str:
        """The line of the head that says when it was."""
        ...

    def is_last(self, exchange: Exchange) -> bool:
        """Whether the connection ends with this exchange."""
        ...

    def write(self, content: bytes) -> None:
        """Sends, or keeps what cannot be sent yet."""
        ...

    async def drained(self) -> None:
        """Returns once little waits to be sent; raises `ConnectionError` when the client takes nothing."""
        ...

    def hold_back(self, *, is_held: bool) -> None:
        """Takes nothing more of the client for now, or goes on taking."""
        ...


class Exchange:
    """Filled by the connection's parser, read and answered by the gateway; both on one event loop."""

    __slots__ = (
        "_buffered_bytes",
        "_channel",
        "_come",
        "_is_held",
        "_pieces",
        "awaits_continue",
        "headers",
        "is_answered",
        "is_broken",
        "is_complete",
        "keeps_alive",
        "method",
        "path",
        "query_string",
        "target",
        "version",
    )

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._pieces: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._come: asyncio.Future[None] | None = None
        self._is_held = False
        self.target = b""
        self.method = ""
        self.path = ""
        self.query_string = ""
        self.version = "1.1"
        self.headers: dict[str, str] = {}
        self.keeps_alive = True
        self.awaits_continue = False
        self.is_complete = False
        self.is_broken = False
        self.is_answered = False

    def feed(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)
        if self._come is not None:
            self._wake()
        elif self._buffered_bytes > UNREAD_BYTES and not self._is_held:
            self._hold(is_held=True)

    def finish(self) -> None:
        """All of the body has come: nothing is left to hold back, and what follows on the connection is another's."""
        self.is_complete = True
        if self._is_held:
            self._hold(is_held=False)
        self._wake()

    def break_off(self) -> None:
        """Nothing more of the body will come."""
        self.is_broken = True
        self._wake()

    def received(self) -> bytes | None:
        """The whole body, if all of it has come and none was taken yet."""
        if not self.is_complete:
            return None
        pieces, self._pieces = self._pieces, deque()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def whole(self) -> bytes:
        """The whole body, whose length was looked at; raises `ConnectionError` when it ends before its end."""
        collected = [piece async for piece in self.pieces()]
        return collected[0] if len(collected) == 1 else b"".join(collected)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises `ConnectionError` when it ends before its end."""
        if self.awaits_continue and not self.is_complete:
            self.awaits_continue = False
            self._channel.write(CONTINUE)
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._buffered_bytes -= len(piece)
                yield piece
            if self.is_complete:
                return
            if self.is_broken:
                raise ConnectionError("The body ended before its end.")
            if self._is_held:
                self._hold(is_held=False)
            self._come = asyncio.get_running_loop().create_future()
            try:
                await self._come
            finally:
                self._come = None

    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Answers in one piece."""
        length = "" if status in _WITHOUT_BODY else f"content-length: {len(body)}\r\n"
        head = self._head(status, headers, length)
        if self.method == "HEAD" or status in _WITHOUT_BODY:
            self._channel.write(head)
        elif len(body) <= TOGETHER_BYTES:
            self._channel.write(head + body)
        else:
            self._channel.write(head)
            self._channel.write(body)
        self.is_answered = True

    def answer_in_pieces(self, status: int, headers: Sequence[tuple[str, str]]) -> Outflow:
        """Begins an answer whose length nobody knows yet."""
        is_chunked = self.version != "1.0"
        if not is_chunked:
            # Such a client knows the end of an answer by that of the connection.
            self.keeps_alive = False
        self._channel.write(self._head(status, headers, "transfer-encoding: chunked\r\n" if is_chunked else ""))
        return Outflow(self, self._channel, is_chunked=is_chunked)

    def _head(self, status: int, headers: Sequence[tuple[str, str]], framing: str) -> bytes:
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if fields.count("\n") != len(headers) or fields.count("\r") != len(headers):
            raise ValueError("A header of an answer has a line break in it.")
        if self._channel.is_last(self):
            ending = "connection: close\r\n\r\n"
        else:
            ending = "\r\n" if self.version != "1.0" else "connection: keep-alive\r\n\r\n"
        return f"{_STATUS_LINES[status]}{fields}{framing}{self._channel.date}{ending}".encode("latin-1", "replace")

    def _hold(self, *, is_held: bool) -> None:
        self._is_held = is_held
        self._channel.hold_back(is_held=is_held)

    def _wake(self) -> None:
        if self._come is not None and not self._come.done():
            self._come.set_result(None)


class Outflow:
    """An answer that is sent in pieces. Without `end` the connection ends, so that the client sees it is not whole."""

    __slots__ = ("_channel", "_exchange", "_is_chunked")

    def __init__(self, exchange: Exchange, channel: Channel, *, is_chunked: bool) -> None:
        self._exchange = exchange
        self._channel = channel
        self._is_chunked = is_chunked

    async def send(self, piece: bytes) -> None:
        """Sends a piece, and waits while the client is slow; raises `ConnectionError` when it has gone."""
        if piece and self._exchange.method != "HEAD":
            self._channel.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece)
        await self._channel.drained()

    def end(self) -> None:
        """That was all."""
        if self._is_chunked and self._exchange.method != "HEAD":
            self._channel.write(b"0\r\n\r\n")
        self._exchange.is_answered = True
