"""Webhook, Delivery, Receipt: who is told of what, and where each telling stands.

What follows from a receipt is a pure rule; clocks and jitter are passed in.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

GONE = 410
SECRET_BYTES = 24

EVENTS = (
    "headrace.job.succeeded",
    "headrace.job.failed",
    "headrace.job.cancelled",
    "headrace.batch.finished",
    "headrace.rollout.promoted",
    "headrace.rollout.rolled_back",
    "headrace.alert.raised",
    "headrace.alert.recovered",
)
"""What an address may be told of."""


class WebhookState(StrEnum):
    """Whether events go to an address."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that wants to hear of events; no `events` are all of them. `secrets` sign, the newest first."""

    id: str
    url: str
    created_at: datetime
    secrets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    key: str = ""
    state: WebhookState = WebhookState.ACTIVE

    def wants(self, event: str, *, key: str) -> bool:
        """Whether an event of this type, of a job of `key`, is sent there; one without a key hears of all."""
        is_own = not self.key or self.key == key
        return self.state is WebhookState.ACTIVE and is_own and (not self.events or event in self.events)


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
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address. `id` is the same in every try, `sequence` grows with the events.

    `webhook_id` is the webhook that asked for it; empty when the job itself named the address.
    """

    id: str
    url: str
    type: str
    subject: str
    sequence: int
    created_at: datetime
    data: Mapping[str, Any]
    webhook_id: str = ""
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
        if receipt.status == GONE:
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


def new_secret() -> str:
    """A fresh secret by Standard Webhooks: `whsec_` and base64 of 24 random bytes."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
