"""Who calls: by an API key, or anyone on a server that only this machine reaches."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic
from urllib.parse import urlsplit

from headrace.domain.key import ApiKey, KeyScope, digest_of_secret
from headrace.domain.stores import KeyStore
from headrace.errors import Forbidden, Unauthenticated
from headrace.gateway.caller import ANYONE, Access, Caller
from headrace.gateway.request import Request

REMEMBERED, REMEMBERED_S = 4096, 5.0
"""How many keys are known without asking the store, and for how long: a revoked one is good for no longer."""

ACCESS = {KeyScope.READ: Access.READ, KeyScope.WRITE: Access.WRITE, KeyScope.ADMIN: Access.ADMIN}
LONGEST_SECRET = 512


class Keys:
    """Lets in who sends `Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    def __init__(self, store: KeyStore, *, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def __call__(self, request: Request, access: Access) -> Caller:
        """Who calls.

        Raises:
            Unauthenticated: the call names no valid key.
            Forbidden: its scope does not cover `access`.
        """
        if access is Access.OPEN:
            return ANYONE
        key = await self._found(digest_of_secret(_secret(request)))
        if key is None or key.revoked_at is not None:
            raise Unauthenticated("The API key is unknown or revoked.", remedy="Make one: headrace keys create.")
        if ACCESS[key.scope] < access:
            raise Forbidden(
                f"The key {key.id} has the scope {key.scope.value}, and this call needs {access.name.lower()}.",
                remedy=f"Make one: headrace keys create --scope {access.name.lower()}.",
            )
        return Caller(key.id, ACCESS[key.scope])

    async def _found(self, digest: str) -> ApiKey | None:
        now = self._clock()
        until, key = self._known.get(digest, (0.0, None))
        if now < until:
            return key
        key = await asyncio.to_thread(self._store.find_by_digest, digest)
        self._known[digest] = now + REMEMBERED_S, key
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return key


class OpenHere:
    """Lets in everyone who reaches a server that listens on this machine alone, but no web page from elsewhere.

    A page that a person visits can make their browser call this machine: by its name, which is refused by `Host`, or
    from its own origin, which is refused by `Origin`.
    """

    async def __call__(self, request: Request, access: Access) -> Caller:
        """Anyone; raises `Forbidden` for a call that a foreign page has made."""
        if access is Access.OPEN:
            return ANYONE
        origin = request.header("origin")
        if not _is_here(request.host):
            raise _refused(f"the call was made for {request.host!r}", "Call it as localhost")
        if origin is not None and not _is_of_here(origin):
            raise _refused(f"the call was made by a page of {origin[:100]!r}", "Call it from a page of localhost")
        return ANYONE


def _refused(why: str, remedy: str) -> Forbidden:
    return Forbidden(
        f"This server is open to this machine alone, and {why}.", remedy=f'{remedy}, or set [server] auth = "keys".'
    )


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(request: Request) -> str:
    given = request.header("authorization")
    if given is not None:
        kind, _, secret = given.partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else ""
    else:
        secret = request.header("x-api-key") or ""
    if not secret or len(secret) > LONGEST_SECRET:
        raise Unauthenticated(
            "The call names no API key.", remedy="Send Authorization: Bearer <key>; make one: headrace keys create."
        )
    return secret


def _is_of_here(origin: str) -> bool:
    host = origin.partition("://")[2]
    return bool(host) and _is_here(host)


@lru_cache(maxsize=1024)
def _is_here(host: str | None) -> bool:
    """Whether a `Host` names this machine. Callers send few different ones, and reading one takes a while."""
    if not host:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")
