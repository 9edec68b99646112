"""Batches: many documents submitted as jobs of their own, with one progress and one end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from headrace.domain.batch import Batch, BatchLine, BatchStore
from headrace.domain.decision import new_id
from headrace.domain.job import IllegalTransition, JobRequest
from headrace.domain.stores import ArtifactStore
from headrace.errors import HeadraceError, NotFound
from headrace.jobs.job_queue import JobQueue, Question, utc_now

AT_ONCE = 64
"""Submissions under way together: they share the store's flushes to the disc."""

LINES_A_READ = 200
ABANDONED_AFTER = timedelta(hours=1)
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What all documents of a batch have in common; `release_of` fixes a release by an input's digest."""

    endpoint: str
    release_of: Callable[[str], str]
    priority: str = "batch"
    key: str = ""
    request_id: str = ""
    trace: str = ""
    webhook_url: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One document: its content, or the digest of an artifact that is stored already."""

    content: bytes | None = None
    digest: str | None = None
    filename: str | None = None
    media_type: str | None = None


class Batches:
    """Submits batches and follows them; any process that reaches the store can serve any batch."""

    def __init__(
        self,
        store: BatchStore,
        queue: JobQueue,
        artifacts: ArtifactStore,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._queue = queue
        self._artifacts = artifacts
        self._clock = clock

    async def submit(self, plan: BatchPlan, items: Iterable[Callable[[], BatchItem]]) -> Batch:
        """The batch, all of its jobs durable when this returns; items are made one by one, when their turn comes.

        The batch is kept open before its first job and sealed behind the last: one that its submitter left half done
        is found, and its jobs cancelled, by `sweep`.
        """
        batch = Batch(
            id=new_id("bat"),
            endpoint=plan.endpoint,
            created_at=self._clock(),
            key=plan.key,
            webhook_url=plan.webhook_url,
        )
        await self._store.add(batch)
        total, turn = 0, iter(items)
        while chunk := [make for _, make in zip(range(AT_ONCE), turn, strict=False)]:
            made = await asyncio.to_thread(_made, chunk)
            await asyncio.gather(*(self._queue.submit(_question(plan, item, batch.id)) for item in made))
            total += len(made)
        await self._store.seal(batch.id, total=total)
        return await self.look_up(batch.id)

    async def check_stored(self, digest: str) -> None:
        """Raises `NotFound` when no artifact of this digest is stored."""
        if not await asyncio.to_thread(self._artifacts.exists, digest):
            raise NotFound(f"There is no artifact {digest[:80]}.", remedy="Send the document itself.")

    async def look_up(self, batch_id: str) -> Batch:
        """The batch, its jobs counted; raises `NotFound`."""
        batch = await self._store.find(batch_id)
        if batch is None:
            raise NotFound(f"There is no batch {batch_id[:80]!r}.", remedy="Check its id.")
        return batch

    async def listed(self, *, key: str | None, cursor: str | None, limit: int) -> list[Batch]:
        """Newest first."""
        return await self._store.listed(key=key, cursor=cursor, limit=limit)

    async def results(self, batch_id: str) -> AsyncIterator[bytes]:
        """One JSON line a document: its job, its name and state, and the answer or the error."""
        after = ""
        while lines := await self._store.lines(batch_id, after=after, limit=LINES_A_READ):
            for line in lines:
                yield await self._told(line)
            after = lines[-1].job_id

    async def cancel(self, batch_id: str) -> Batch:
        """Cancels what has not ended; raises `NotFound`."""
        await self.look_up(batch_id)
        seen: set[str] = set()
        while ids := [each for each in await self._store.unfinished_jobs(batch_id, limit=1000) if each not in seen]:
            seen.update(ids)
            await asyncio.gather(*(self._cancel_job(job_id) for job_id in ids))
        return await self.look_up(batch_id)

    async def sweep(self) -> int:
        """Finishes what has ended, and ends what its submitter left half done; how many batches changed."""
        now = self._clock()
        changed = await self._store.finish(now=now)
        for batch_id in await self._store.abandoned(before=now - ABANDONED_AFTER):
            batch = await self.cancel(batch_id)
            await self._store.seal(batch_id, total=sum(batch.counts.values()))
            changed += 1
        return changed

    async def run(self) -> None:
        """Sweeps again and again, until it is cancelled; a store that is away is tried again."""
        while True:
            try:
                await self.sweep()
            except HeadraceError as failure:
                if not failure.retryable:
                    raise
            await asyncio.sleep(LOOK_EVERY_S)

    async def _cancel_job(self, job_id: str) -> None:
        try:
            await self._queue.cancel(job_id)
        except IllegalTransition:
            # It ended between the look and the wish, which is as good.
            return

    async def _told(self, line: BatchLine) -> bytes:
        body = line.body or b""
        if line.digest is not None:
            body = await asyncio.to_thread(self._artifacts.get, line.digest)
        head = {
            "job_id": line.job_id,
            "filename": line.filename,
            "state": line.state,
            "decision_id": line.decision_id,
            "error": None if line.error is None else {"code": line.error.code, "detail": line.error.detail},
        }
        told = json.dumps(head, ensure_ascii=False)[:-1].encode()
        # The answer is JSON already and stays as it was sent, byte for byte.
        return told + b', "answer": ' + (body or b"null").replace(b"\n", b" ") + b"}\n"


def _made(chunk: Sequence[Callable[[], BatchItem]]) -> list[BatchItem]:
    return [make() for make in chunk]


def _question(plan: BatchPlan, item: BatchItem, batch_id: str) -> Question:
    return Question(
        endpoint=plan.endpoint,
        release=plan.release_of(item.digest or f"sha256:{sha256(item.content or b'').hexdigest()}"),
        content=item.content,
        digest=item.digest,
        priority=plan.priority,
        key=plan.key,
        request=JobRequest(
            media_type=item.media_type,
            filename=item.filename,
            request_id=plan.request_id,
            trace=plan.trace,
            tags=plan.tags,
        ),
        batch_id=batch_id,
    )
