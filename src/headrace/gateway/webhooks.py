"""The calls of `/v1/webhooks`: who is told of what, and by which secrets that is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from headrace.domain.decision import new_id
from headrace.domain.stores import WebhookStore
from headrace.domain.webhook import EVENTS, Webhook, WebhookState, new_secret
from headrace.errors import InvalidInput, Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

MOST_SECRETS = 3
TAG = "webhooks"
_EXAMPLE = {"url": "https://example.org/hooks", "events": ["headrace.job.succeeded"]}

CheckAddress = Callable[[str], str]
"""Gives an address back that may be told of events; raises `RefusedAddress` for another."""


class WebhookWish(msgspec.Struct, forbid_unknown_fields=True):
    """An address, and the events that it wants to hear of: none named are all of them."""

    url: str
    events: list[str] = []


class WebhookView(msgspec.Struct, omit_defaults=True):
    """A webhook; `secret` is shown once, when it is made or rotated."""

    id: str
    url: str
    events: tuple[str, ...]
    state: WebhookState
    created_at: datetime
    secret: str | None = None


class WebhookPage(msgspec.Struct):
    """All webhooks, oldest first."""

    items: list[WebhookView]
    next: str | None = None


_ID = Parameter(
    "id", "The webhook's id.", where="path", required=True, example="whk_019ac0de-0000-7000-8000-0000000000"
)
CREATE = Operation(
    "Tell an address of events",
    TAG,
    "Deliveries follow Standard Webhooks, with a CloudEvents body; at least once, each event with one id.",
    takes=(Content(WebhookWish, example=_EXAMPLE),),
    gives={201: Content(WebhookView)},
    errors=(Malformed, InvalidInput),
)
LIST = Operation("List webhooks", TAG, gives={200: Content(WebhookPage)})
REMOVE = Operation("Remove a webhook", TAG, parameters=(_ID,), gives={204: None}, errors=(NotFound,))
ROTATE = Operation(
    "Give a webhook a new secret",
    TAG,
    f"The newest {MOST_SECRETS} secrets all sign, so that the receiver can move on in its time; a disabled one wakes.",
    parameters=(_ID,),
    gives={200: Content(WebhookView)},
    errors=(NotFound,),
)


def routes(store: WebhookStore, *, check: CheckAddress) -> list[Route]:
    """`check` refuses addresses that must not be told."""

    async def found(request: Request) -> Webhook:
        for webhook in await store.listed():
            if webhook.id == request.params["id"] and _is_of(request, webhook):
                return webhook
        raise NotFound(f"There is no webhook {request.params['id'][:80]!r}.", remedy="Check its id.")

    async def create(request: Request) -> Response:
        wish = await request.json(_wish)
        webhook = Webhook(
            id=new_id("whk"),
            url=check(wish.url),
            created_at=datetime.now(UTC),
            secrets=(new_secret(),),
            events=tuple(_known_event(each) for each in wish.events),
            key=_owner(request),
        )
        await store.add(webhook)
        return json_response(_view(webhook, with_secret=True), status=201)

    async def listed(request: Request) -> Response:
        return json_response(WebhookPage([_view(each) for each in await store.listed() if _is_of(request, each)]))

    async def remove(request: Request) -> Response:
        await store.remove((await found(request)).id)
        return Response(status=204)

    async def rotate(request: Request) -> Response:
        webhook = await found(request)
        kept = (new_secret(), *webhook.secrets)[:MOST_SECRETS]
        webhook = replace(webhook, secrets=kept, state=WebhookState.ACTIVE)
        await store.add(webhook)
        return json_response(_view(webhook, with_secret=True))

    return [
        Route("POST", "/v1/webhooks", create, CREATE, access=Access.WRITE),
        Route("GET", "/v1/webhooks", listed, LIST),
        Route("DELETE", "/v1/webhooks/{id}", remove, REMOVE, access=Access.WRITE),
        Route("POST", "/v1/webhooks/{id}/rotate", rotate, ROTATE, access=Access.WRITE),
    ]


_wish: msgspec.json.Decoder[Any] = msgspec.json.Decoder(WebhookWish)


def _owner(request: Request) -> str:
    """Whose events a webhook hears of: those of its maker's key; an administrator's hears of all."""
    return "" if request.caller.access >= Access.ADMIN else request.caller.id


def _is_of(request: Request, webhook: Webhook) -> bool:
    return request.caller.access >= Access.ADMIN or webhook.key == request.caller.id


def _known_event(name: str) -> str:
    if name not in EVENTS:
        near = get_close_matches(name, EVENTS, n=1, cutoff=0.0)[0]
        raise InvalidInput(f"There is no event {name[:80]!r}.", remedy=f"Did you mean {near!r}?")
    return name


def _view(webhook: Webhook, *, with_secret: bool = False) -> WebhookView:
    return WebhookView(
        webhook.id,
        webhook.url,
        webhook.events,
        webhook.state,
        webhook.created_at,
        webhook.secrets[0] if with_secret else None,
    )
