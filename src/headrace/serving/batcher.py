"""Who shares a call to the model: one bounded line for all replicas of a service.

Nobody waits for company: what an idle replica finds in the line it takes at once. Whether it takes questions together
is learned from what calls took, and only questions of like length share one, so that none is padded for another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context as Variables
from contextvars import copy_context
from threading import Condition
from time import monotonic
from typing import Any

import msgspec

from headrace.errors import DeadlineExceeded, HeadraceError, Overloaded, ServiceFailed
from headrace.serving.context import Context, Priority
from headrace.serving.costs import Costs, bucket_of
from headrace.serving.service import Method

_RANKS = {Priority.INTERACTIVE: 0, Priority.BATCH: 1, Priority.SHADOW: 2}
TURNS_BEFORE_BATCH = 16
"""After so many calls of a higher priority in a row one of a lower priority goes first: none waits for ever."""


class Call(msgspec.Struct, eq=False):
    """One question on its way to a replica, and the future on which its caller waits.

    `variables` are the caller's context variables: what it bound for its logs is bound for the replica's too. `bucket`
    is that of its length. The `alarm`, where there is one, goes off at the deadline.
    """

    method: Method
    question: object
    context: Context
    future: asyncio.Future[Any]
    queued_at: float = msgspec.field(default_factory=monotonic)
    variables: Variables = msgspec.field(default_factory=copy_context)
    bucket: int = 0
    number: int = 0
    alarm: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        if self.method.size is not None:
            self.bucket = _bucket(self.method, self.question)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it, within the deadline."""
        deadline = self.context.deadline
        return not self.future.done() and (deadline is None or monotonic() < deadline)

    def give_up(self) -> None:
        """Tells the caller that its time is over."""
        if not self.future.done():
            self.future.set_exception(
                DeadlineExceeded(
                    f"{self.method.title} did not answer within the caller's time.",
                    remedy="Give more time or send less.",
                )
            )


Group = tuple[str, int]


