"""The loop that delivers webhooks: what is due is sent, each receiver on its own account, until the store says done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

from headrace.domain.stores import WebhookStore
from headrace.domain.webhook import Delivery, DeliveryState, Patience, Receipt, Webhook, WebhookState
from headrace.errors import HeadraceError
from headrace.jobs.webhooks import WebhookSender
from headrace.telemetry import Spans

CROWDED_WAIT_S = 1.0
LOOK_EVERY_S = 0.5
STORE_FAILED_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many POSTs go out at once, to all receivers together and to one host."""

    at_once: int = 64
    a_host: int = 4


async def _unknown(_delivery: Delivery) -> str:
    return ""


def _unheard(_outcome: str, _lag_s: float) -> None:
    return None


class Deliverer:
    """Sends what is due from `store` until it is cancelled.

    One slow receiver fills its own places and no others: what finds its host crowded comes again a second later, and
    that is no try. A delivery that a dying process had taken is due again after the hold. `secrets` sign for addresses
    that a job named itself; `on_outcome` hears how each try ended and the seconds since the delivery was due first.
    Each try is one of `spans`, within the trace that `trace_of` gives for its event, and tells the receiver of it.
    """

    def __init__(
        self,
        store: WebhookStore,
        sender: WebhookSender,
        *,
        secrets: Sequence[str],
        jitter: Callable[[], float],
        patience: Patience | None = None,
        bounds: Bounds | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_outcome: Callable[[str, float], None] = _unheard,
        spans: Spans | None = None,
        trace_of: Callable[[Delivery], Awaitable[str]] = _unknown,
    ) -> None:
        self._store = store
        self._sender = sender
        self._secrets = tuple(secrets)
        self._jitter = jitter
        self._patience = patience or Patience()
        self._bounds = bounds or Bounds()
        self._now = now
        self._on_outcome = on_outcome
        self._spans = spans or Spans()
        self._trace_of = trace_of
        self._by_host: Counter[str] = Counter()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Looks for what is due, again and again; on the way out what is being sent may end."""
        try:
            while True:
                try:
                    found = await self.deliver_due()
                except HeadraceError as failure:
                    if not failure.retryable:
                        raise
                    await asyncio.sleep(STORE_FAILED_WAIT_S)
                    continue
                if not found:
                    await asyncio.sleep(LOOK_EVERY_S)
        finally:
            if self._sending:
                await asyncio.wait(self._sending, timeout=self._sender.timeout_s + 1)
            for task in self._sending:
                task.cancel()

    async def deliver_due(self) -> int:
        """Begins to send what is due and has room; how many were taken."""
        room = self._bounds.at_once - len(self._sending)
        if room <= 0:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_EVERY_S)
            return 1
        due = await self._store.due(now=self._now(), limit=room, hold_s=self._sender.timeout_s * 2)
        if not due:
            return 0
        known = {webhook.id: webhook for webhook in await self._store.listed()}
        for delivery in due:
            await self._begin(delivery, known)
        return len(due)

    async def idle(self) -> None:
        """Returns when nothing is being sent."""
        while self._sending:
            await asyncio.wait(set(self._sending))

    async def _begin(self, delivery: Delivery, known: Mapping[str, Webhook]) -> None:
        webhook = known.get(delivery.webhook_id)
        if delivery.webhook_id and (webhook is None or webhook.state is WebhookState.DISABLED):
            await self._store.save(replace(delivery, state=DeliveryState.DISABLED, due_at=None))
            return
        host = urlsplit(delivery.url).hostname or ""
        if self._by_host[host] >= self._bounds.a_host:
            await self._store.save(replace(delivery, due_at=self._now() + timedelta(seconds=CROWDED_WAIT_S)))
            return
        self._by_host[host] += 1
        task = asyncio.create_task(self._send(delivery, webhook))
        self._sending.add(task)
        task.add_done_callback(lambda done: self._sent(done, host))

    def _sent(self, task: asyncio.Task[None], host: str) -> None:
        self._sending.discard(task)
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]

    async def _send(self, delivery: Delivery, webhook: Webhook | None) -> None:
        secrets = webhook.secrets if webhook is not None and webhook.secrets else self._secrets
        receipt = await self._posted(delivery, secrets)
        after = delivery.after(receipt, now=self._now(), patience=self._patience, jitter=self._jitter())
        # A receipt that cannot be kept is lost, and the receiver hears of the event again: at least once.
        with suppress(HeadraceError):
            await self._store.save(after)
            if after.state is DeliveryState.DISABLED and webhook is not None:
                # 410 Gone, by Standard Webhooks: the receiver wants no more of anything.
                await self._store.add(replace(webhook, state=WebhookState.DISABLED))
        self._on_outcome(after.state.value, (self._now() - delivery.created_at).total_seconds())

    async def _posted(self, delivery: Delivery, secrets: Sequence[str]) -> Receipt:
        parent, facts = "", {"event": delivery.type, "delivery_id": delivery.id, "subject": delivery.subject}
        # The trace is worth less than the delivery: a store that is away costs the trace alone.
        with suppress(HeadraceError):
            parent = await self._trace_of(delivery)
        with self._spans.span("deliver webhook", parent=parent, kind=SpanKind.CLIENT, **facts) as span:
            now, here = self._now(), str(span.traceparent)
            receipt = await self._sender.send(delivery, secrets=secrets, now=now, trace_parent=here)
            if receipt.status is not None:
                span.tell(http__response__status_code=receipt.status)
            if not receipt.is_success:
                span.fail(receipt.detail if receipt.status is None else f"HTTP {receipt.status}")
        return receipt
