"""The front of the job store: what callers of any process are given."""

import asyncio

import pytest

from headrace.domain.job import IllegalTransition, JobError, JobState, NotFinished, RetryPolicy
from headrace.domain.stores import JobFilter, JobSuccess
from headrace.errors import InvalidInput, NotFound
from headrace.jobs.job_queue import INLINE_BYTES, IdempotencyMismatch, JobQueue, Question, utc_now
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

DEADLINE_S = 30
LASTING = JobError("unreadable", "The file is encrypted.", retryable=False)


@pytest.fixture
async def store(store_url):
    store = SqlJobs(opened_database(store_url))
    yield store
    await store.close()


@pytest.fixture
def artifacts(tmp_path):
    return opened_artifacts(str(tmp_path / "artifacts"))


@pytest.fixture
def queue(store, artifacts):
    return JobQueue(store, artifacts)


def question(content=b"small", **changes: object):
    return Question(endpoint="p/e", release="sha256:1", content=content, **changes)


async def run(store, job_id: str, *, body: bytes = b"{}", digest: str | None = None) -> None:
    (begun,) = await store.begin([job_id], worker="w", now=utc_now(), lease_s=30)
    await store.succeed(JobSuccess(job_id, begun.number, body, digest=digest), now=utc_now())


async def test_a_large_input_lies_in_the_artifacts_before_its_job_is_there(queue, store, artifacts):
    content = b"x" * (INLINE_BYTES + 1)

    job = await queue.submit(question(content))

    (begun,) = await store.begin([job.id], worker="w", now=utc_now(), lease_s=30)
    assert begun.inline is None
    assert artifacts.get(job.input_digest) == content


async def test_a_stored_document_is_submitted_by_its_digest(queue, artifacts):
    digest = artifacts.put(b"stored before")

    job = await queue.submit(question(None, digest=digest))

    assert job.input_digest == digest


async def test_a_document_that_is_not_stored_cannot_be_submitted(queue):
    with pytest.raises(NotFound, match="sha256:0000"):
        await queue.submit(question(None, digest=f"sha256:{'0' * 64}"))
    with pytest.raises(InvalidInput, match="no input"):
        await queue.submit(question(None))


async def test_the_same_name_with_another_question_is_refused(queue):
    first = await queue.submit(question(idempotency="k:1"))

    assert (await queue.submit(question(idempotency="k:1"))).id == first.id
    with pytest.raises(IdempotencyMismatch, match=first.id):
        await queue.submit(question(b"other", idempotency="k:1"))


async def test_an_unknown_job_is_said_to_be_unknown(queue):
    for call in (queue.look_up, queue.result, queue.events, queue.cancel, queue.replay):
        with pytest.raises(NotFound, match="job_none"):
            await call("job_none")


async def test_a_result_that_is_asked_for_too_early_is_not_there(queue, store):
    job = await queue.submit(question())

    with pytest.raises(NotFinished, match="queued"):
        await queue.result(job.id)
    await run(store, job.id, body=b'{"a": 1}')
    assert (await queue.result(job.id)).body == b'{"a": 1}'


async def test_a_large_result_comes_from_the_artifacts(queue, store, artifacts):
    job = await queue.submit(question())
    await run(store, job.id, body=b"", digest=artifacts.put(b"large"))

    assert (await queue.result(job.id)).body == b"large"


async def test_a_job_is_cancelled_once(queue):
    job = await queue.submit(question())

    assert (await queue.cancel(job.id)).state is JobState.CANCELLED
    with pytest.raises(IllegalTransition, match="cancelled already"):
        await queue.cancel(job.id)
    with pytest.raises(NotFinished, match="cancelled"):
        await queue.result(job.id)


async def test_all_dead_jobs_are_replayed_at_once(queue, store):
    jobs = [await queue.submit(question()) for _ in range(3)]
    for job in jobs:
        await store.begin([job.id], worker="w", now=utc_now(), lease_s=30)
        await store.fail(job.id, 1, LASTING, now=utc_now(), policy=RetryPolicy(), jitter=0)

    assert await queue.replay_all(JobFilter()) == 3
    assert {(await queue.look_up(job.id)).state for job in jobs} == {JobState.QUEUED}


async def test_who_watches_sees_every_event_once_and_in_order_to_the_end(queue, store):
    job = await queue.submit(question())
    watching = asyncio.create_task(collected(queue, job.id, after=0))
    await run(store, job.id)

    assert await asyncio.wait_for(watching, DEADLINE_S) == [1, 2, 3]
    assert await collected(queue, job.id, after=2) == [3]
    assert await collected(queue, job.id, after=3) == []


async def collected(queue, job_id: str, *, after: int) -> list[int]:
    return [event.id async for event in queue.watch(job_id, after=after) if event is not None]


async def test_a_quiet_stream_says_so(queue):
    job = await queue.submit(question())

    events = queue.watch(job.id, after=1, quiet_s=0.05)

    assert await asyncio.wait_for(anext(events), DEADLINE_S) is None
    await events.aclose()


async def test_who_waits_is_told_when_the_job_ends(queue, store):
    job = await queue.submit(question())
    assert (await queue.wait(job.id, timeout_s=0.01)).state is JobState.QUEUED

    waiting = asyncio.create_task(queue.wait(job.id, timeout_s=DEADLINE_S))
    await run(store, job.id)

    assert (await waiting).state is JobState.SUCCEEDED
