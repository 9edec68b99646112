"""Forgets decisions that are older, or more, than are to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headrace.domain.stores import DecisionStore
from headrace.errors import HeadraceError

EVERY_S = 3600.0


async def keep_in_bounds(
    store: DecisionStore, *, keep: timedelta, most: int, on_failure: Callable[[HeadraceError], None]
) -> None:
    """Now and every hour, until it is cancelled; a store that fails is told of and tried again the next time."""
    while True:
        try:
            await asyncio.to_thread(store.forget, before=datetime.now(UTC) - keep, keep=most)
        except HeadraceError as failure:
            on_failure(failure)
        await asyncio.sleep(EVERY_S)
