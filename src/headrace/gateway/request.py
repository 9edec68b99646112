"""Request: one call as its handler sees it; the body is read when it is asked for, and never beyond its limit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from difflib import get_close_matches
from random import getrandbits
from typing import IO, Any, Protocol, cast
from urllib.parse import parse_qsl

import msgspec

from headrace.errors import Malformed, TooLarge, UnsupportedType
from headrace.gateway.caller import ANYONE, Caller
from headrace.serving.unknown_fields import refusal_of
from headrace.telemetry import OpenSpan

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
QUERY_PARAMETERS = 64
LONGEST_LENGTH = 18


class Headers(Protocol):
    """The headers of a call; names in lower case."""

    def get(self, name: str, default: Any = None) -> Any:
        """The first value."""
        ...


class Outflow(Protocol):
    """An answer that goes out in pieces."""

    async def send(self, piece: bytes) -> None:
        """Waits while the client is slow; raises `ConnectionError` when it has gone."""
        ...

    def end(self) -> None:
        """That was all."""
        ...


class Exchange(Protocol):
    """One call as the server has it: its head, its body as it comes, and the way back.

    The handler of a client that goes away is cancelled by whoever holds the exchange.
    """

    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Headers:
        """Names in lower case."""
        ...

    def received(self) -> bytes | None:
        """The whole body, if all of it has come."""
        ...

    async def whole(self) -> bytes:
        """The whole body; raises `ConnectionError` when it ends before its end."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises `ConnectionError` when it ends before its end."""
        ...

    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Answers in one piece."""
        ...

    def answer_in_pieces(self, status: int, headers: Sequence[tuple[str, str]]) -> Outflow:
        """Begins an answer whose length nobody knows yet."""
        ...


class Request:
    """One call. `params` are the values of the path, `caller` is who calls, `body_limit` in bytes.

    `span` is there where spans are exported, `filename` once a file was read that has one. `told` are headers for the
    answer, whatever it will be.
    """

    __slots__ = (
        "_body",
        "_exchange",
        "_is_late",
        "_query",
        "body_limit",
        "caller",
        "filename",
        "id",
        "params",
        "read_s",
        "span",
        "told",
        "trace",
    )

    def __init__(self, exchange: Exchange, params: Mapping[str, str], *, body_limit: int, read_s: float) -> None:
        self._exchange = exchange
        self._body: bytes | None = None
        self._query: dict[str, str] | None = None
        self._is_late = False
        self.params = params
        self.body_limit = body_limit
        self.read_s = read_s
        self.caller: Caller = ANYONE
        headers = exchange.headers
        given = headers.get("x-request-id")
        self.id: str = given if given and _REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"
        given = headers.get("traceparent")
        found = _TRACE_PARENT.fullmatch(given) if given else None
        self.trace: str = found[1] if found else f"{getrandbits(128):032x}"
        self.span: OpenSpan | None = None
        self.filename: str | None = None
        self.told: tuple[tuple[str, str], ...] = ()

    def traced(self, span: OpenSpan) -> None:
        """`span` stands for this call from now on."""
        self.span, self.trace = span, span.trace_id

    @property
    def method(self) -> str:
        """In capitals."""
        return self._exchange.method

    @property
    def path(self) -> str:
        """Without the query."""
        return self._exchange.path

    @property
    def host(self) -> str | None:
        """For which name the call was made."""
        return self.header("host")

    @property
    def trace_parent(self) -> str:
        """The W3C header that names this call as the parent of what it causes."""
        if self.span is not None:
            return str(self.span.traceparent)
        return f"00-{self.trace}-{getrandbits(64):016x}-01"

    def header(self, name: str) -> str | None:
        """A header's first value; `name` in lower case."""
        value: str | None = self._exchange.headers.get(name)
        return value

    @property
    def has_query(self) -> bool:
        """Whether anything stands behind the path."""
        return bool(self._exchange.query_string)

    @property
    def query(self) -> Mapping[str, str]:
        """The values in the query, each name's last one; raises `Malformed` for too many."""
        if self._query is None:
            try:
                pairs = parse_qsl(self._exchange.query_string, keep_blank_values=True, max_num_fields=QUERY_PARAMETERS)
            except ValueError as error:
                raise Malformed(f"The query cannot be read: {error}.", remedy="Send fewer parameters.") from error
            self._query = dict(pairs)
        return self._query

    def refuse_all_but(self, known: Collection[str]) -> None:
        """Raises `Malformed` for a name in the query that is not `known`: a filter that is passed over lies."""
        for name in self.query:
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.0)
                remedy = f"Did you mean {near[0]!r}?" if near else "This call takes none: see /docs."
                raise Malformed(f"There is no parameter {name[:80]!r} here.", remedy=remedy)

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """A whole number in the query; raises `Malformed` when it is none or out of bounds."""
        given = self.query.get(name)
        if given is None:
            return default
        if not _DIGITS.fullmatch(given) or not least <= int(given) <= most:
            raise Malformed(f"{name}={given!r} is no number from {least} to {most}.", remedy="Send one that is.")
        return int(given)

    @property
    def content_length(self) -> int | None:
        """What the sender says of the size of its body."""
        given = self.header("content-length")
        return int(given) if given and given.isascii() and given.isdigit() and len(given) <= LONGEST_LENGTH else None

    async def body(self) -> bytes:
        """All of it, read once.

        Raises:
            UnsupportedType: it is compressed, as its `Content-Encoding` says.
            TooLarge: it is over the limit; said before anything is read where the sender names the size.
            Malformed: it ended before its end, or did not come in time.
        """
        if self._body is None:
            self._body = await self._read()
        return self._body

    async def json(self, decoder: msgspec.json.Decoder[Any]) -> Any:
        """The body as the decoder's type; raises `Malformed` when it is no JSON, or none of that type."""
        body = await self.body()
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise refusal_of(error, decoder.type, body) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"The body is no JSON: {error}.", remedy="Send JSON in UTF-8.") from error

    async def save(self, target: IO[bytes]) -> int:
        """Writes the body to `target` as it comes, for bodies that need not fit into memory; its size in bytes.

        Raises:
            TooLarge, Malformed: as `body` does; `read_s` is then the longest pause between two pieces.
        """
        length = self.content_length
        if length is not None and length > self.body_limit:
            raise self._too_large(f"{length} bytes")
        size, loop = 0, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.read_s) as patience:
                async for piece in self._exchange.pieces():
                    size += len(piece)
                    if size > self.body_limit:
                        raise self._too_large(f"more than {self.body_limit} bytes")
                    await asyncio.to_thread(target.write, piece)
                    patience.reschedule(loop.time() + self.read_s)
        except TimeoutError as late:
            raise Malformed(f"No more of the body came within {self.read_s:g} s.", remedy="Send it faster.") from late
        except ConnectionError as broken:
            raise Malformed("The body ended before its end.", remedy="Send all of it.") from broken
        return size

    def _give_up_reading(self, call: asyncio.Task[Any]) -> None:
        self._is_late = True
        call.cancel()

    async def _read(self) -> bytes:
        coding = self.header("content-encoding")
        if coding and coding.strip().lower() != "identity":
            raise UnsupportedType(f"The body is encoded as {coding[:80]!r}.", remedy="Send it as it is.")
        length = self.content_length
        if length == 0:
            return b""
        if length is not None and length > self.body_limit:
            raise self._too_large(f"{length} bytes")
        whole = self._exchange.received()
        if whole is not None:
            if len(whole) > self.body_limit:
                raise self._too_large(f"{len(whole)} bytes")
            return whole
        call = cast("asyncio.Task[Any]", asyncio.current_task())
        # One timer and no more: a timeout around it would cost more than reading a small body does.
        alarm = asyncio.get_running_loop().call_later(self.read_s, self._give_up_reading, call)
        try:
            return await self._exchange.whole() if length is not None else await self._collected()
        except asyncio.CancelledError:
            if not self._is_late:
                raise
            call.uncancel()
            raise Malformed(f"The body did not come within {self.read_s:g} s.", remedy="Send it faster.") from None
        except ConnectionError as broken:
            raise Malformed("The body ended before its end.", remedy="Send all of it.") from broken
        finally:
            alarm.cancel()

    async def _collected(self) -> bytes:
        collected = bytearray()
        async for piece in self._exchange.pieces():
            collected += piece
            if len(collected) > self.body_limit:
                raise self._too_large(f"more than {self.body_limit} bytes")
        return bytes(collected)

    def _too_large(self, size: str) -> TooLarge:
        return TooLarge(
            f"The body has {size}, and at most {self.body_limit} are taken.",
            remedy="Send less, or raise [limits] upload.",
        )
