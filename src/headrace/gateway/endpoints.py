"""The calls of pipelines: `POST /v1/{pipeline}/{endpoint}`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import monotonic
from typing import Any

import msgspec

from headrace.errors import (
    DeadlineExceeded,
    HeadraceError,
    InvalidInput,
    Malformed,
    Overloaded,
    OverQuota,
    Quarantined,
    TooLarge,
    Unreadable,
    UnsupportedType,
)
from headrace.gateway.answer_form import answer_type
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import JSON, Response, Stream
from headrace.gateway.route import Route
from headrace.gateway.uploads import FRAMING_BYTES, Fetch, Pointer, upload_of
from headrace.serving.answered import Answered, digest_of
from headrace.serving.context import Context, Priority
from headrace.serving.endpoint import Endpoint
from headrace.serving.question import decoder_of, is_object, question_type
from headrace.serving.quota import Quota
from headrace.serving.unknown_fields import KnownFields
from headrace.serving.upload import Upload

LONGEST_BUDGET_S = 3600.0
MOST_TAGS, LONGEST_TAG = 8, 80
_TAG = re.compile(r"[a-z][a-z0-9_]{0,30}")
_BUDGET = {"type": "integer", "minimum": 1, "maximum": 99_999_999_999}
HEADERS = (
    Parameter("X-Request-Timeout-Ms", "Milliseconds that you have.", where="header", schema=_BUDGET, example=5000),
    Parameter("X-Headrace-Priority", "Who goes first.", where="header", schema=Priority, example="interactive"),
    Parameter("X-Headrace-Key", "Same key, same variant.", where="header", example="customer-7"),
    Parameter("X-Headrace-Tags", "Segments to watch it by.", where="header", example="source=erp, tenant=7"),
)
ERRORS = (
    Malformed, TooLarge, UnsupportedType, Unreadable, Quarantined, InvalidInput, Overloaded, DeadlineExceeded,
)  # fmt: skip


class Asked(msgspec.Struct, frozen=True):
    """A call to an endpoint, read: the question, as it was sent and its digest, and the context to answer it in."""

    question: Any
    sent: Upload
    digest: str
    context: Context


Answering = Callable[[Request, Endpoint, Asked], Awaitable[Response | Stream]]
"""What is done with a question that was read; `answer_now`, or what lets the caller choose by `Prefer`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How questions are answered, and what the contract says of that besides an answer at once."""

    answering: Answering
    parameters: tuple[Parameter, ...] = ()
    gives: Mapping[int, Content] = field(default_factory=dict)
    errors: tuple[type[HeadraceError], ...] = ()


def routes(
    endpoints: Sequence[Endpoint],
    *,
    upload_bytes: int,
    budget_s: float,
    fetch: Fetch,
    choice: Choice | None = None,
    quota: Quota | None = None,
) -> list[Route]:
    """A call for each endpoint; `budget_s` is the usual budget, `upload_bytes` the most that a file may have.

    Without a `choice` all are answered now. With a `quota` each caller's answers tell what is left of it.
    """
    choice = choice or Choice(answer_now)
    return [
        Route(
            "POST",
            f"/v1/{endpoint.path}",
            _within_quota(quota, _handler(endpoint, budget_s, _reader(endpoint, fetch), choice.answering)),
            _operation(endpoint, choice),
            access=Access.WRITE,
            body_limit=upload_bytes + FRAMING_BYTES,
        )
        for endpoint in endpoints
    ]


Reader = Callable[[Request], Awaitable[tuple[Any, Upload]]]


Handle = Callable[[Request], Awaitable[Response | Stream]]


def _within_quota(quota: Quota | None, handle: Handle) -> Handle:
    if quota is None:
        return handle

    async def handle_within(request: Request) -> Response | Stream:
        # Told with refusals as well: who is turned away has to know it most.
        policy = ("ratelimit-policy", quota.policy)
        try:
            request.told = (("ratelimit", quota.take(request.caller.id)), policy)
        except OverQuota as error:
            request.told = (("ratelimit", f'"minute";r=0;t={ceil(error.retry_after_s)}'), policy)
            raise
        return await handle(request)

    return handle_within


def _handler(
    endpoint: Endpoint, budget_s: float, read: Reader, answering: Answering
) -> Callable[[Request], Awaitable[Response | Stream]]:
    async def handle(request: Request) -> Response | Stream:
        context = context_of(request, budget_s=budget_s)
        # Turned away before the body is read: a refusal must cost next to nothing. A job waits for room elsewhere.
        if request.header("prefer") is None:
            endpoint.check_room(context)
        question, sent = await read(request)
        digest = digest_of(sent.content)
        context.key = context.key or digest
        return await answering(request, endpoint, Asked(question, sent, digest, context))

    return handle


async def answer_now(request: Request, endpoint: Endpoint, asked: Asked) -> Response:
    """The answer, waited for."""
    answered = await endpoint.answer(
        asked.question, context=asked.context, input_digest=asked.digest, request_id=request.id
    )
    return answer_response(answered)


def answer_response(answered: Answered) -> Response:
    """An answer as it goes out, with the headers that name its decision and tell its times."""
    decision = answered.decision
    timing = [f"{step.method};dur={step.compute_ms:.1f}" for step in decision.steps]
    timing.append(f"total;dur={decision.duration_ms:.1f}")
    return Response(
        answered.body,
        headers=[
            ("server-timing", ", ".join(timing)),
            ("x-headrace-decision", decision.id),
            ("x-headrace-release", decision.release),
        ],
    )


def context_of(request: Request, *, budget_s: float) -> Context:
    """What the headers of a call say of its time, its priority and its key; raises `Malformed`."""
    given = request.header("x-request-timeout-ms")
    if given is not None:
        if not (given.isascii() and given.isdecimal() and 0 < len(given) < 12 and int(given)):
            raise Malformed(
                f"X-Request-Timeout-Ms is {given[:40]!r}, and has to be a whole number of milliseconds.",
                remedy="Send 1 or more.",
            )
        budget_s = min(int(given) / 1000, LONGEST_BUDGET_S)
    priority = Priority.INTERACTIVE
    if (given := request.header("x-headrace-priority")) is not None:
        try:
            priority = Priority(given.lower())
        except ValueError as error:
            raise Malformed(f"X-Headrace-Priority is {given[:40]!r}.", remedy="Send interactive or batch.") from error
    return Context(
        deadline=monotonic() + budget_s,
        key=request.header("x-headrace-key") or request.caller.id,
        priority=priority,
        trace_id=request.trace,
        trace_parent="" if request.span is None else request.trace_parent,
        tags=tags_of(request.header("x-headrace-tags")),
    )


def tags_of(given: str | None) -> dict[str, str]:
    """`source=erp, tenant=7` as a mapping; raises `Malformed` for anything else."""
    if given is None:
        return {}
    tags: dict[str, str] = {}
    for part in given.split(","):
        name, parted, value = (piece.strip() for piece in part.partition("="))
        if not parted or not _TAG.fullmatch(name) or not 0 < len(value) <= LONGEST_TAG or not value.isprintable():
            raise Malformed(f"X-Headrace-Tags has {part.strip()[:40]!r}.", remedy="Send name=value, parted by commas.")
        tags[name] = value
    if len(tags) > MOST_TAGS:
        raise Malformed(f"X-Headrace-Tags names {len(tags)} tags.", remedy=f"Send {MOST_TAGS} at most.")
    return tags


def _reader(endpoint: Endpoint, fetch: Fetch) -> Reader:
    """How a body becomes the question, prepared once."""
    from_upload = getattr(endpoint.argument, "from_upload", None)
    if from_upload is not None:

        async def read_file(request: Request) -> tuple[Any, Upload]:
            upload = await upload_of(request, fetch=fetch)
            request.filename = upload.filename
            return from_upload(upload), upload

        return read_file
    decoder, is_wrapped = decoder_of(endpoint.route), not is_object(endpoint.argument)
    known = KnownFields(question_type(endpoint.route))

    async def read_json(request: Request) -> tuple[Any, Upload]:
        question = await request.json(decoder)
        sent = Upload(await request.body(), media_type=JSON)
        if known.must_be_checked:
            known.check(msgspec.json.decode(sent.content))
        return getattr(question, endpoint.route.argument_name) if is_wrapped else question, sent

    return read_json


def _operation(endpoint: Endpoint, choice: Choice) -> Operation:
    return Operation(
        endpoint.route.summary or endpoint.path,
        endpoint.path.partition("/")[0],
        parameters=(*HEADERS, *choice.parameters),
        takes=_takes(endpoint),
        gives={200: Content(answer_type(endpoint)), **choice.gives},
        errors=(*ERRORS, *choice.errors),
    )


def _takes(endpoint: Endpoint) -> tuple[Content, ...]:
    if not hasattr(endpoint.argument, "from_upload"):
        return (Content(question_type(endpoint.route), is_closed=True),)
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "properties": {"file": binary}, "required": ["file"]}
    return (
        Content(form, media_type="multipart/form-data"),
        Content(Pointer, example={"text": "Invoice number 7: the amount due is 100."}),
        Content(binary, media_type="application/octet-stream"),
    )
