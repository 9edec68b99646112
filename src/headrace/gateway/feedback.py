"""The calls by which others say what proved true of an answer, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from headrace.domain.decision import Decision
from headrace.domain.feedback import Aftermath, Feedback, Outcome, feedback_on, outcome_of
from headrace.domain.feedback_store import FeedbackStore
from headrace.errors import InvalidInput, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.decisions import TAG
from headrace.gateway.operation import Content, Operation
from headrace.gateway.replays import DECISION_ID
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

FindDecision = Callable[[str], Decision | None]


class FeedbackGiven(msgspec.Struct, forbid_unknown_fields=True):
    """What the answer should have been; `by` says who says so."""

    label: str
    by: str = ""


class OutcomeTold(msgspec.Struct, forbid_unknown_fields=True):
    """What came of the answer, as a number."""

    metric: str
    value: float
    by: str = ""


class AftermathShown(msgspec.Struct):
    """All that was said, the oldest first; `label` and `values` are what holds now."""

    label: str | None
    values: dict[str, float]
    feedback: list[Feedback]
    outcomes: list[Outcome]


_feedback = msgspec.json.Decoder(FeedbackGiven)
_outcome = msgspec.json.Decoder(OutcomeTold)
_ERRORS = (NotFound, InvalidInput)
GIVE = Operation(
    "Say what an answer should have been",
    TAG,
    "May be said again and otherwise: all is kept, and the last one holds.",
    parameters=(DECISION_ID,),
    takes=(Content(FeedbackGiven, example={"label": "invoice"}),),
    gives={201: Content(Feedback)},
    errors=_ERRORS,
)
TELL = Operation(
    "Tell what came of an answer",
    TAG,
    "May be told again: all is kept, and the last value of a metric holds.",
    parameters=(DECISION_ID,),
    takes=(Content(OutcomeTold, example={"metric": "minutes_saved", "value": 4.5}),),
    gives={201: Content(Outcome)},
    errors=_ERRORS,
)
SHOW = Operation(
    "All that was said of an answer",
    TAG,
    parameters=(DECISION_ID,),
    gives={200: Content(AftermathShown)},
    errors=(NotFound,),
)


def routes(find: FindDecision, store: FeedbackStore) -> list[Route]:
    """`find` looks a decision up, also one that is not stored yet; blocking, as the store is."""

    async def decision_of(request: Request) -> Decision:
        decision_id = request.params["id"]
        decision = await asyncio.to_thread(find, decision_id)
        if decision is None:
            raise NotFound(
                f"There is no decision {decision_id[:80]!r}.", remedy="Check its id; old ones are forgotten by [store]."
            )
        return decision

    async def give(request: Request) -> Response:
        given: FeedbackGiven = await request.json(_feedback)
        feedback = feedback_on(await decision_of(request), given.label, by=given.by, now=datetime.now(UTC))
        await asyncio.to_thread(store.add, [feedback])
        return json_response(feedback, status=201)

    async def tell(request: Request) -> Response:
        told: OutcomeTold = await request.json(_outcome)
        outcome = outcome_of(await decision_of(request), told.metric, told.value, by=told.by, now=datetime.now(UTC))
        await asyncio.to_thread(store.add, [outcome])
        return json_response(outcome, status=201)

    async def show(request: Request) -> Response:
        decision = await decision_of(request)
        return json_response(shown_aftermath(await asyncio.to_thread(store.of, decision.id)))

    return [
        Route("POST", "/v1/decisions/{id}/feedback", give, GIVE, access=Access.WRITE),
        Route("POST", "/v1/decisions/{id}/outcomes", tell, TELL, access=Access.WRITE),
        Route("GET", "/v1/decisions/{id}/feedback", show, SHOW),
    ]


def shown_aftermath(aftermath: Aftermath) -> AftermathShown:
    """All that was said, as it goes out."""
    return AftermathShown(aftermath.label, aftermath.values(), list(aftermath.feedback), list(aftermath.outcomes))
