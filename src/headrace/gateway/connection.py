"""Connection: one client of the server; its calls are parsed by llhttp and answered one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from random import getrandbits
from time import monotonic
from typing import Any, Protocol

from httptools import HttpParserError, HttpParserInvalidURLError, HttpParserUpgrade, HttpRequestParser, parse_url

from headrace.errors import Malformed
from headrace.gateway.exchange import Exchange
from headrace.gateway.problems import problem_response

HEAD_BYTES = 64 * 1024
HEADER_READ_S = 15.0
IDLE_S = 75.0
"""A connection without a call is kept so long."""
IN_USE_S = 2.0
"""So long after its last call a client counts as one that asks."""
TAKING_S = 60.0
"""A client that takes nothing of its answer for so long is given up."""
LINGER_S = 2.0
"""So long a client that still sends may read the answer that refused it."""
PIPELINED = 32
"""So many calls of one client may wait for each other; then it has to wait."""


class Listener(Protocol):
    """The server, as its connections see it."""

    date: str
    is_stopping: bool

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answers a call."""
        ...

    def joined(self, connection: Connection) -> None:
        """A client has come."""
        ...

    def left(self, connection: Connection) -> None:
        """A client has gone."""
        ...


class Connection(asyncio.Protocol):
    """Calls that come before the answer to the last one wait for it. A client that closes its side has gone.

    `look` has to be called now and then: it ends what takes too long.
    """

    __slots__ = (
        "_arriving",
        "_drained",
        "_head_bytes",
        "_held_by",
        "_is_deaf",
        "_is_last",
        "_is_lost",
        "_is_new",
        "_listener",
        "_loop",
        "_parser",
        "_serving",
        "_since",
        "_task",
        "_transport",
        "_unsent_bytes",
        "_waiting",
    )

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._arriving: Exchange | None = None
        self._serving: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[Exchange] = deque()
        self._drained: asyncio.Event | None = None
        self._held_by: set[str] = set()
        self._head_bytes = 0
        self._since = monotonic()
        self._unsent_bytes = 0
        self._is_deaf = self._is_last = self._is_lost = False
        self._is_new = True

    @property
    def is_busy(self) -> bool:
        """Whether a call has begun to come, or is being answered."""
        return self._serving is not None or self._arriving is not None or bool(self._waiting)

    def is_in_use(self, now: float) -> bool:
        """Whether it has a call, or had one a moment ago."""
        return self.is_busy or now - self._since < IN_USE_S

    @property
    def date(self) -> str:
        """The line of a head that says when it was."""
        return self._listener.date

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = transport  # type: ignore[assignment] # that of a stream
        self._listener.joined(self)

    def connection_lost(self, _: Exception | None) -> None:
        """It has gone: nobody is left to answer."""
        self._is_lost = True
        self._waiting.clear()
        for exchange in (self._arriving, self._serving):
            if exchange is not None:
                exchange.break_off()
        if self._drained is not None:
            self._drained.set()
        if self._task is not None:
            self._task.cancel()
        self._arriving = None
        self._listener.left(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: parts of calls."""
        if self._is_deaf:
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # No other protocol is spoken here: the call is answered as it stands, and nothing is read after it.
            self._is_deaf = self._is_last = True
        except HttpParserError as error:
            self._refuse(f"This is no HTTP: {error}.")
        arriving = self._arriving
        if arriving is not None and not arriving.method:
            # Where it began among these bytes is not known: they may have the end of a large body before it.
            self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(f"The head of the call has more than {HEAD_BYTES} bytes.")

    def eof_received(self) -> None:
        """The client has closed its side; the transport then closes ours."""

    def pause_writing(self) -> None:
        """The client is slower than its answer."""
        self._drained = asyncio.Event()
        self._since = monotonic()

    def resume_writing(self) -> None:
        """It has caught up."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set()
        if self._serving is None:
            self._go_on()

    def on_message_begin(self) -> None:
        """A call begins."""
        self._arriving = Exchange(self)
        self._is_new = False
        self._head_bytes = -1
        self._since = monotonic()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        if self._arriving is not None:
            self._arriving.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; of several with one name the first counts. What comes behind the body is none."""
        arriving = self._arriving
        if arriving is None or arriving.method:
            return
        key = name.lower().decode("latin-1")
        if key not in arriving.headers:
            arriving.headers[key] = value.decode("latin-1")
        elif key == "host":
            # Whoever stands before us may have taken the other one for the right one (RFC 9112, section 3.2).
            self._refuse("The call has two Host headers.")

    def on_headers_complete(self) -> None:
        """The head is there: the call can be answered, or refused, before its body has come."""
        exchange, parser = self._arriving, self._parser
        if exchange is None:
            return
        exchange.version = parser.get_http_version()
        if exchange.version == "1.1" and "host" not in exchange.headers:
            self._refuse("The call has no Host header.")
            return
        exchange.method = parser.get_method().decode("latin-1")
        exchange.keeps_alive = parser.should_keep_alive()
        exchange.awaits_continue = exchange.headers.get("expect", "").lower() == "100-continue"
        exchange.path, exchange.query_string = _parted(exchange.target)
        self._waiting.append(exchange)
        if self._serving is None and self._drained is None:
            self._go_on()
        elif len(self._waiting) > PIPELINED:
            self._hold("line", is_held=True)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        """All of the call is there."""
        if self._arriving is not None:
            self._arriving.finish()
            self._arriving = None

    def is_last(self, exchange: Exchange) -> bool:
        """Whether the connection ends with this exchange: behind a body that nobody read none is looked for."""
        if not exchange.keeps_alive or not exchange.is_complete:
            return True
        return (self._is_last or self._listener.is_stopping) and not self._waiting

    def write(self, content: bytes) -> None:
        """Sends."""
        if not self._is_lost:
            self._transport.write(content)

    async def drained(self) -> None:
        """Returns once little waits to be sent."""
        if self._drained is not None:
            await self._drained.wait()
        if self._is_lost:
            raise ConnectionError("The client has gone.")

    def hold_back(self, *, is_held: bool) -> None:
        """The body that comes is not read as quickly."""
        self._hold("body", is_held=is_held)

    def look(self, now: float) -> None:
        """Ends the connection where the client takes too long."""
        unsent_bytes, before = self._transport.get_write_buffer_size(), self._unsent_bytes
        self._unsent_bytes = unsent_bytes
        if unsent_bytes < before or not before:
            # It takes what it is sent, or has only now been sent something.
            self._since = now if unsent_bytes else self._since
        if unsent_bytes:
            patience_s = TAKING_S
        elif self._serving is not None:
            return
        elif self._is_deaf or self._listener.is_stopping:
            patience_s = LINGER_S
        else:
            patience_s = IDLE_S if self._arriving is None else HEADER_READ_S
        if now - self._since > patience_s:
            self._transport.abort()

    def stop(self) -> None:
        """Takes no new calls; closes at once where none is being answered, and who has only now come may ask once."""
        if not self.is_busy and not (self._is_new and monotonic() - self._since < LINGER_S):
            self._close()

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def _go_on(self) -> None:
        """Has the next call answered."""
        if not self._waiting:
            return
        exchange = self._serving = self._waiting.popleft()
        if self._held_by and len(self._waiting) < PIPELINED:
            self._hold("line", is_held=False)
        self._task = self._loop.create_task(self._answered(exchange))

    async def _answered(self, exchange: Exchange) -> None:
        try:
            await self._listener.handle(exchange)
        finally:
            self._serving = self._task = None
            self._since = monotonic()
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        """What follows an exchange: the next one, or the end of the connection."""
        if self._is_lost:
            return
        if not exchange.is_answered:
            self._transport.abort()
        elif not exchange.is_complete:
            self._linger()
        elif self.is_last(exchange):
            self._close()
        elif self._drained is None:
            self._go_on()

    def _refuse(self, why: str) -> None:
        """Nothing that comes after this can be understood."""
        broken, self._arriving = self._arriving, None
        self._is_deaf = self._is_last = True
        if broken is not None:
            broken.break_off()
        if self._serving is not None or self._waiting or (broken is not None and broken.method):
            # Whoever answers it finds the body broken; what was answered before is not to be lost.
            return
        refusal = problem_response(Malformed(why, remedy="Send HTTP/1.1."), request_id=f"{getrandbits(128):032x}")
        exchange = Exchange(self)
        exchange.answer(refusal.status, [("content-type", refusal.media_type), *refusal.headers], refusal.body)
        self._linger()

    def _linger(self) -> None:
        """Closes our side: a connection closed with bytes unread would take the answer from the client again."""
        self._is_deaf = self._is_last = True
        self._since = monotonic()
        if self._transport.is_closing():
            return
        self._held_by.clear()
        self._transport.resume_reading()
        self._transport.write_eof()

    def _close(self) -> None:
        self._is_deaf = True
        self._transport.close()

    def _hold(self, who: str, *, is_held: bool) -> None:
        if self._is_lost or is_held == (who in self._held_by):
            return
        if is_held:
            if not self._held_by:
                self._transport.pause_reading()
            self._held_by.add(who)
        else:
            self._held_by.discard(who)
            if not self._held_by:
                self._transport.resume_reading()


def _parted(target: bytes) -> tuple[str, str]:
    """Path and query of a call's target, which may be a whole address."""
    if not target.startswith(b"/"):
        try:
            url = parse_url(target)
        except HttpParserInvalidURLError:
            return target.decode("latin-1"), ""
        return (url.path or b"/").decode("latin-1"), (url.query or b"").decode("latin-1")
    path, _, query = target.decode("latin-1").partition("?")
    return path, query.partition("#")[0]
