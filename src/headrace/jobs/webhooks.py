"""Signed callbacks by Standard Webhooks, with a CloudEvents body, to addresses that are checked and pinned.

One delivery is one POST; what follows from its receipt is a pure rule, and the job machinery keeps the clock.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook as Signer

from headrace.domain.webhook import Delivery, Receipt
from headrace.errors import InvalidInput

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

NAT64 = IPv6Network("64:ff9b::/96")
RESPONSE_BYTES = 16 * 1024
"""No more of a receiver's answer is read: it serves a person who looks at a failed delivery."""


class RefusedAddress(InvalidInput):
    """The address is none that a webhook may be sent to."""

    code = "refused_address"


def checked_url(url: str) -> str:
    """`url`, if its form allows a webhook: http or https, a host, no user and password.

    Raises:
        RefusedAddress: naming what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedAddress(f"The webhook address {url!r} is no URL: {error}.", remedy="Give a full URL.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise RefusedAddress(f"The webhook address {url!r} is no http or https URL.", remedy="Give a full URL.")
    if parts.username or parts.password:
        raise RefusedAddress(f"The webhook address of {parts.hostname} holds a password.", remedy="Leave it out.")
    return url


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, also when an IPv6 address wraps an IPv4 one."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        # NAT64 (RFC 6052) leads to the IPv4 address in the last 32 bits.
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of `host` by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class WebhookSender:
    """Sends deliveries: each address is resolved, checked and pinned, so that a name cannot change between the two.

    `secrets` are `whsec_...`; each signs, so that receivers can move from one to the next. `allowed_hosts` may be
    private, for receivers in one's own network. Redirects are not followed.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        source: str = "/headrace",
        allowed_hosts: frozenset[str] = frozenset(),
        timeout_s: float = 15.0,
        at_once: int = 32,
        resolve: Resolve = resolved,
    ) -> None:
        self._signers = [Signer(secret) for secret in secrets]
        self._source = source
        self._allowed_hosts = allowed_hosts
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=timeout_s,
            trust_env=False,
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=30),
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def send(self, delivery: Delivery, *, now: datetime) -> Receipt:
        """One try, over within the timeout whatever the receiver does; never raises for what the receiver does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(delivery, now)
        except TimeoutError:
            return Receipt(None, f"No answer within {self._timeout_s:g} s.")
        except RefusedAddress as refused:
            return Receipt(None, str(refused))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            return Receipt(None, f"{type(failure).__name__}: {failure}")

    async def _post(self, delivery: Delivery, now: datetime) -> Receipt:
        parts = urlsplit(checked_url(delivery.url))
        host = parts.hostname or ""
        address = await self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        body = delivery.body(source=self._source)
        pinned = httpx.URL(delivery.url).copy_with(host=address)
        headers = self._headers(delivery, body, now) | {"host": parts.netloc}
        request = self._client.build_request(
            "POST", pinned, content=body.encode(), headers=headers, extensions={"sni_hostname": host}
        )
        request.extensions["timeout"] = httpx.Timeout(self._timeout_s).as_dict()
        response = await self._client.send(request, stream=True)
        try:
            detail = await _beginning(response)
        finally:
            await response.aclose()
        return Receipt(response.status_code, detail, response.headers.get("retry-after"))

    def _headers(self, delivery: Delivery, body: str, now: datetime) -> dict[str, str]:
        moment = now.astimezone(UTC)
        signatures = " ".join(signer.sign(delivery.id, moment, body) for signer in self._signers)
        return {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "user-agent": "headrace-webhooks/1",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signatures,
        }

    async def _address(self, host: str, port: int) -> str:
        found = await self._resolve(host, port)
        if not found:
            raise RefusedAddress(f"The webhook host {host} has no address.", remedy="Check its name.")
        for each in found:
            # One private address among public ones is refused too: it is how rebinding looks.
            if host not in self._allowed_hosts and not is_public(ip_address(each.split("%")[0])):
                raise RefusedAddress(
                    f"The webhook host {host} has the address {each}, which is not public.",
                    remedy="Name the host in [webhooks] allowed_hosts if it is yours.",
                )
        return found[0]


async def _beginning(response: httpx.Response) -> str:
    """The first `RESPONSE_BYTES` of an answer as text; the rest is not read."""
    read = bytearray()
    async for chunk in response.aiter_raw(RESPONSE_BYTES):
        read += chunk
        if len(read) >= RESPONSE_BYTES:
            break
    return bytes(read[:RESPONSE_BYTES]).decode(errors="replace")
