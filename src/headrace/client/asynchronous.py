"""AsyncClient: a server from afar, for async code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import httpx
import msgspec

from headrace.client.messages import (
    LONGEST_WAIT_S,
    NO_WISHES,
    Answer,
    Document,
    JobState,
    Wishes,
    fields_of,
    job_of,
    json_headers,
    part,
    problem_of,
    sent,
    told_by,
    unreached,
)
from headrace.errors import InvalidInput, Overloaded

USUAL_URL = "http://127.0.0.1:8000"
USUAL_S = 300.0
TRIES = 5


class AsyncClient:
    """A server from afar, over connections that are kept. Used as an async context manager, or closed by `close`.

    What is refused for lack of room is asked again after the time that the server names, `tries` times in all.
    Errors are those of `headrace.errors`, as if the server were here; `ServiceFailed` also when it cannot be reached.
    """

    def __init__(self, url: str = USUAL_URL, *, key: str = "", timeout_s: float = USUAL_S, tries: int = TRIES) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no address of a server.", remedy="Write http://host:port.")
        self._tries = tries
        try:
            self._http = httpx.AsyncClient(
                base_url=url,
                timeout=httpx.Timeout(timeout_s, connect=10.0),
                trust_env=False,
                headers={"Authorization": f"Bearer {key}"} if key else {},
            )
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{url!r} is no address: {error}.", remedy="Write http://host:port.") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def ask(self, endpoint: str, document: Document, *, filename: str = "", wishes: Wishes = NO_WISHES) -> Answer:
        """The answer of `pipeline/endpoint` to a document, waited for."""
        request = await sent(document, filename)
        request["headers"] |= wishes.headers()
        response = await self._asked("POST", f"/v1/{endpoint}", **request)
        return Answer(response.content, fields_of(response))

    async def ask_json(self, endpoint: str, question: Any, *, wishes: Wishes = NO_WISHES) -> Answer:
        """The answer of an endpoint that takes JSON."""
        response = await self._asked(
            "POST", f"/v1/{endpoint}", content=msgspec.json.encode(question), headers=json_headers() | wishes.headers()
        )
        return Answer(response.content, fields_of(response))

    async def submit(
        self, endpoint: str, document: Document, *, filename: str = "", wishes: Wishes = NO_WISHES
    ) -> JobState:
        """A job that will answer later."""
        request = await sent(document, filename)
        request["headers"] |= wishes.headers() | {"Prefer": "respond-async"}
        return job_of(fields_of(await self._asked("POST", f"/v1/{endpoint}", **request)))

    async def job(self, job_id: str) -> JobState:
        """A job as it stands."""
        return job_of(await self.get(f"/v1/jobs/{part(job_id)}"))

    async def cancel(self, job_id: str) -> JobState:
        """Cancels a job, also while it runs."""
        return job_of(fields_of(await self._asked("DELETE", f"/v1/jobs/{part(job_id)}")))

    async def retry(self, job_id: str) -> JobState:
        """Runs a job that failed or was cancelled again."""
        return job_of(fields_of(await self._asked("POST", f"/v1/jobs/{part(job_id)}/retry")))

    async def events(self, job_id: str, *, after: str = "") -> AsyncIterator[Mapping[str, Any]]:
        """What happens to a job until it is over, with its `id` and `event`; goes on after a lost connection."""
        path = f"/v1/jobs/{part(job_id)}/events"
        failures = 0
        while True:
            try:
                headers = {"Last-Event-ID": after} if after else {}
                async with self._http.stream("GET", path, headers=headers) as response:
                    if not response.is_success:
                        await response.aread()
                        raise problem_of(response)
                    async for told in told_by(response):
                        failures, after = 0, str(told["id"])
                        yield told
            except httpx.TransportError as error:
                failures += 1
                if failures >= self._tries:
                    raise unreached(self._http, error) from error
                await asyncio.sleep(min(2.0**failures / 10, LONGEST_WAIT_S))
                continue
            if (await self.job(job_id)).is_over:
                return

    async def result(self, job_id: str) -> Answer:
        """The answer of a job, which is waited for; raises what the job failed with."""
        async for _ in self.events(job_id):
            pass
        response = await self._asked("GET", f"/v1/jobs/{part(job_id)}/result")
        return Answer(response.content, fields_of(response))

    async def decision(self, decision_id: str) -> Mapping[str, Any]:
        """The record of an answer."""
        return await self.get(f"/v1/decisions/{part(decision_id)}")

    async def text(self, decision_id: str) -> str:
        """The text that all offsets of an answer count in."""
        return (await self._asked("GET", f"/v1/decisions/{part(decision_id)}/text")).text

    async def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Everything that spoke for and against an answer."""
        return await self.get(f"/v1/decisions/{part(decision_id)}/explanation")

    async def feedback(self, decision_id: str, label: str) -> Mapping[str, Any]:
        """Tells what proved true."""
        return await self.post(f"/v1/decisions/{part(decision_id)}/feedback", {"label": label})

    async def pages(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """The items of a list such as `/v1/decisions`, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, **query | ({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                yield item
            cursor = page.get("next")
            if not cursor:
                return

    async def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Any other noun, looked up."""
        return fields_of(await self._asked("GET", path, params=query))

    async def post(self, path: str, body: Any) -> Mapping[str, Any]:
        """Any other noun, acted on."""
        content = msgspec.json.encode(body)
        return fields_of(await self._asked("POST", path, content=content, headers=json_headers()))

    async def delete(self, path: str) -> Mapping[str, Any]:
        """Any other noun, taken away."""
        return fields_of(await self._asked("DELETE", path))

    async def _asked(self, method: str, path: str, **request: Any) -> httpx.Response:
        for _ in range(self._tries - 1):
            try:
                return await self._asked_once(method, path, **request)
            except Overloaded as busy:
                await asyncio.sleep(busy.retry_after_s)
        return await self._asked_once(method, path, **request)

    async def _asked_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise unreached(self._http, error) from error
        if response.is_success:
            return response
        raise problem_of(response)
