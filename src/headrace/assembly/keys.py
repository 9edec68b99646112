"""The API keys of a platform: their store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from headrace.assembly.jobs import IN_MEMORY
from headrace.domain.stores import KeyStore
from headrace.settings import Settings
from headrace.storage.keys import SqlKeys
from headrace.storage.schema import opened_database


@contextmanager
def stored_keys(settings: Settings) -> Iterator[KeyStore]:
    """In the store that the settings name; closed on the way out."""
    store = SqlKeys(opened_database(settings.store_url))
    try:
        yield store
    finally:
        store.close()


async def opened_keys(stack: AsyncExitStack, settings: Settings, *, is_forgetful: bool) -> KeyStore:
    """As above, for a platform that runs; a forgetful one keeps them in memory."""
    database = await asyncio.to_thread(opened_database, IN_MEMORY if is_forgetful else settings.store_url)
    store = SqlKeys(database)
    stack.push_async_callback(asyncio.to_thread, store.close)
    return store
