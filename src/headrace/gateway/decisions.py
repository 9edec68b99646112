"""The calls of `/v1/decisions`: what was answered, its text, and why."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from headrace.domain.decision import Decision, DegradedStep, Step
from headrace.domain.stores import DecisionStore
from headrace.errors import Conflict, InvalidConfiguration, Malformed, NotFound, UnreadableArtifact
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response, text_response
from headrace.gateway.route import Route
from headrace.serving.recorder import Recorder
from headrace.serving.replay import Replayer

_ID = Parameter(
    "id", "The decision's id.", where="path", required=True, example="dec_019ac0de-0000-7000-8000-0000000000"
)
TAG = "decisions"


class DecisionRecord(msgspec.Struct):
    """The record of one answer; `answer` is the body as it was sent."""

    decision_id: str
    created_at: datetime
    endpoint: str
    release: str
    variant: str
    input_digest: str
    duration_ms: float
    steps: list[Step]
    degraded: list[DegradedStep]
    confidence: float | None
    request_id: str
    trace_id: str
    answer: msgspec.Raw


class DecisionPage(msgspec.Struct):
    """Newest first; `next` is the cursor of the next page, null at the end."""

    items: list[DecisionRecord]
    next: str | None


LIST = Operation(
    "List decisions",
    TAG,
    parameters=PAGING,
    gives={200: Content(DecisionPage)},
    errors=(Malformed,),
)
SHOW = Operation("Look up a decision", TAG, parameters=(_ID,), gives={200: Content(DecisionRecord)}, errors=(NotFound,))
TEXT = Operation(
    "The text that all offsets of an answer count in",
    TAG,
    parameters=(_ID,),
    gives={200: Content(str, media_type="text/plain", example="INVOICE No. 1103 ...")},
    errors=(NotFound,),
)
EXPLANATION = Operation(
    "Every contribution to the answer",
    TAG,
    "The base and all weights add up to the score of the label within 1e-4. One that was lost with its process is made "
    "again by a replay.",
    parameters=(_ID,),
    gives={200: Content({"type": "object"}, example={"label": "invoice", "base": -0.41, "rest": 0.0, "total": 2.18})},
    errors=(NotFound, Conflict, InvalidConfiguration, UnreadableArtifact),
)


def record_of(decision: Decision) -> DecisionRecord:
    """A decision as it goes out."""
    return DecisionRecord(
        decision_id=decision.id,
        created_at=decision.created_at,
        endpoint=decision.endpoint,
        release=decision.release,
        variant=decision.variant,
        input_digest=decision.input_digest,
        duration_ms=decision.duration_ms,
        steps=list(decision.steps),
        degraded=list(decision.degraded),
        confidence=decision.confidence,
        request_id=decision.request_id,
        trace_id=decision.trace_id,
        answer=msgspec.Raw(decision.body),
    )


def routes(recorder: Recorder, store: DecisionStore, replayer: Replayer) -> list[Route]:
    """`recorder` knows those that are not stored yet; `replayer` explains those whose explanation was lost."""

    async def found(request: Request) -> Decision:
        decision_id = request.params["id"]
        decision = await asyncio.to_thread(recorder.find, decision_id)
        if decision is None:
            raise NotFound(
                f"There is no decision {decision_id[:80]!r}.", remedy="Check its id; old ones are forgotten by [store]."
            )
        return decision

    async def listed(request: Request) -> Response:
        wanted = page_in(request)
        page = await asyncio.to_thread(store.listed, cursor=wanted.cursor, limit=wanted.limit)
        return json_response(DecisionPage([record_of(each) for each in page.items], page.next))

    async def shown(request: Request) -> Response:
        return json_response(record_of(await found(request)))

    async def text(request: Request) -> Response:
        return text_response(_there(request, (await found(request)).text, "text"))

    async def explanation(request: Request) -> Response:
        return Response(_there(request, await replayer.explanation(await found(request)), "explanation"))

    return [
        Route("GET", "/v1/decisions", listed, LIST),
        Route("GET", "/v1/decisions/{id}", shown, SHOW),
        Route("GET", "/v1/decisions/{id}/text", text, TEXT),
        Route("GET", "/v1/decisions/{id}/explanation", explanation, EXPLANATION),
    ]


def _there(request: Request, value: Any, what: str) -> Any:
    if value is None:
        raise NotFound(f"The decision {request.params['id']} has no {what}.", remedy="Its endpoint gives none.")
    return value
