"""The webhooks of a platform: which addresses may be told, what signs, and the loop that tells them."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from headrace.assembly.platform import Running
from headrace.domain.address import AddressRules
from headrace.domain.webhook import Delivery, new_secret
from headrace.errors import InvalidConfiguration
from headrace.jobs.deliveries import Deliverer
from headrace.jobs.webhooks import WebhookSender
from headrace.settings import Settings

KEPT_AT = "webhook-secret"


def address_rules(settings: Settings) -> AddressRules:
    """Which addresses may be told."""
    return AddressRules(frozenset(settings.webhooks.allowed_hosts))


def signing_secrets(settings: Settings) -> tuple[str, ...]:
    """What signs for addresses that a job named itself: the configured secrets, or one that is kept in the data folder.

    Safe for several processes that start together: the first one's secret is everybody's.
    """
    if settings.webhooks.secrets:
        return settings.webhooks.secrets
    path = Path(settings.data) / KEPT_AT
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and then linked: nobody reads half of it, and who comes second takes the first one's.
            with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as aside:
                aside.write(new_secret())
                aside.flush()
                with suppress(FileExistsError):
                    os.link(aside.name, path)
        return (path.read_text(encoding="ascii").strip(),)
    except OSError as error:
        raise InvalidConfiguration(
            f"The webhook secret cannot be kept at {path}: {error.strerror}.", remedy="Set [webhooks] secrets."
        ) from error


async def trace_of(running: Running, delivery: Delivery) -> str:
    """The trace of the job that an event is about; empty where it is about something else."""
    job = await running.jobs.store.find(delivery.subject) if delivery.subject.startswith("job_") else None
    return "" if job is None else job.request.trace


async def deliver(running: Running) -> None:
    """Tells all who want to hear, until it is cancelled."""
    settings = running.settings
    secrets = await asyncio.to_thread(signing_secrets, settings)
    sender = WebhookSender(
        secrets=secrets,
        source=settings.webhooks.source,
        rules=address_rules(settings),
        timeout_s=settings.webhooks.timeout_s,
    )
    metrics = running.metrics

    def noted(outcome: str, lag_s: float) -> None:
        metrics.webhook_tries.labels(outcome).inc()
        if outcome == "delivered":
            metrics.webhook_lag_seconds.observe(lag_s)

    try:
        # The jitter spreads retries and guards nothing: any generator will do.
        deliverer = Deliverer(
            running.jobs.webhooks,
            sender,
            secrets=secrets,
            jitter=random.random,
            on_outcome=noted,
            spans=running.spans,
            trace_of=partial(trace_of, running),
        )
        await deliverer.run()
    finally:
        await sender.close()
