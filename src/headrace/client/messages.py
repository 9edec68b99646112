"""What goes to a server and comes from it, as the client knows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from headrace import errors
from headrace.errors import HeadraceError, NotFound, Overloaded, ServiceFailed

LONGEST_WAIT_S = 30.0
KINDS: Mapping[str, type[HeadraceError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeadraceError)
}
BY_STATUS: Mapping[int, type[HeadraceError]] = {
    400: errors.Malformed, 401: errors.Unauthenticated, 403: errors.Forbidden, 404: NotFound, 409: errors.Conflict,
    413: errors.TooLarge, 415: errors.UnsupportedType, 422: errors.InvalidInput, 429: errors.OverQuota,
    503: Overloaded, 504: errors.DeadlineExceeded,
}  # fmt: skip
"""For codes that are known over there alone."""

Document = bytes | str | Path
"""A file by its bytes or its path, or a text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: its JSON, and the same as values; offsets in it count characters of the decision's text."""

    body: bytes
    fields: Mapping[str, Any]

    @property
    def decision_id(self) -> str:
        """Under which its record is looked up."""
        return str(self.fields.get("decision_id", ""))


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as it stands; `fields` are those of the contract."""

    id: str
    state: str
    fields: Mapping[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self.state in {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller wants besides the answer: its time in seconds, who goes first, and the keys of the contract."""

    timeout_s: float | None = None
    priority: str = "interactive"
    key: str = ""
    idempotency_key: str = ""
    request_id: str = ""
    webhook: str = ""

    def headers(self) -> dict[str, str]:
        """As they are sent."""
        found = {
            "X-Headrace-Priority": self.priority,
            "X-Headrace-Key": self.key,
            "Idempotency-Key": self.idempotency_key,
            "X-Request-ID": self.request_id,
            "X-Headrace-Webhook": self.webhook,
            "X-Request-Timeout-Ms": "" if self.timeout_s is None else str(max(1, int(self.timeout_s * 1000))),
        }
        return {name: value for name, value in found.items() if value}


NO_WISHES = Wishes()


async def sent(document: Document, filename: str) -> dict[str, Any]:
    """A document as a request: a text as JSON, anything else as the raw body with its name."""
    if isinstance(document, str):
        return {"content": msgspec.json.encode({"text": document}), "headers": json_headers()}
    if isinstance(document, Path):
        filename = filename or document.name
        try:
            document = await asyncio.to_thread(document.read_bytes)
        except OSError as error:
            raise NotFound(f"{error.filename} cannot be read: {error.strerror}.", remedy="Check the path.") from error
    headers = {"Content-Type": "application/octet-stream"}
    if filename:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    return {"content": document, "headers": headers}


async def told_by(response: httpx.Response) -> AsyncIterator[Mapping[str, Any]]:
    """Server-Sent Events as they come."""
    event_id, name, data = "", "message", ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield {"id": event_id, "event": name, "data": msgspec.json.decode(data)}
            name, data = "message", ""
        elif field == "id":
            event_id = value
        elif field == "event":
            name = value
        elif field == "data":
            data += value


def json_headers() -> dict[str, str]:
    """Those of a JSON body."""
    return {"Content-Type": "application/json"}


def part(given: str) -> str:
    """`given` as one part of a path."""
    return quote(given, safe="")


def job_of(fields: Mapping[str, Any]) -> JobState:
    """A job as the server tells of it."""
    return JobState(str(fields.get("id", "")), str(fields.get("state", "")), fields)


def fields_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer; raises `ServiceFailed` when it is none."""
    try:
        return dict(msgspec.json.decode(response.content))
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise ServiceFailed("The server's answer is no JSON.", remedy="Is a Headrace at this address?") from error


def unreached(http: httpx.AsyncClient, error: Exception) -> ServiceFailed:
    """What to say of a server that does not answer."""
    return ServiceFailed(
        f"The server {http.base_url} did not answer: {error or type(error).__name__}.",
        remedy="Start it with `headrace up`, or check the address.",
    )


def problem_of(response: httpx.Response) -> HeadraceError:
    """What the server said, as the error that it was there."""
    try:
        problem = dict(msgspec.json.decode(response.content))
    except (msgspec.DecodeError, TypeError, ValueError):
        problem = {}
    detail = str(problem.get("detail") or f"The server said {response.status_code} {response.reason_phrase}.")
    kind = KINDS.get(str(problem.get("code"))) or BY_STATUS.get(response.status_code, ServiceFailed)
    if issubclass(kind, Overloaded):
        waiting = response.headers.get("Retry-After", "")
        return kind(detail, retry_after_s=min(float(waiting), LONGEST_WAIT_S) if waiting.isdecimal() else 1.0)
    return kind(detail)
