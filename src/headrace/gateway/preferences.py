"""Answer now or later: the caller chooses by `Prefer` (RFC 7240) and `Idempotency-Key`, and both are one call."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from opentelemetry.trace import SpanKind

from headrace.domain.job import Job, JobRequest, JobState
from headrace.errors import Conflict, DeadlineExceeded, HeadraceError, Malformed, ServiceFailed
from headrace.gateway.endpoints import Answering, Asked, Choice, answer_now
from headrace.gateway.jobs import JOB, result_response
from headrace.gateway.operation import Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.jobs.job_queue import JobQueue, Question
from headrace.serving.endpoint import Endpoint

LONGEST_WAIT_S = 300.0
LONGEST_KEY = 255
PARAMETERS = (
    Parameter("Prefer", "respond-async: a job at once; wait=N: one after N s.", where="header", example="wait=2"),
    Parameter("Idempotency-Key", "Same key and body, same answer.", where="header", example="order-17"),
    Parameter("X-Headrace-Webhook", "Who is told when the job ends.", where="header", example="https://example.org/h"),
)
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?", re.ASCII)


class StillRunning(Conflict):
    """The call with this Idempotency-Key came before and is being answered."""

    code: ClassVar[str] = "still_running"
    retryable: ClassVar[bool] = True

    def __init__(self, job: Job) -> None:
        super().__init__(f"The same call is being answered as job {job.id}.", remedy="Ask again, or watch that job.")
        self.job_id = job.id


@dataclass(frozen=True, slots=True)
class Preference:
    """How long the caller waits for an answer before a job will do: 0 is not at all."""

    wait_s: float
    applied: str


def preference_of(header: str | None) -> Preference | None:
    """What `Prefer` says of waiting; None when it says nothing. Unknown preferences are passed over, as RFC 7240 asks.

    `respond-async` alone is a job at once; with `wait=N`, or `wait=N` alone, an answer within N seconds or else a job.
    """
    if header is None:
        return None
    tokens = [token.strip().lower() for token in re.split(r"[,;]", header)]
    waits = [float(found[1]) for token in tokens if (found := _WAIT.fullmatch(token))]
    if waits:
        wait_s = min(waits[0], LONGEST_WAIT_S)
        return Preference(wait_s, f"wait={wait_s:.0f}")
    return Preference(0.0, "respond-async") if "respond-async" in tokens else None


def choice_of_callers(queue: JobQueue, *, check: Callable[[str], str]) -> Choice:
    """Now or later, as each call says; `check` sees addresses that want to be told."""
    return Choice(
        answering_by_preference(queue, check=check), parameters=PARAMETERS, gives={202: JOB}, errors=(Conflict,)
    )


def answering_by_preference(queue: JobQueue, *, check: Callable[[str], str]) -> Answering:
    """Answers at once, unless the caller prefers a job, names the call, or wants an address told, which `check` sees.

    A call that is named is a job too, whatever its caller prefers: so its answer outlives a restart.
    """

    async def answering(request: Request, endpoint: Endpoint, asked: Asked) -> Response:
        preference = preference_of(request.header("prefer"))
        name, webhook = _name(request, endpoint), request.header("x-headrace-webhook")
        if preference is None and name is None and webhook is None:
            return await answer_now(request, endpoint, asked)
        if name is not None and preference is None:
            await _check_not_running(queue, name)
        job = await _submitted(
            queue, request, _question(request, endpoint, asked, name=name, webhook=webhook and check(webhook))
        )
        return await _waited_for(queue, job, preference, budget_s=asked.context.remaining_s())

    return answering


async def _submitted(queue: JobQueue, request: Request, question: Question) -> Job:
    """The job; its row carries the trace on, to the worker and to who is told of its end."""
    if request.span is None:
        return await queue.submit(question)
    with request.span.part(f"submit {question.endpoint}", kind=SpanKind.PRODUCER) as span:
        carried = replace(question.request, trace=str(span.traceparent))
        job = await queue.submit(replace(question, request=carried))
        span.tell(job_id=job.id)
    return job


async def _waited_for(queue: JobQueue, job: Job, preference: Preference | None, *, budget_s: float | None) -> Response:
    wait_s = preference.wait_s if preference is not None else (budget_s or LONGEST_WAIT_S)
    if wait_s:
        job = await queue.wait(job.id, timeout_s=wait_s)
    applied = [("preference-applied", preference.applied)] if preference is not None else []
    if job.state.is_final and wait_s:
        response = result_response(job, await queue.result(job.id)) if job.error is None else _raised(job)
        response.headers += applied
        return response
    if preference is None:
        late = DeadlineExceeded(
            "The answer was not there within the caller's time; the job goes on.",
            remedy=f"Ask again with the same Idempotency-Key, or look at {_path(job)}.",
        )
        late.job_id = job.id  # type: ignore[attr-defined] # the problem document names it
        raise late
    return json_response(job.body(), status=202, headers=[("location", _path(job)), *applied])


def _raised(job: Job) -> Response:
    """Raises what the job failed with, as the same call without a job would have."""
    assert job.error is not None
    kinds = {kind.code: kind for kind in _kinds(HeadraceError)}
    kind = kinds.get(job.error.code, ServiceFailed)
    try:
        error = kind(job.error.detail)
    except TypeError:
        error = ServiceFailed(job.error.detail)
    error.job_id = job.id  # type: ignore[attr-defined] # the problem document names it
    raise error


def _kinds(kind: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _kinds(child))]


async def _check_not_running(queue: JobQueue, name: str) -> None:
    earlier = await queue.look_up_idempotent(name)
    if earlier is not None and earlier.state in {JobState.QUEUED, JobState.RUNNING}:
        raise StillRunning(earlier)


def _question(request: Request, endpoint: Endpoint, asked: Asked, *, name: str | None, webhook: str | None) -> Question:
    return Question(
        endpoint=endpoint.path,
        release=endpoint.variant_of(asked.context.key, asked.digest).release,
        content=asked.sent.content,
        priority=asked.context.priority.value,
        key=request.caller.id,
        request=JobRequest(
            media_type=asked.sent.media_type,
            filename=asked.sent.filename,
            request_id=request.id,
            trace=request.trace_parent,
            webhook_url=webhook,
            tags=dict(asked.context.tags),
        ),
        idempotency=name,
    )


def _name(request: Request, endpoint: Endpoint) -> str | None:
    """The caller's own name for this call, within the scope of their key and of the endpoint."""
    given = request.header("idempotency-key")
    if given is None:
        return None
    if not 0 < len(given) <= LONGEST_KEY:
        raise Malformed(
            f"The Idempotency-Key has {len(given)} characters.", remedy=f"Send from 1 to {LONGEST_KEY} of them."
        )
    return f"{request.caller.id}/{endpoint.path}/{given}"


def _path(job: Job) -> str:
    return f"/v1/jobs/{job.id}"
