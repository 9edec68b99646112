"""Signed callbacks by Standard Webhooks, with a CloudEvents body, to addresses that are checked and pinned.

One delivery is one POST; what follows from its receipt is a pure rule, and the job machinery keeps the clock.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook as Signer

from headrace.errors import InvalidInput

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

NAT64 = IPv6Network("64:ff9b::/96")
RESPONSE_BYTES = 16 * 1024
"""No more of a receiver's answer is read: it serves a person who looks at a failed delivery."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DISABLED = "disabled"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came back from one POST; `status` is None when nothing came, and `detail` says why."""

    status: int | None
    detail: str
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Standard Webhooks: any 2xx."""
        return self.status is not None and httpx.codes.is_success(self.status)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address. `id` is the same in every try, `sequence` grows with the events."""

    id: str
    url: str
    type: str
    subject: str
    sequence: int
    created_at: datetime
    data: Mapping[str, Any]
    state: DeliveryState = DeliveryState.WAITING
    tries: int = 0
    due_at: datetime | None = None
    last: Receipt | None = None

    def body(self, *, source: str) -> str:
        """The CloudEvents 1.0 event as JSON; the same bytes in every try, for the signature covers them."""
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": source,
                "type": self.type,
                "subject": self.subject,
                "time": self.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "sequence": str(self.sequence),
                "datacontenttype": "application/json",
                "data": self.data,
            },
            separators=(",", ":"),
            sort_keys=True,
        )

    def after(self, receipt: Receipt, *, now: datetime, patience: Patience, jitter: float) -> Delivery:
        """As it stands after a try: delivered, disabled by 410, given up after the patience, or due again."""
        tried = replace(self, tries=self.tries + 1, last=receipt)
        if receipt.is_success:
            return replace(tried, state=DeliveryState.DELIVERED, due_at=None)
        if receipt.status == httpx.codes.GONE:
            return replace(tried, state=DeliveryState.DISABLED, due_at=None)
        wait_s = max(patience.wait_s(tried.tries, jitter=jitter), asked_wait_s(receipt.retry_after, now=now))
        due_at = now + timedelta(seconds=wait_s)
        if due_at > self.created_at + timedelta(seconds=patience.whole_s):
            return replace(tried, state=DeliveryState.GIVEN_UP, due_at=None)
        return replace(tried, due_at=due_at)

    def resent(self, *, now: datetime) -> Delivery:
        """Due at once, with a fresh patience; the receiver sees the same id and may pass it over."""
        return replace(self, state=DeliveryState.WAITING, created_at=now, tries=0, due_at=now)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a failed delivery is tried again: growing jittered waits for three days."""

    first_wait_s: float = 5.0
    factor: float = 3.0
    longest_wait_s: float = 8 * 3600.0
    whole_s: float = 3 * 24 * 3600.0

    def wait_s(self, tries: int, *, jitter: float) -> float:
        """Seconds after the `tries`-th failure (from 1); `jitter` is uniform in [0, 1)."""
        return min(self.longest_wait_s, self.first_wait_s * self.factor ** min(tries - 1, 40)) * (0.5 + jitter)


def asked_wait_s(retry_after: str | None, *, now: datetime) -> float:
    """Seconds that a `Retry-After` header asks for, by RFC 9110 a number or a date; at most a day, 0 if unreadable."""
    if not retry_after:
        return 0.0
    try:
        wait_s = float(retry_after)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(retry_after) - now).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(wait_s, 0.0), 24 * 3600.0) if wait_s == wait_s else 0.0  # noqa: PLR0124 - NaN is not itself


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
