"""The calls of `/v1/alerts`: what people should know of, and silence for what they know."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from headrace.domain.report_store import ReportStore
from headrace.errors import Conflict, Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in, page_of
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

TAG = "alerts"
LONGEST_SILENCE_S = 31 * 24 * 3600
_ALERT = {
    "id": "alt_019ac0de-0000-7000-8000-0000000000",
    "key": "drift:sha256:4f1c:language",
    "rule": "drift",
    "severity": "warning",
    "title": "language has changed in source=erp",
    "detail": "language in source=erp: de 2.0% → 61.0%",
    "raised_at": "2026-11-25T22:00:00Z",
    "state": "open",
}
ALERT = Content({"type": "object", "required": ["id", "state", "title", "detail"]}, example=_ALERT)
_ID = Parameter("id", "The alert's id.", where="path", required=True, example=_ALERT["id"])


class Silence(msgspec.Struct, forbid_unknown_fields=True):
    """For how long nobody is to be told of an alert and its like."""

    seconds: float


LIST = Operation(
    "List alerts",
    TAG,
    parameters=(
        Parameter("state", "`open` or `recovered`; all if not given.", example="open"),
        *PAGING,
    ),
    gives={200: page_of(_ALERT)},
    errors=(Malformed,),
)
SHOW = Operation("Look up an alert", TAG, parameters=(_ID,), gives={200: ALERT}, errors=(NotFound,))
SILENCE = Operation(
    "Silence an alert",
    TAG,
    "It stays listed; nobody is told of it, nor of another with its cause, before that time is over.",
    parameters=(_ID,),
    takes=(Content(Silence, example={"seconds": 3600}),),
    gives={200: ALERT},
    errors=(NotFound, Conflict, Malformed),
)
_silence = msgspec.json.Decoder(Silence)


def routes(store: ReportStore) -> list[Route]:
    """The watch reads silences from the store at its next look."""

    async def listed(request: Request) -> Response:
        state = request.query.get("state")
        if state not in {None, "open", "recovered"}:
            raise Malformed(f"state={state!r} is none.", remedy="Send open or recovered.")
        wanted = page_in(request)
        page = await asyncio.to_thread(
            store.alerts,
            is_open=None if state is None else state == "open",
            cursor=wanted.cursor,
            limit=wanted.limit,
        )
        return json_response({"items": page.items, "next": page.next})

    async def shown(request: Request) -> Response:
        alert = await asyncio.to_thread(store.alert, request.params["id"])
        if alert is None:
            raise _unknown(request)
        return json_response(alert)

    async def silenced(request: Request) -> Response:
        seconds = (await request.json(_silence)).seconds
        if not 0 < seconds <= LONGEST_SILENCE_S:
            raise Malformed(f"seconds is {seconds:g}.", remedy=f"Send more than 0 and at most {LONGEST_SILENCE_S}.")
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        alert = await asyncio.to_thread(store.silence_alert, request.params["id"], until=until)
        if alert is None:
            raise _unknown(request)
        if not alert.is_open:
            raise Conflict(f"The alert {alert.id} has recovered.", remedy="There is nothing to silence.")
        return json_response(alert)

    return [
        Route("GET", "/v1/alerts", listed, LIST),
        Route("GET", "/v1/alerts/{id}", shown, SHOW),
        Route("POST", "/v1/alerts/{id}/silence", silenced, SILENCE, access=Access.WRITE),
    ]


def _unknown(request: Request) -> NotFound:
    return NotFound(f"There is no alert {request.params['id'][:80]!r}.", remedy="List them: /v1/alerts.")
