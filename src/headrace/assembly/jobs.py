"""The jobs of a platform: their store, their artifacts, their queue, and who hears of their ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from time import monotonic
from typing import Any

from headrace.domain.stores import JobStore
from headrace.errors import HeadraceError, InvalidConfiguration
from headrace.jobs.batches import Batches
from headrace.jobs.broker import Broker
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.job_queue import JobQueue
from headrace.settings import Settings
from headrace.storage.artifacts import Artifacts, opened_artifacts
from headrace.storage.attendances import SqlAttendances
from headrace.storage.batches import SqlBatches
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database
from headrace.storage.webhooks import SqlWebhooks

IN_MEMORY = "sqlite://"
LOOK_S = 3.0


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a platform has for jobs; `queue` is the front, the rest is for workers and for the role `control`."""

    queue: JobQueue
    batches: Batches
    store: SqlJobs
    attendances: SqlAttendances
    webhooks: SqlWebhooks
    artifacts: Artifacts
    broker: BrokerHealth


class BrokerHealth:
    """How the broker is, for probes: asked at most every few seconds, over a connection of its own."""

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self._state = "embedded"
        self._next_look = 0.0

    async def state(self) -> str:
        """`embedded`, `healthy` or `away`."""
        if self._broker is not None and monotonic() >= self._next_look:
            self._next_look = monotonic() + LOOK_S
            self._state = "healthy" if await self._broker.is_healthy() else "away"
        return self._state

    async def close(self) -> None:
        """Gives the connection back."""
        if self._broker is not None:
            with suppress(HeadraceError):
                await self._broker.close()


def broker_of(settings: Settings, store: JobStore) -> Broker:
    """A connection of one's own to the broker that the settings name; not opened yet.

    Raises:
        InvalidConfiguration: the url is of no known kind, or its library is not installed.
    """
    url, prefix = settings.broker.url, settings.broker.prefix
    if is_embedded(settings):
        return EmbeddedBroker(store, ticket_s=settings.jobs.lease_s)
    scheme = url.partition("://")[0]
    if scheme in {"redis", "rediss", "unix"}:
        consumer = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        claim_after_s = max(1.0, settings.jobs.lease_s)
        redis: Broker = _library("redis").RedisBroker(
            url, consumer=consumer, prefix=prefix, claim_after_s=claim_after_s
        )
        return redis
    if scheme in {"amqp", "amqps"}:
        rabbitmq: Broker = _library("rabbitmq").RabbitBroker(url, prefix=prefix)
        return rabbitmq
    raise InvalidConfiguration(
        f"[broker] url = {url!r} is of no known kind.", remedy='Write "embedded", redis://… or amqp://…'
    )


def is_embedded(settings: Settings) -> bool:
    """Whether tickets are taken from the store itself."""
    return settings.broker.url == "embedded"


def _library(name: str) -> Any:
    try:
        return import_module(f"headrace.jobs.brokers.{name}")
    except ModuleNotFoundError as missing:
        raise InvalidConfiguration(
            f"[broker] url names {name}, whose library is not installed.",
            remedy=f"Install it: pip install 'headrace[{name}]'.",
        ) from missing


async def opened_jobs(stack: AsyncExitStack, settings: Settings, *, is_forgetful: bool) -> Jobs:
    """In the store that the settings name; a forgetful platform keeps jobs in memory."""
    database = await asyncio.to_thread(opened_database, IN_MEMORY if is_forgetful else settings.store_url)
    store = SqlJobs(database)
    stack.push_async_callback(store.close)
    artifacts = opened_artifacts(settings.job_artifacts_url)
    queue = JobQueue(store, artifacts)
    batches = Batches(SqlBatches(database), queue, artifacts)
    broker = BrokerHealth(None if is_forgetful or is_embedded(settings) else broker_of(settings, store))
    stack.push_async_callback(broker.close)
    return Jobs(queue, batches, store, SqlAttendances(database), SqlWebhooks(database), artifacts, broker)
