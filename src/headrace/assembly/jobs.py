"""The jobs of a platform: their store, their artifacts, their queue, and who hears of their ends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from headrace.jobs.job_queue import JobQueue
from headrace.settings import Settings
from headrace.storage.artifacts import Artifacts, opened_artifacts
from headrace.storage.database import Database
from headrace.storage.jobs import SqlJobs
from headrace.storage.webhooks import SqlWebhooks

IN_MEMORY = "sqlite://"


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a platform has for jobs; `queue` is the front, the rest is for workers and for the role `control`."""

    queue: JobQueue
    store: SqlJobs
    webhooks: SqlWebhooks
    artifacts: Artifacts


async def opened_jobs(stack: AsyncExitStack, settings: Settings, *, is_forgetful: bool) -> Jobs:
    """In the store that the settings name; a forgetful platform keeps jobs in memory."""
    database = await asyncio.to_thread(Database, IN_MEMORY if is_forgetful else settings.store_url)
    store = SqlJobs(database)
    stack.push_async_callback(store.close)
    artifacts = opened_artifacts(settings.job_artifacts_url)
    return Jobs(JobQueue(store, artifacts), store, SqlWebhooks(database), artifacts)
