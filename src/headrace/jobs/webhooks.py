"""Signed callbacks by Standard Webhooks, with a CloudEvents body, to addresses that are checked and pinned.

One delivery is one POST; what follows from its receipt is a pure rule, and the job machinery keeps the clock.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook as Signer

from headrace.domain.address import AddressRules, RefusedAddress, checked_url
from headrace.domain.webhook import Delivery, Receipt

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

RESPONSE_BYTES = 16 * 1024
"""No more of a receiver's answer is read: it serves a person who looks at a failed delivery."""


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of `host` by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class WebhookSender:
    """Sends deliveries: each address is resolved, checked and pinned, so that a name cannot change between the two.

    `secrets` are `whsec_...`; each signs, so that receivers can move from one to the next. `rules` say which
    addresses may be told. Redirects are not followed.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        source: str = "/headrace",
        rules: AddressRules | None = None,
        timeout_s: float = 15.0,
        at_once: int = 32,
        resolve: Resolve = resolved,
    ) -> None:
        self._secrets = tuple(secrets)
        self._source = source
        self._rules = rules or AddressRules()
        self.timeout_s = timeout_s
        self._resolve = resolve
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=timeout_s,
            trust_env=False,
            # A pool goes by address, and two hosts may share one: a kept connection was proven to be the first host's.
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def send(
        self, delivery: Delivery, *, now: datetime, secrets: Sequence[str] = (), trace_parent: str = ""
    ) -> Receipt:
        """One try, over within the timeout whatever the receiver does; never raises for what the receiver does.

        `secrets` sign instead of the usual ones; `trace_parent` goes along as `traceparent`.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._post(delivery, now, secrets or self._secrets, trace_parent)
        except TimeoutError:
            return Receipt(None, f"No answer within {self.timeout_s:g} s.")
        except RefusedAddress as refused:
            return Receipt(None, str(refused))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            return Receipt(None, f"{type(failure).__name__}: {failure}")

    async def _post(self, delivery: Delivery, now: datetime, secrets: Sequence[str], trace_parent: str) -> Receipt:
        parts = urlsplit(checked_url(delivery.url))
        host = parts.hostname or ""
        address = await self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        body = delivery.body(source=self._source)
        pinned = httpx.URL(delivery.url).copy_with(host=address)
        headers = _headers(delivery, body, now, secrets) | {"host": parts.netloc}
        headers |= {"traceparent": trace_parent} if trace_parent else {}
        request = self._client.build_request(
            "POST", pinned, content=body.encode(), headers=headers, extensions={"sni_hostname": host}
        )
        request.extensions["timeout"] = httpx.Timeout(self.timeout_s).as_dict()
        response = await self._client.send(request, stream=True)
        try:
            detail = await _beginning(response)
        finally:
            await response.aclose()
        return Receipt(response.status_code, detail, response.headers.get("retry-after"))

    async def _address(self, host: str, port: int) -> str:
        found = await self._resolve(host, port)
        if not found:
            raise RefusedAddress(f"The webhook host {host} has no address.", remedy="Check its name.")
        for each in found:
            # One private address among public ones is refused too: it is how rebinding looks.
            self._rules.check(host, each)
        return found[0]


def _headers(delivery: Delivery, body: str, now: datetime, secrets: Sequence[str]) -> dict[str, str]:
    moment = now.astimezone(UTC)
    signatures = " ".join(Signer(secret).sign(delivery.id, moment, body) for secret in secrets)
    return {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "user-agent": "headrace-webhooks/1",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signatures,
    }


async def _beginning(response: httpx.Response) -> str:
    """The first `RESPONSE_BYTES` of an answer as text; the rest is not read."""
    read = bytearray()
    async for chunk in response.aiter_raw(RESPONSE_BYTES):
        read += chunk
        if len(read) >= RESPONSE_BYTES:
            break
    return bytes(read[:RESPONSE_BYTES]).decode(errors="replace")
