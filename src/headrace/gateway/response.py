"""Response: what a handler gives back, whole or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_encoder = msgspec.json.Encoder(decimal_format="number")

Header = tuple[str, str]


@dataclass(slots=True)
class Response:
    """An answer in one piece. Header names in lower case; the content type stands apart."""

    body: bytes = b""
    status: int = 200
    media_type: str = JSON
    headers: list[Header] = field(default_factory=list)


@dataclass(slots=True)
class Stream:
    """An answer in pieces, as they come. `pieces` is closed when the client has gone, so it can clean up."""

    pieces: AsyncIterator[bytes]
    status: int = 200
    media_type: str = "application/octet-stream"
    headers: list[Header] = field(default_factory=list)


def json_response(value: Any, *, status: int = 200, headers: list[Header] | None = None) -> Response:
    """`value` as JSON; structs, dataclasses and aware times are encoded by msgspec."""
    return Response(_encoder.encode(value), status=status, headers=headers or [])


def text_response(text: str, *, status: int = 200) -> Response:
    """Plain text."""
    return Response(text.encode(), status=status, media_type=TEXT)


def event_stream(events: AsyncIterator[bytes]) -> Stream:
    """Server-Sent Events, each piece one event made by `event`."""
    headers = [("cache-control", "no-store"), ("x-accel-buffering", "no")]
    return Stream(events, media_type="text/event-stream", headers=headers)


def event(data: bytes, *, name: str = "", event_id: str = "") -> bytes:
    """One Server-Sent Event; `data` is JSON and so has no line breaks of its own."""
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {name}\n" if name else "")
    return b"%bdata: %b\n\n" % (head.encode(), data)
