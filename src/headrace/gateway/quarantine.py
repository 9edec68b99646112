"""The calls of `/v1/quarantine`: inputs that were kept back, why, and letting them go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from headrace.domain.report import QuarantinedInput, QuarantineState
from headrace.domain.report_store import ReportStore
from headrace.errors import Conflict, Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in, page_of
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

TAG = "quarantine"
_KEPT = {
    "id": "qua_019ac0de-0000-7000-8000-0000000000",
    "created_at": "2026-11-25T22:00:00Z",
    "endpoint": "document-analyzer/analyze",
    "release": "sha256:4f1c",
    "filename": "scan.pdf",
    "findings": [{"code": "garbled", "detail": "81% of its text has no meaning.", "page": None}],
    "state": "held",
    "decision_id": None,
}
KEPT = Content({"type": "object", "required": ["id", "state", "findings"]}, example=_KEPT)
_ID = Parameter("id", "The id that the sender was told.", where="path", required=True, example=_KEPT["id"])
LIST = Operation(
    "List what is kept back",
    TAG,
    parameters=(
        Parameter("state", "Those in this state only.", schema=QuarantineState, example="held"),
        *PAGING,
    ),
    gives={200: page_of(_KEPT)},
    errors=(Malformed,),
)
SHOW = Operation("Look up an input that is kept back", TAG, parameters=(_ID,), gives={200: KEPT}, errors=(NotFound,))
RELEASE = Operation(
    "Let an input go",
    TAG,
    "It is answered now, whatever the rules say of it; `decision_id` names the answer.",
    parameters=(_ID,),
    gives={200: KEPT},
    errors=(NotFound, Conflict),
)


def routes(store: ReportStore, release: Callable[[str], Awaitable[QuarantinedInput]]) -> list[Route]:
    """`release` answers an input that was kept."""

    async def listed(request: Request) -> Response:
        given = request.query.get("state")
        try:
            state = None if given is None else QuarantineState(given)
        except ValueError as error:
            raise Malformed(f"state={given!r} is none.", remedy="Send held or released.") from error
        wanted = page_in(request)
        page = await asyncio.to_thread(
            store.quarantine,
            state=state,
            cursor=wanted.cursor,
            limit=wanted.limit,
        )
        return json_response({"items": page.items, "next": page.next})

    async def shown(request: Request) -> Response:
        kept = await asyncio.to_thread(store.kept, request.params["id"])
        if kept is None:
            raise NotFound(f"Nothing is kept as {request.params['id'][:80]!r}.", remedy="List it: /v1/quarantine.")
        return json_response(kept)

    async def released(request: Request) -> Response:
        return json_response(await release(request.params["id"]))

    return [
        Route("GET", "/v1/quarantine", listed, LIST),
        Route("GET", "/v1/quarantine/{id}", shown, SHOW),
        Route("POST", "/v1/quarantine/{id}/release", released, RELEASE, access=Access.WRITE),
    ]