class Line:
    """The calls that wait for a replica. Shared between the event loop, which puts, and threads, which take.

    Interactive calls go before those of batches, and shadows last; among equals the first come is the first served.
    """

    def __init__(self, *, bound: int) -> None:
        self._bound = bound
        self._ranks: tuple[dict[Group, deque[Call]], ...] = ({}, {}, {})
        self._waiting = 0
        self._number = 0
        self._turns = 0
        self._changed = Condition()
        self._idle = 0
        self._closed = False
        self._costs: dict[str, Costs] = {}
        self._alone: set[str] = set()

    def __len__(self) -> int:
        return self._waiting

    @property
    def idle(self) -> int:
        """How many replicas wait for calls."""
        return self._idle

    @property
    def since(self) -> float | None:
        """When the first of the interactive calls came that wait; None where none does."""
        with self._changed:
            return min((calls[0].queued_at for calls in self._ranks[0].values() if calls), default=None)

    def put(self, call: Call) -> None:
        """Adds a call at the end of those of its priority; wakes one idle replica.

        When the line is full, the newest call of a lower priority has to give way.

        Raises:
            Overloaded: there is no room, or the line is closed.
        """
        evicted: Call | None = None
        with self._changed:
            if self._closed:
                raise Overloaded("The service is stopping.", remedy="Ask again in a moment.")
            if self._waiting >= self._bound:
                evicted = self._newest_below(_RANKS[call.context.priority])
                if evicted is None:
                    raise self._full()
                self._remove(evicted)
            self._number += 1
            call.number = self._number
            group = (call.method.name, call.bucket)
            self._ranks[_RANKS[call.context.priority]].setdefault(group, deque()).append(call)
            self._waiting += 1
            if self._idle:
                self._changed.notify()
        if evicted is not None and not evicted.future.done():
            evicted.future.set_exception(self._full())

    def withdraw(self, call: Call) -> None:
        """Takes a call out whose caller has gone, so that it keeps no place; one that was taken already is left."""
        with self._changed:
            self._remove(call)

    def take(self, *, waits: bool = True) -> list[Call]:
        """The next call, with others of like length that wait, where that pays; empty when the line is closed.

        Who does not wait is given nothing while there is none.

        Never takes more than its share while other replicas are idle: one that hoards leaves half of the machine
        unused. Calls that nobody waits for are dropped.
        """
        with self._changed:
            self._idle += 1
            try:
                while True:
                    if self._waiting and (batch := self._next_batch()):
                        return batch
                    if self._closed or not waits:
                        return []
                    self._changed.wait()
            finally:
                self._idle -= 1

    def learn(self, batch: list[Call], seconds: float) -> None:
        """Notes what a call for all of `batch` took."""
        name = batch[0].method.name
        costs = self._costs.get(name) or self._costs.setdefault(name, Costs())
        costs.learn(batch[0].bucket, len(batch), seconds)

    def costs(self, method: Method) -> Costs:
        """What is learned of a method."""
        return self._costs.get(method.name) or self._costs.setdefault(method.name, Costs())

    def answer_alone(self, method: Method) -> None:
        """From now on no two questions of `method` share a call: its answers depend on their company."""
        self._alone.add(method.name)

    def best_count(self, method: Method, bucket: int, most: int) -> int:
        """How many of `most` questions of one bucket are best answered by one call."""
        size = method.max_batch_size
        if size is None or method.name in self._alone:
            return min(1, most)
        return self.costs(method).best_count(bucket, min(size, most))

    def close(self) -> list[Call]:
        """Takes no more, wakes all who take, and gives back the calls that will not be answered."""
        with self._changed:
            self._closed = True
            left = [call for rank in self._ranks for calls in rank.values() for call in calls]
            for rank in self._ranks:
                rank.clear()
            self._waiting = 0
            self._changed.notify_all()
        return sorted(left, key=lambda call: call.number)

    def _next_batch(self) -> list[Call]:
        while self._waiting:
            rank, group = self._next_group()
            calls = rank[group]
            # This taker is counted among the idle ones.
            share = -(-self._waiting // max(1, self._idle))
            batch = self._wanted(calls, 1)
            if batch and calls and batch[0].method.max_batch_size is not None:
                most = min(1 + len(calls), max(1, share))
                batch += self._wanted(calls, self.best_count(batch[0].method, batch[0].bucket, most) - 1)
            if not calls:
                del rank[group]
            if batch:
                return batch
        return []

    def _next_group(self) -> tuple[dict[Group, deque[Call]], Group]:
        """Where the call stands that is next: of the highest priority, the first come."""
        filled = [rank for rank in self._ranks if rank]
        rank = filled[0]
        if len(filled) > 1:
            self._turns += 1
            if self._turns > TURNS_BEFORE_BATCH:
                self._turns = 0
                rank = filled[1]
        else:
            self._turns = 0
        if len(rank) == 1:
            return rank, next(iter(rank))
        return rank, min(rank, key=lambda group: rank[group][0].number)

    def _wanted(self, calls: deque[Call], most: int) -> list[Call]:
        """Up to `most` calls from the front that somebody waits for; the others are dropped."""
        found: list[Call] = []
        while calls and len(found) < most:
            call = calls.popleft()
            self._waiting -= 1
            if call.is_wanted:
                found.append(call)
        return found

    def _newest_below(self, rank: int) -> Call | None:
        for lower in self._ranks[:rank:-1]:
            if lower:
                return max((calls[-1] for calls in lower.values()), key=lambda call: call.number)
        return None

    def _remove(self, call: Call) -> None:
        rank = self._ranks[_RANKS[call.context.priority]]
        group = (call.method.name, call.bucket)
        calls = rank.get(group)
        if calls is None or call not in calls:
            return
        calls.remove(call)
        self._waiting -= 1
        if not calls:
            del rank[group]

    def _full(self) -> Overloaded:
        return Overloaded(f"{self._bound} questions wait already.", remedy="Ask again in a moment.")


def _bucket(method: Method, question: object) -> int:
    assert method.size is not None
    try:
        return bucket_of(method.size(question))
    except HeadraceError:
        raise
    # The author's code may raise anything; whoever asked is told, and the line lives on.
    except Exception as error:
        raise ServiceFailed(f"The size of a question to {method.title} could not be told.") from error
