"""The calls of `/v1/keys`: API keys, made, listed and revoked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from headrace.domain.key import ApiKey, KeyScope, new_key
from headrace.domain.stores import KeyStore
from headrace.errors import Malformed, NotFound
from headrace.gateway.caller import Access
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Route

TAG = "keys"


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What a key is to be."""

    scope: KeyScope = KeyScope.READ
    name: str = msgspec.field(default="")


class KeyRecord(msgspec.Struct):
    """A key without its secret; `hint` are the secret's last characters."""

    id: str
    scope: KeyScope
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


class MadeKey(KeyRecord):
    """A fresh key with its secret, which is told this once."""

    secret: str


class KeyList(msgspec.Struct):
    """All keys, oldest first."""

    items: list[KeyRecord]
    next: str | None = None


_ID = Parameter("id", "The key's id.", where="path", required=True, example="key_019ac0de-0000-7000-8000-0000000000")
LIST = Operation("List API keys", TAG, gives={200: Content(KeyList)})
CREATE = Operation(
    "Make an API key",
    TAG,
    "The secret is told in this answer and never again.",
    takes=(Content(NewKey, example={"scope": "write", "name": "mail import"}),),
    gives={201: Content(MadeKey)},
    errors=(Malformed,),
)
REVOKE = Operation("Revoke an API key", TAG, parameters=(_ID,), gives={200: Content(KeyRecord)}, errors=(NotFound,))
LONGEST_NAME = 200
_new_key = msgspec.json.Decoder(NewKey)


def record_of(key: ApiKey) -> KeyRecord:
    """A key as it goes out."""
    return KeyRecord(key.id, key.scope, key.name, key.hint, key.created_at, key.revoked_at)


def routes(store: KeyStore) -> list[Route]:
    """For administrators."""

    async def listed(_request: Request) -> Response:
        return json_response(KeyList([record_of(key) for key in await asyncio.to_thread(store.listed)]))

    async def created(request: Request) -> Response:
        wish = await request.json(_new_key)
        if len(wish.name) > LONGEST_NAME:
            raise Malformed(f"The name has {len(wish.name)} characters.", remedy=f"At most {LONGEST_NAME} are kept.")
        key, secret = new_key(wish.scope, name=wish.name, now=datetime.now(UTC))
        await asyncio.to_thread(store.add, key)
        made = MadeKey(**msgspec.structs.asdict(record_of(key)), secret=secret)
        return json_response(made, status=201, headers=[("cache-control", "no-store")])

    async def revoked(request: Request) -> Response:
        key = await asyncio.to_thread(store.revoke, request.params["id"], now=datetime.now(UTC))
        if key is None:
            raise NotFound(f"There is no key {request.params['id'][:80]!r}.", remedy="See GET /v1/keys.")
        return json_response(record_of(key))

    return [
        Route("GET", "/v1/keys", listed, LIST, access=Access.ADMIN),
        Route("POST", "/v1/keys", created, CREATE, access=Access.ADMIN),
        Route("DELETE", "/v1/keys/{id}", revoked, REVOKE, access=Access.ADMIN),
    ]
