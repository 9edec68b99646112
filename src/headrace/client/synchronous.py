"""Client: a server from afar, for plain code; all of it is done by `AsyncClient` in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any, Self, TypeVar

from headrace.client.asynchronous import TRIES, USUAL_S, USUAL_URL, AsyncClient
from headrace.client.messages import NO_WISHES, Answer, Document, JobState, Wishes

Result = TypeVar("Result")


class Client:
    """`AsyncClient` for plain code: the same methods, each waits for its end. Safe to share between threads."""

    def __init__(self, url: str = USUAL_URL, *, key: str = "", timeout_s: float = USUAL_S, tries: int = TRIES) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="headrace-client", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(_made(url, key=key, timeout_s=timeout_s, tries=tries))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; safe to call twice."""
        if not self._loop.is_closed():
            self._run(self._client.close())
            self._end()

    def ask(self, endpoint: str, document: Document, *, filename: str = "", wishes: Wishes = NO_WISHES) -> Answer:
        """The answer of `pipeline/endpoint` to a document."""
        return self._run(self._client.ask(endpoint, document, filename=filename, wishes=wishes))

    def ask_json(self, endpoint: str, question: Any, *, wishes: Wishes = NO_WISHES) -> Answer:
        """The answer of an endpoint that takes JSON."""
        return self._run(self._client.ask_json(endpoint, question, wishes=wishes))

    def submit(self, endpoint: str, document: Document, *, filename: str = "", wishes: Wishes = NO_WISHES) -> JobState:
        """A job that will answer later."""
        return self._run(self._client.submit(endpoint, document, filename=filename, wishes=wishes))

    def job(self, job_id: str) -> JobState:
        """A job as it stands."""
        return self._run(self._client.job(job_id))

    def cancel(self, job_id: str) -> JobState:
        """Cancels a job, also while it runs."""
        return self._run(self._client.cancel(job_id))

    def retry(self, job_id: str) -> JobState:
        """Runs a job that failed or was cancelled again."""
        return self._run(self._client.retry(job_id))

    def events(self, job_id: str, *, after: str = "") -> Iterator[Mapping[str, Any]]:
        """What happens to a job until it is over."""
        return self._each(self._client.events(job_id, after=after))

    def result(self, job_id: str) -> Answer:
        """The answer of a job, which is waited for."""
        return self._run(self._client.result(job_id))

    def decision(self, decision_id: str) -> Mapping[str, Any]:
        """The record of an answer."""
        return self._run(self._client.decision(decision_id))

    def text(self, decision_id: str) -> str:
        """The text that all offsets of an answer count in."""
        return self._run(self._client.text(decision_id))

    def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Everything that spoke for and against an answer."""
        return self._run(self._client.explanation(decision_id))

    def feedback(self, decision_id: str, label: str) -> Mapping[str, Any]:
        """Tells what proved true."""
        return self._run(self._client.feedback(decision_id, label))

    def pages(self, path: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """The items of a list, page by page."""
        return self._each(self._client.pages(path, **query))

    def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Any other noun, looked up."""
        return self._run(self._client.get(path, **query))

    def post(self, path: str, body: Any) -> Mapping[str, Any]:
        """Any other noun, acted on."""
        return self._run(self._client.post(path, body))

    def delete(self, path: str) -> Mapping[str, Any]:
        """Any other noun, taken away."""
        return self._run(self._client.delete(path))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        call = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return call.result()
        except BaseException:
            # An interrupted caller leaves nothing running behind.
            call.cancel()
            raise

    def _each(self, items: AsyncIterator[Result]) -> Iterator[Result]:
        while True:
            try:
                yield self._run(_next(items))
            except StopAsyncIteration:
                return

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _made(url: str, *, key: str, timeout_s: float, tries: int) -> AsyncClient:
    return AsyncClient(url, key=key, timeout_s=timeout_s, tries=tries)


async def _next(items: AsyncIterator[Result]) -> Result:
    return await anext(items)
