"""LoopTime: what a coroutine takes of the event loop's thread, without what it waits for."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from functools import partial
from time import perf_counter
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LoopTime(Generic[T]):
    """Awaited once, it gives what the coroutine gives; `spent_s` adds up while it runs."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.spent_s = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._coroutine.__await__()
        step = partial(next, steps)
        while True:
            begun = perf_counter()
            try:
                waits_for = step()
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self.spent_s += perf_counter() - begun
            try:
                yield waits_for
            # Whatever is thrown in, a cancellation too, is for the coroutine to hear.
            except BaseException as thrown:  # noqa: BLE001
                step = partial(steps.throw, thrown)
            else:
                step = partial(next, steps)
