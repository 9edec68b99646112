"""Answers from a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace.cli.answering import Answer
from headrace.client import AsyncClient, Wishes
from headrace.serving.upload import Upload

ENDPOINT = "document-analyzer/analyze"
IN_BATCH = Wishes(priority="batch")


class AnsweringAfar:
    """By the analyzer of a server; the text is fetched when the report needs it."""

    def __init__(self, client: AsyncClient, *, with_text: bool) -> None:
        self._client = client
        self._with_text = with_text

    async def answer(self, upload: Upload) -> Answer:
        """The server's answer; raises what the server said of it, and `ServiceFailed` when it cannot be reached."""
        answer = await self._client.ask(ENDPOINT, upload.content, filename=upload.filename or "", wishes=IN_BATCH)
        text = await self._client.text(answer.decision_id) if self._with_text else ""
        return Answer(answer.body, dict(answer.fields), text)


@asynccontextmanager
async def answering_afar(url: str, *, with_text: bool) -> AsyncIterator[AnsweringAfar]:
    """A connection to the server at `url`, which is closed on the way out; raises `InvalidInput` for no address."""
    # Whoever asks is patient already: a refusal is waited for there, and not once more here.
    async with AsyncClient(url, tries=1) as client:
        yield AnsweringAfar(client, with_text=with_text)
