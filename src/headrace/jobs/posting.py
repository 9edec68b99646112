"""One POST of a webhook: signed by Standard Webhooks, to an address that was checked before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook as Signer

from headrace.domain.webhook import Delivery, Receipt

RESPONSE_BYTES = 16 * 1024
"""No more of a receiver's answer is read: it serves a person who looks at a failed delivery."""


class Posting:
    """Posts deliveries, at most `at_once` of them at the same time."""

    def __init__(self, *, source: str, timeout_s: float, at_once: int) -> None:
        self._source = source
        self._timeout_s = timeout_s
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

    async def post(
        self,
        delivery: Delivery,
        host: str,
        address: str,
        *,
        now: datetime,
        secrets: Sequence[str],
        trace_parent: str,
    ) -> Receipt:
        """What the receiver says, asked at `address` in the name of `host`; never raises for what it does."""
        body = delivery.body(source=self._source)
        headers = _headers(delivery, body, now, secrets) | {"host": host}
        headers |= {"traceparent": trace_parent} if trace_parent else {}
        try:
            request = self._client.build_request(
                "POST",
                httpx.URL(delivery.url).copy_with(host=address),
                content=body.encode(),
                headers=headers,
                extensions={"sni_hostname": urlsplit(delivery.url).hostname or ""},
            )
            request.extensions["timeout"] = httpx.Timeout(self._timeout_s).as_dict()
            response = await self._client.send(request, stream=True)
            try:
                detail = await _beginning(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            return Receipt(None, f"{type(failure).__name__}: {failure}")
        return Receipt(response.status_code, detail, response.headers.get("retry-after"))


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
