"""The calls of `/v1/webhooks/deliveries`: where each telling of an address stands, and telling it again."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from headrace.domain.stores import WebhookStore
from headrace.domain.webhook import Delivery, DeliveryState, Receipt
from headrace.errors import Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.paging import PAGING, page_in
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route
from headrace.gateway.webhooks import TAG


class DeliveryView(msgspec.Struct):
    """One event on its way to one address; `last` is what came back from the newest try."""

    id: str
    webhook_id: str
    url: str
    type: str
    subject: str
    sequence: int
    state: DeliveryState
    tries: int
    created_at: datetime
    due_at: datetime | None
    last: Receipt | None


class DeliveryPage(msgspec.Struct):
    """Newest first; `next` is the cursor of the next page, null at the end."""

    items: list[DeliveryView]
    next: str | None


DELIVERIES = Operation(
    "List deliveries",
    TAG,
    parameters=(
        Parameter("webhook", "Those of this webhook only."),
        Parameter("state", "Those in this state only.", schema=DeliveryState, example="given_up"),
        *PAGING,
    ),
    gives={200: Content(DeliveryPage)},
    errors=(Malformed,),
)
RESEND = Operation(
    "Send a delivery again",
    TAG,
    parameters=(
        Parameter(
            "id", "The delivery's id.", where="path", required=True, example="dlv_019ac0de-0000-7000-8000-0000000000"
        ),
    ),
    gives={202: Content(DeliveryView)},
    errors=(NotFound,),
)


def routes(store: WebhookStore) -> list[Route]:
    """Only an administrator sees them: they hold what others asked."""

    async def deliveries(request: Request) -> Response:
        limit = page_in(request).limit
        before = request.number("cursor", default=0, least=0, most=2**62) or None
        items = await store.deliveries(
            webhook_id=request.query.get("webhook"), state=_state(request), cursor=before, limit=limit + 1
        )
        page = items[:limit]
        return json_response(
            DeliveryPage(
                [_delivery_view(each) for each in page], str(page[-1].sequence) if len(items) > limit else None
            )
        )

    async def resend(request: Request) -> Response:
        delivery = await store.find(request.params["id"])
        if delivery is None:
            raise NotFound(f"There is no delivery {request.params['id'][:80]!r}.", remedy="Check its id.")
        again = delivery.resent(now=datetime.now(UTC))
        await store.save(again)
        return json_response(_delivery_view(again), status=202)

    return [
        Route("GET", "/v1/webhooks/deliveries", deliveries, DELIVERIES, access=Access.ADMIN),
        Route("POST", "/v1/webhooks/deliveries/{id}/resend", resend, RESEND, access=Access.ADMIN),
    ]


def _state(request: Request) -> DeliveryState | None:
    given = request.query.get("state")
    if given is None:
        return None
    try:
        return DeliveryState(given)
    except ValueError as error:
        states = ", ".join(DeliveryState)
        raise Malformed(f"state={given[:40]!r} is no state.", remedy=f"The states are {states}.") from error


def _delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        url=delivery.url,
        type=delivery.type,
        subject=delivery.subject,
        sequence=delivery.sequence,
        state=delivery.state,
        tries=delivery.tries,
        created_at=delivery.created_at,
        due_at=delivery.due_at,
        last=delivery.last,
    )
