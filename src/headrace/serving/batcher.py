"""Who shares a call to the model: one bounded line for all replicas of a service, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context as Variables
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import Condition
from time import monotonic
from typing import Any

from headrace.errors import Overloaded
from headrace.serving.context import Context
from headrace.serving.service import Method


@dataclass(slots=True, eq=False)
class Call:
    """One question on its way to a replica, and the future on which its caller waits.

    `variables` are the caller's context variables: what it bound for its logs is bound for the replica's too.
    """

    method: Method
    question: object
    context: Context
    future: asyncio.Future[Any]
    queued_at: float = field(default_factory=monotonic)
    variables: Variables = field(default_factory=copy_context)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it, within the deadline."""
        deadline = self.context.deadline
        return not self.future.done() and (deadline is None or monotonic() < deadline)


class Line:
    """The calls that wait for a replica. Shared between the event loop, which puts, and threads, which take."""

    def __init__(self, *, bound: int) -> None:
        self._bound = bound
        self._calls: deque[Call] = deque()
        self._changed = Condition()
        self._idle = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        """Adds a call at the end; raises `Overloaded` at once when the line is full or closed."""
        with self._changed:
            if self._closed:
                raise Overloaded("The service is stopping.", remedy="Ask again in a moment.")
            if len(self._calls) >= self._bound:
                raise Overloaded(f"{self._bound} questions wait already.", remedy="Ask again in a moment.")
            self._calls.append(call)
            self._changed.notify()

    def take(self) -> list[Call]:
        """The next call, with others of its method that already wait; empty when the line is closed.

        Never waits for company: an idle replica answers at once. Never takes more than its share while other replicas
        are idle: one that hoards leaves half of the machine unused. Calls that nobody waits for are dropped.
        """
        with self._changed:
            self._idle += 1
            try:
                while True:
                    first = self._next_wanted()
                    if first is not None:
                        return self._with_company(first)
                    if self._closed:
                        return []
                    self._changed.wait()
            finally:
                self._idle -= 1

    def close(self) -> list[Call]:
        """Takes no more, wakes all who take, and gives back the calls that will not be answered."""
        with self._changed:
            self._closed = True
            left = list(self._calls)
            self._calls.clear()
            self._changed.notify_all()
        return left

    def _next_wanted(self) -> Call | None:
        while self._calls:
            call = self._calls.popleft()
            if call.is_wanted:
                return call
        return None

    def _with_company(self, first: Call) -> list[Call]:
        size = first.method.max_batch_size
        if size is None or not self._calls:
            return [first]
        # This taker is counted among the idle ones.
        share = -(-(len(self._calls) + 1) // max(1, self._idle))
        batch = [first]
        passed: list[Call] = []
        while self._calls and len(batch) < min(size, share):
            call = self._calls.popleft()
            if call.method is not first.method:
                passed.append(call)
            elif call.is_wanted:
                batch.append(call)
        self._calls.extendleft(reversed(passed))
        return batch
