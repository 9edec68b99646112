"""Runs an author's coroutine to its end in the calling thread."""

from __future__ import annotations

import asyncio
import dis
from collections.abc import Callable, Coroutine
from contextvars import Context as Variables
from functools import lru_cache
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any, Self

_AWAITING = frozenset({"GET_AWAITABLE", "GET_ANEXT", "GET_AITER", "BEFORE_ASYNC_WITH", "SEND"})


class Driver:
    """An event loop that belongs to one thread; used from that thread alone, as a context manager."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        # An event loop needs a pair of sockets: opened now, before a process that confines itself may open none.
        self._runner.get_loop()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def run(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: object, variables: Variables) -> Any:
        """What `function` returns, run within `variables`.

        A function that never awaits needs no turns of an event loop, which take longer than many small models.
        """
        if never_awaits(function):
            return variables.run(_driven, function, arguments)
        return self._runner.run(function(*arguments), context=variables)


def _driven(function: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[object, ...]) -> Any:
    coroutine = function(*arguments)
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    finally:
        coroutine.close()
    raise RuntimeError("A coroutine without an await was suspended.")


@lru_cache(maxsize=1024)
def never_awaits(function: Callable[..., Any]) -> bool:
    """Whether the code of `function` shows that it cannot be suspended."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or not code.co_flags & CO_COROUTINE:
        # A decorator that hands on a coroutine shows nothing of what that does.
        return False
    return not any(each.opname in _AWAITING for each in dis.get_instructions(code))
