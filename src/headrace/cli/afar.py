"""Answers from a server: waited for, or by jobs that outlive a restart on either side of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from headrace.cli.answering import Answer, Answering
from headrace.client import Answer as Told
from headrace.client import AsyncClient, Wishes
from headrace.errors import ServiceFailed
from headrace.serving.upload import Upload

ENDPOINT = "document-analyzer/analyze"
IN_BATCH = Wishes(priority="batch")
SUBMISSIONS = 10
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Afar:
    """Which server answers, and how: `with_text` for a report, `by_jobs` instead of waiting for each answer."""

    url: str
    key: str = ""
    with_text: bool = False
    by_jobs: bool = False


class AnsweringAfar:
    """By the analyzer of a server; the text is fetched when the report needs it."""

    def __init__(self, client: AsyncClient, *, with_text: bool) -> None:
        self._client = client
        self._with_text = with_text

    async def answer(self, upload: Upload) -> Answer:
        """The server's answer; raises what the server said of it, and `ServiceFailed` when it cannot be reached."""
        told = await self._told(upload)
        text = await self._client.text(told.decision_id) if self._with_text else ""
        return Answer(told.body, dict(told.fields), text)

    async def _told(self, upload: Upload) -> Told:
        return await self._client.ask(ENDPOINT, upload.content, filename=upload.filename or "", wishes=IN_BATCH)


class AnsweringByJobs(AnsweringAfar):
    """By jobs: a submission whose answer was lost is sent again under its own name, so it is one job all the same."""

    async def _told(self, upload: Upload) -> Told:
        wishes = replace(IN_BATCH, idempotency_key=uuid4().hex)
        wait_s = FIRST_WAIT_S
        for _ in range(SUBMISSIONS - 1):
            try:
                return await self._by_job(upload, wishes)
            except ServiceFailed:
                # The server is away or starts anew; the job, if it has it, goes on there.
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return await self._by_job(upload, wishes)

    async def _by_job(self, upload: Upload, wishes: Wishes) -> Told:
        job = await self._client.submit(ENDPOINT, upload.content, filename=upload.filename or "", wishes=wishes)
        return await self._client.result(job.id)


@asynccontextmanager
async def answering_afar(afar: Afar) -> AsyncIterator[Answering]:
    """A connection to the server, which is closed on the way out; raises `InvalidInput` for no address."""
    # Whoever asks is patient already: a refusal is waited for there, and not once more here.
    async with AsyncClient(afar.url, key=afar.key, tries=5 if afar.by_jobs else 1) as client:
        kind = AnsweringByJobs if afar.by_jobs else AnsweringAfar
        yield kind(client, with_text=afar.with_text)
