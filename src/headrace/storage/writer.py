"""GroupCommit: one thread writes for all callers of a process, so that many of them share one flush to the disc."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, TypeVar

from sqlalchemy import Connection

from headrace.errors import HeadraceError, Overloaded
from headrace.storage.database import Database, StoreUnavailable

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Change = Callable[[Connection, Sequence[Argument]], Sequence[Result | HeadraceError]]

LARGEST_BATCH = 256
LONGEST_LINE = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    change: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    argument: Any
    durable: bool
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class GroupCommit:
    """Takes changes from event loops and makes them in order, as many as wait in one transaction.

    A change is a function of a connection and of the arguments of all callers that want it; it gives a result or an
    error of ours for each. Such an error has written nothing. `on_commit` is called after each batch and never raises.
    """

    def __init__(self, database: Database, *, on_commit: Callable[[], None]) -> None:
        self._database = database
        self._on_commit = on_commit
        self._wishes: deque[_Wish] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._live, name="store-writer", daemon=True)
        self._thread.start()

    async def make(self, change: Change[Argument, Result], argument: Argument, *, durable: bool = True) -> Result:
        """What `change` gives for `argument`, after it was committed.

        A caller that is cancelled meanwhile does not take its change back.

        Raises:
            Overloaded: too many wait already.
            StoreUnavailable: the store does not work, or is closed; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        with self._changed:
            if self._closed:
                raise StoreUnavailable("The store is closed.", remedy="The process is stopping: ask another one.")
            if len(self._wishes) >= LONGEST_LINE:
                raise Overloaded(f"{LONGEST_LINE} changes wait for the store.", remedy="Try again in a moment.")
            self._wishes.append(_Wish(change, argument, durable, future, loop))
            self._changed.notify()
        return await future

    def close(self) -> None:
        """Makes what waits, then ends the thread; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _live(self) -> None:
        while batch := self._next():
            outcomes = self._made(batch)
            # Not within the attempt to commit: what is committed must not be made again for a ring that failed.
            self._on_commit()
            by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = defaultdict(list)
            for wish, outcome in zip(batch, outcomes, strict=True):
                by_loop[wish.loop].append((wish.future, outcome))
            for loop, settled in by_loop.items():
                # One call for all: waking the loop is what costs. A loop that is closed has nobody who waits.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, settled)

    def _next(self) -> list[_Wish]:
        with self._changed:
            while not self._wishes and not self._closed:
                self._changed.wait()
            return [self._wishes.popleft() for _ in range(min(LARGEST_BATCH, len(self._wishes)))]

    def _made(self, batch: list[_Wish]) -> list[Any]:
        try:
            return self._together_or_again(batch)
        except HeadraceError as failure:
            return [failure] * len(batch)
        # What one caller's change stumbles over must not be told to the others: each is tried alone.
        except Exception as failure:  # noqa: BLE001
            if len(batch) == 1:
                return [failure]
            return [outcome for wish in batch for outcome in self._made([wish])]

    def _together_or_again(self, batch: list[_Wish]) -> list[Any]:
        try:
            return self._together(batch)
        except StoreUnavailable:
            # Between processes that share a server, one of two that want the same row may be turned away: once more.
            if self._database.is_sqlite:
                raise
            return self._together(batch)

    def _together(self, batch: list[_Wish]) -> list[Any]:
        outcomes: dict[int, Any] = {}
        with self._database.transaction(durable=any(wish.durable for wish in batch)) as connection:
            for change, places in _by_change(batch).items():
                found = change(connection, [batch[place].argument for place in places])
                outcomes.update(zip(places, found, strict=True))
        return [outcomes[place] for place in range(len(batch))]


def _by_change(batch: Sequence[_Wish]) -> dict[Any, list[int]]:
    """The places of the wishes for each change, in the order in which the changes were first wished for."""
    found: dict[Any, list[int]] = {}
    for place, wish in enumerate(batch):
        found.setdefault(wish.change, []).append(place)
    return found


def _settle(settled: Iterable[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
