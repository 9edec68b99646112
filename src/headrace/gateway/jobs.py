"""The calls of `/v1/jobs`: look up, list, follow, cancel, replay, and the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from headrace.domain.job import IllegalTransition, Job, JobResult, JobState, NotFinished
from headrace.domain.stores import JobFilter
from headrace.errors import Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in, page_of
from headrace.gateway.request import Request
from headrace.gateway.response import Response, Stream, event, event_stream, json_response
from headrace.gateway.route import Route
from headrace.jobs.job_queue import JobQueue

QUIET_S = 15.0
"""After so long without an event a comment is sent, lest something on the way takes the connection for dead."""
KEEP_ALIVE = b": still here\n\n"
TAG = "jobs"
_JOB = {
    "id": "job_019ac0de-0000-7000-8000-0000000000",
    "state": "running",
    "release": "sha256:5f1d7d27b8e0a5b4ab9f3c1e6f1f5d5a3a7f0f3a7d9f4c1b2e8d6a5c4b3a2910",
    "progress": {"stage": "extract", "done": 3, "total": 40, "fraction": 0.07, "eta_s": 12.5},
    "attempts": [{"number": 1, "started_at": "2026-11-25T22:00:00Z", "ended_at": None, "outcome": None, "error": None}],
    "decision_id": None,
    "created_at": "2026-11-25T22:00:00Z",
    "finished_at": None,
    "error": None,
}
JOB = Content({"type": "object", "required": ["id", "state", "progress", "attempts"]}, example=_JOB)
_ID = Parameter("id", "The job's id.", where="path", required=True, example=_JOB["id"])
SHOW = Operation("Look up a job", TAG, parameters=(_ID,), gives={200: JOB}, errors=(NotFound,))
LIST = Operation(
    "List jobs",
    TAG,
    parameters=(
        Parameter("state", "Those in this state only.", schema=JobState, example="failed"),
        Parameter("batch", "Those of this batch only."),
        *PAGING,
    ),
    gives={200: page_of(_JOB)},
    errors=(Malformed,),
)
CANCEL = Operation(
    "Cancel a job",
    TAG,
    "A queued one at once, a running one as soon as its worker hears of it.",
    parameters=(_ID,),
    gives={202: JOB},
    errors=(NotFound, IllegalTransition),
)
RETRY = Operation(
    "Run a failed or cancelled job again",
    TAG,
    "By the release that serves now, whichever it was submitted to.",
    parameters=(_ID,),
    gives={202: JOB},
    errors=(NotFound, IllegalTransition),
)
EVENTS = Operation(
    "Follow a job",
    TAG,
    "Server-Sent Events; each has an id, and `Last-Event-ID` goes on after it without loss.",
    parameters=(
        _ID,
        Parameter("Last-Event-ID", "The id of the last event that was seen.", where="header", schema=int, example=3),
    ),
    gives={200: Content({"type": "string"}, media_type="text/event-stream")},
    errors=(NotFound, Malformed),
)
RESULT = Operation(
    "The answer of a job",
    TAG,
    parameters=(_ID,),
    gives={200: Content({"type": "object"})},
    errors=(NotFound, NotFinished),
)


def routes(queue: JobQueue, *, release_of: Callable[[Job], str | None]) -> list[Route]:
    """A caller without an administrator's key sees the jobs of its own key only.

    `release_of` says who would answer a job that came in now: a job that is run again is answered by that.
    """

    async def found(request: Request) -> Job:
        return await own_job(queue, request)

    async def shown(request: Request) -> Response:
        return json_response((await found(request)).body())

    async def listed(request: Request) -> Response:
        which = JobFilter(state=_state(request), key=_owner(request), batch_id=request.query.get("batch") or None)
        wanted = page_in(request)
        page = await queue.listed(which, cursor=wanted.cursor, limit=wanted.limit)
        return json_response({"items": [job.body() for job in page.items], "next": page.next})

    async def cancel(request: Request) -> Response:
        await found(request)
        return json_response((await queue.cancel(request.params["id"])).body(), status=202)

    async def retry(request: Request) -> Response:
        job = await found(request)
        return json_response((await queue.replay(job.id, release=release_of(job))).body(), status=202)

    async def events(request: Request) -> Stream:
        job = await found(request)
        return event_stream(_told(queue, job.id, after=_last_event(request)))

    async def result(request: Request) -> Response:
        result = await queue.result((await found(request)).id)
        # Looked up after its end, for until then another release may have come to answer it.
        return result_response(await found(request), result)

    return [
        Route("GET", "/v1/jobs", listed, LIST),
        Route("GET", "/v1/jobs/{id}", shown, SHOW),
        Route("DELETE", "/v1/jobs/{id}", cancel, CANCEL, access=Access.WRITE),
        Route("POST", "/v1/jobs/{id}/retry", retry, RETRY, access=Access.WRITE),
        Route("GET", "/v1/jobs/{id}/events", events, EVENTS),
        Route("GET", "/v1/jobs/{id}/result", result, RESULT),
    ]


async def own_job(queue: JobQueue, request: Request) -> Job:
    """The job that a path names, if the caller may see it; raises `NotFound`."""
    job = await queue.look_up(request.params["id"])
    if request.caller.access < Access.ADMIN and job.key != request.caller.id:
        raise NotFound(f"There is no job {job.id}.", remedy="Check its id.")
    return job


class _Timed(msgspec.Struct):
    """What the headers of an answer tell of its body."""

    timings_ms: dict[str, float] = msgspec.field(default_factory=dict)


def result_response(job: Job, result: JobResult) -> Response:
    """The answer of a job, with the headers that an answer has."""
    headers = [("x-headrace-release", job.release)]
    if result.decision_id:
        headers.append(("x-headrace-decision", result.decision_id))
    timings = msgspec.json.decode(result.body, type=_Timed).timings_ms
    if timings:
        told = (f"{name};dur={time_ms:.1f}" for name, time_ms in timings.items() if name != "queued")
        headers.append(("server-timing", ", ".join(told)))
    return Response(result.body, headers=headers)


async def _told(queue: JobQueue, job_id: str, *, after: int) -> AsyncIterator[bytes]:
    async for each in queue.watch(job_id, after=after, quiet_s=QUIET_S):
        yield KEEP_ALIVE if each is None else event(each.data, name=each.kind, event_id=str(each.id))


def _owner(request: Request) -> str | None:
    return None if request.caller.access >= Access.ADMIN else request.caller.id


def _state(request: Request) -> JobState | None:
    given = request.query.get("state")
    if given is None:
        return None
    try:
        return JobState(given)
    except ValueError as error:
        raise Malformed(
            f"state={given[:40]!r} is no state.", remedy=f"The states are {', '.join(JobState)}."
        ) from error


def _last_event(request: Request) -> int:
    given = request.header("last-event-id") or "0"
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise Malformed(f"Last-Event-ID is {given[:40]!r}.", remedy="Send the id of an event of this job.")
    return int(given)
