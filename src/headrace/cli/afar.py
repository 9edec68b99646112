"""Answers from a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from headrace import errors
from headrace.cli.answering import Answer
from headrace.errors import HeadraceError, Overloaded, ServiceFailed
from headrace.serving.upload import Upload

PATH = "/v1/document-analyzer/analyze"
WAIT_S = 300.0
KINDS = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeadraceError)
}


class AnsweringAfar:
    """By the analyzer of a server; the text is fetched when the report needs it."""

    def __init__(self, client: httpx.AsyncClient, *, with_text: bool) -> None:
        self._client = client
        self._with_text = with_text

    async def answer(self, upload: Upload) -> Answer:
        """The server's answer; raises what the server said of it, and `ServiceFailed` when it cannot be reached."""
        headers = {"Content-Type": "application/octet-stream", "X-Headrace-Priority": "batch"}
        if upload.filename:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(upload.filename, safe='')}"
        response = await self._asked("POST", PATH, content=upload.content, headers=headers)
        fields = _fields(response)
        text = ""
        if self._with_text:
            text = (await self._asked("GET", f"/v1/decisions/{fields['decision_id']}/text")).text
        return Answer(response.content, fields, text)

    async def _asked(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = await self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise ServiceFailed(
                f"The server {self._client.base_url} did not answer: {error or type(error).__name__}.",
                remedy="Start it with `headrace up`, or check the address.",
            ) from error
        if response.is_success:
            return response
        raise _problem(response)


@asynccontextmanager
async def answering_afar(url: str, *, with_text: bool) -> AsyncIterator[AnsweringAfar]:
    """A connection to the server at `url`, which is closed on the way out; raises `InvalidInput` for no address."""
    try:
        client = httpx.AsyncClient(base_url=url, timeout=WAIT_S, trust_env=False)
    except httpx.InvalidURL as error:
        raise errors.InvalidInput(f"{url!r} is no address: {error}.", remedy="Write http://host:port.") from error
    async with client:
        yield AnsweringAfar(client, with_text=with_text)


def _fields(response: httpx.Response) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode(response.content))
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise ServiceFailed("The server's answer is no JSON.", remedy="Is a Headrace at this address?") from error


def _problem(response: httpx.Response) -> HeadraceError:
    try:
        problem = dict(msgspec.json.decode(response.content))
    except (msgspec.DecodeError, TypeError, ValueError):
        problem = {}
    detail = str(problem.get("detail") or f"The server said {response.status_code} {response.reason_phrase}.")
    kind = KINDS.get(str(problem.get("code")), ServiceFailed)
    if kind is Overloaded:
        waiting = response.headers.get("Retry-After", "")
        return Overloaded(detail, retry_after_s=min(float(waiting), 30.0) if waiting.isdecimal() else 1.0)
    return kind(detail)
