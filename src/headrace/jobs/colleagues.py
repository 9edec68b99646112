"""Colleagues: the workers that live beside this one, and by which code they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from time import monotonic

from headrace.domain.attendance import AttendanceStore
from headrace.errors import HeadraceError

LOOK_S = 0.5
"""What was seen so lately is not looked at again for the next job."""


class Colleagues:
    """Says of a worker that it is there, and knows of the others.

    One that has not beaten for `silent_s` on this process's own monotonic clock is held to be dead and forgotten: as
    with leases, no clock of another machine decides. One that is seen for the first time is held to live.
    """

    def __init__(
        self,
        store: AttendanceStore,
        worker: str,
        codes: Collection[str],
        *,
        silent_s: float,
        on_failure: Callable[[HeadraceError], None] = lambda _: None,
        ticking: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._worker = worker
        self._codes = frozenset(codes)
        self._silent_s = silent_s
        self._on_failure = on_failure
        self._ticking = ticking
        self._seen: dict[str, tuple[int, float]] = {}
        self._found: frozenset[str] = frozenset()
        self._next_look = -1.0

    async def attend(self) -> None:
        """Until it is cancelled, then leaves; what fails is told of and tried again."""
        try:
            while True:
                try:
                    await asyncio.to_thread(self._store.attend, self._worker, self._codes)
                    await self.look()
                except HeadraceError as failure:
                    self._on_failure(failure)
                await asyncio.sleep(self._silent_s / 4)
        finally:
            # Whoever cannot be told now finds it silent later.
            with suppress(HeadraceError):
                await asyncio.shield(asyncio.to_thread(self._store.leave, self._worker))

    async def can_answer(self, code: str) -> bool:
        """Whether another worker lives that answers by this code; raises `StoreUnavailable`."""
        if self._ticking() >= self._next_look:
            await self.look()
        return code in self._found

    async def look(self) -> None:
        """Who has beaten since the last look, and who has been silent for too long; raises `StoreUnavailable`."""
        now = self._ticking()
        self._next_look = now + LOOK_S
        seen: dict[str, tuple[int, float]] = {}
        found: set[str] = set()
        for each in await asyncio.to_thread(self._store.attending):
            beats, since = self._seen.get(each.worker, (-1, now))
            seen[each.worker] = (each.beats, since if beats == each.beats else now)
            if now - seen[each.worker][1] >= self._silent_s:
                await asyncio.to_thread(self._store.forget, each)
            elif each.worker != self._worker:
                found |= each.codes
        self._seen, self._found = seen, frozenset(found)
