"""Signed callbacks by Standard Webhooks, with a CloudEvents body, to addresses that are checked and pinned.

One delivery is one POST; what follows from its receipt is a pure rule, and the job machinery keeps the clock.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headrace.domain.address import AddressRules, RefusedAddress, checked_url
from headrace.domain.webhook import Delivery, Receipt

if TYPE_CHECKING:
    from headrace.jobs.posting import Posting

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


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
        self._at_once = at_once
        self._posting: Posting | None = None

    async def close(self) -> None:
        """Closes all connections."""
        if self._posting is not None:
            await self._posting.close()

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
        # A name that no resolver takes is an error of encoding, not of the network.
        except (OSError, UnicodeError) as failure:
            return Receipt(None, f"{type(failure).__name__}: {failure}")

    async def _post(self, delivery: Delivery, now: datetime, secrets: Sequence[str], trace_parent: str) -> Receipt:
        parts = urlsplit(checked_url(delivery.url))
        host = parts.hostname or ""
        address = await self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        posting = self._posting or self._begun()
        return await posting.post(delivery, parts.netloc, address, now=now, secrets=secrets, trace_parent=trace_parent)

    def _begun(self) -> Posting:
        # Most servers deliver nothing in their first second, and the client reads all certificates of the machine.
        from headrace.jobs.posting import Posting  # noqa: PLC0415

        self._posting = Posting(source=self._source, timeout_s=self.timeout_s, at_once=self._at_once)
        return self._posting

    async def _address(self, host: str, port: int) -> str:
        found = await self._resolve(host, port)
        if not found:
            raise RefusedAddress(f"The webhook host {host} has no address.", remedy="Check its name.")
        for each in found:
            # One private address among public ones is refused too: it is how rebinding looks.
            self._rules.check(host, each)
        return found[0]
