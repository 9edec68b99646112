"""`POST /v1/decisions/{id}/replay`: the same question again."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.errors import Conflict, InvalidConfiguration, NotFound, UnreadableArtifact
from headrace.gateway.caller import Access
from headrace.gateway.decisions import TAG
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route
from headrace.serving.replay import Replay, Replayer

DECISION_ID = Parameter(
    "id", "The decision's id.", where="path", required=True, example="dec_019ac0de-0000-7000-8000-0000000000"
)


class ReplayWish(msgspec.Struct, forbid_unknown_fields=True):
    """`release` is an id, or the beginning of one; without it the release that answered answers again."""

    release: str | None = None


class ReplayDifference(msgspec.Struct):
    """A place in the answer, and what stood there `before` and stands there now (`after`)."""

    path: str
    before: Any
    after: Any


class ReplayReport(msgspec.Struct):
    """`identical`: byte for byte, ids and timings aside. `analysis` is the new answer as it would have been sent."""

    decision_id: str
    release: str
    identical: bool
    differences: list[ReplayDifference]
    analysis: msgspec.Raw


_decoder = msgspec.json.Decoder(ReplayWish)
_OPERATION = Operation(
    "Answer the question of a decision again",
    TAG,
    "By the release that answered it, or by another one to see what it would change. It is not recorded.",
    parameters=(DECISION_ID,),
    takes=(Content(ReplayWish, example={"release": None}),),
    gives={200: Content(ReplayReport)},
    errors=(NotFound, Conflict, InvalidConfiguration, UnreadableArtifact),
)


def report_of(replay: Replay) -> ReplayReport:
    """A replay as it goes out."""
    found = [ReplayDifference(each.path, each.before, each.after) for each in replay.differences]
    return ReplayReport(replay.decision_id, replay.release, replay.identical, found, msgspec.Raw(replay.body))


def routes(replayer: Replayer) -> list[Route]:
    """One call."""

    async def replay(request: Request) -> Response:
        wish = await request.json(_decoder) if await request.body() else ReplayWish()
        return json_response(report_of(await replayer.replay(request.params["id"], release_id=wish.release)))

    return [Route("POST", "/v1/decisions/{id}/replay", replay, _OPERATION, access=Access.WRITE)]
