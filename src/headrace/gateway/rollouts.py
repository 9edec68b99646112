"""The calls of `/v1/rollouts`: start one, see how it stands and why, and decide about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from headrace.domain.guard_rule import guards_of
from headrace.domain.rollout import DEFAULT_STEPS, IllegalRolloutChange, Rollout, RolloutPlan
from headrace.domain.rollout_figures import Judgement
from headrace.errors import Conflict, InvalidInput, Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import MOST_A_PAGE, PAGING, page_in
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Handler, Route
from headrace.rollouts.desk import Act, Desk
from headrace.rollouts.report import RolloutReport, report_of

TAG = "rollouts"
_ID = Parameter(
    "id", "The rollout's id.", where="path", required=True, example="rol_019ac0de-0000-7000-8000-000000000000"
)

Start = Callable[[str, str | None, RolloutPlan], Rollout]
"""Begins a rollout of the release that is named, for the pipeline that is named or follows from it. Blocking."""


class NewRollout(msgspec.Struct, forbid_unknown_fields=True):
    """`release` is its id, or a model as NAME@ALIAS. `steps` are percentages; `shadow` goes before them.

    `ab` holds the last step. `guards` are written as `accuracy` or `outcome:minutes_saved=0..10`. `alpha` is the chance
    of a false rollback, `margin` what may be worse by how many percent, `step_s` the shortest time at a step.
    """

    release: str
    pipeline: str | None = None
    steps: tuple[float, ...] = tuple(100 * step for step in DEFAULT_STEPS)
    shadow: bool = False
    ab: bool = False
    guards: tuple[str, ...] = ()
    alpha: float = 0.05
    margin: float | None = None
    step_s: float = 0.0


class Decided(msgspec.Struct, forbid_unknown_fields=True):
    """Why, for the record."""

    reason: str = ""


class RolloutLine(msgspec.Struct):
    """A rollout in a list."""

    id: str
    pipeline: str
    state: str
    percent: float
    champion: str
    candidate: str
    reason: str
    created_at: datetime
    changed_at: datetime


class RolloutPage(msgspec.Struct):
    """Newest first; `next` is the cursor of the next page, null at the end."""

    items: list[RolloutLine]
    next: str | None


class Judgements(msgspec.Struct):
    """Newest first, each with the figures that it rests on."""

    items: list[Judgement]


_new = msgspec.json.Decoder(NewRollout)
_decided = msgspec.json.Decoder(Decided)
LIST = Operation(
    "List rollouts",
    TAG,
    parameters=PAGING,
    gives={200: Content(RolloutPage)},
    errors=(Malformed,),
)
START = Operation(
    "Start a rollout",
    TAG,
    "One of a pipeline runs at a time.",
    takes=(Content(NewRollout, example={"release": "document-classifier@challenger", "shadow": True}),),
    gives={201: Content(RolloutLine)},
    errors=(Malformed, InvalidInput, NotFound, Conflict),
)
SHOW = Operation(
    "How a rollout stands, and why",
    TAG,
    "Rates, latency, confidence, agreement, accuracy and outcomes by variant, with intervals that hold at any time.",
    parameters=(_ID,),
    gives={200: Content(RolloutReport)},
    errors=(NotFound,),
)
JUDGED = Operation(
    "What was judged, with the figures it rests on",
    TAG,
    parameters=(_ID, Parameter("limit", "How many at most, 20 if not given.", schema=int, example=5)),
    gives={200: Content(Judgements)},
    errors=(Malformed, NotFound),
)
SUMMARIES = {
    Act.PROMOTE: "Let the candidate answer everything",
    Act.ROLLBACK: "Let the champion answer everything again",
    Act.HOLD: "Keep the split as it is",
    Act.RESUME: "Let a held rollout go on",
}


def routes(desk: Desk, start: Start, *, changed: Callable[[], None]) -> list[Route]:
    """`changed` is called after each change, so that this process follows at once."""

    async def listed(request: Request) -> Response:
        wanted = page_in(request)
        page = await asyncio.to_thread(desk.listed, cursor=wanted.cursor, limit=wanted.limit)
        return json_response(RolloutPage([line_of(each) for each in page.items], page.next))

    async def started(request: Request) -> Response:
        wanted: NewRollout = await request.json(_new)
        rollout = await asyncio.to_thread(start, wanted.release, wanted.pipeline, plan_of(wanted))
        changed()
        return json_response(line_of(rollout), status=201)

    async def shown(request: Request) -> Response:
        status = await asyncio.to_thread(desk.status, request.params["id"])
        return json_response(await asyncio.to_thread(report_of, status, at=datetime.now(UTC)))

    async def judgements(request: Request) -> Response:
        limit = request.number("limit", default=20, least=1, most=MOST_A_PAGE)
        status = await asyncio.to_thread(desk.status, request.params["id"], judgements=limit)
        return json_response(Judgements(status.judgements))

    def deciding(act: Act) -> Handler:
        async def decide(request: Request) -> Response:
            body = await request.body()
            given: Decided = await request.json(_decided) if body else Decided()
            rollout = await asyncio.to_thread(desk.decide, act, request.params["id"], reason=given.reason[:500])
            changed()
            return json_response(line_of(rollout))

        return decide

    return [
        Route("GET", "/v1/rollouts", listed, LIST),
        Route("POST", "/v1/rollouts", started, START, access=Access.ADMIN),
        Route("GET", "/v1/rollouts/{id}", shown, SHOW),
        Route("GET", "/v1/rollouts/{id}/judgements", judgements, JUDGED),
        *(
            Route("POST", f"/v1/rollouts/{{id}}/{act.value}", deciding(act), _decision(act), access=Access.ADMIN)
            for act in Act
        ),
    ]


def _decision(act: Act) -> Operation:
    return Operation(
        SUMMARIES[act],
        TAG,
        "The body may be left out, or say why.",
        parameters=(_ID,),
        takes=(Content(Decided, example={"reason": "Agreed with the team."}),),
        gives={200: Content(RolloutLine)},
        errors=(Malformed, InvalidInput, NotFound, IllegalRolloutChange),
    )


def plan_of(wanted: NewRollout) -> RolloutPlan:
    """The plan that is asked for; raises `InvalidInput` for one that makes no sense."""
    guards = guards_of(wanted.guards, margin=None if wanted.margin is None else wanted.margin / 100)
    return RolloutPlan(
        steps=tuple(step / 100 for step in wanted.steps),
        is_shadowed=wanted.shadow,
        is_test=wanted.ab,
        alpha=wanted.alpha,
        step_s=wanted.step_s,
        guards=guards,
    )


def line_of(rollout: Rollout) -> RolloutLine:
    """A rollout in short."""
    return RolloutLine(
        id=rollout.id,
        pipeline=rollout.pipeline,
        state=rollout.state.value,
        percent=round(100 * rollout.share, 6),
        champion=rollout.champion,
        candidate=rollout.candidate,
        reason=rollout.reason,
        created_at=rollout.created_at,
        changed_at=rollout.changed_at,
    )
