"""Ceiling: how much memory a process may hold, and the wish to be replaced once it holds more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from headrace.assembly.platform import Running

LOOK_S = 1.0


def ceiling_of(running: Running) -> int | None:
    """What the services that live in threads of this process may hold together; None when none of them has a bound.

    Guarded workers have each their own, and what is answered elsewhere holds nothing here.
    """
    parts = [running.planner.parts[name] for name in running.services]
    bounds = [part.memory_bytes for part in parts if part.memory_bytes and part.guard() is None and not part.url]
    return sum(bounds) or None


async def keep_below(running: Running, ceiling: int, *, relieve: Callable[[], None]) -> None:
    """Asks for relief once the memory of this process passes the ceiling, and then goes on until it is told to end.

    A ceiling that is passed from the beginning is told of and not kept: what leaks is what grows.
    """
    if (held := resident_bytes()) > ceiling:
        running.tell("memory_ceiling_too_low", {"ceiling_bytes": ceiling, "held_bytes": held})
        return
    while (held := resident_bytes()) <= ceiling:  # noqa: ASYNC110 - the kernel tells of it to nobody
        await asyncio.sleep(LOOK_S)
    running.tell("memory_ceiling_passed", {"ceiling_bytes": ceiling, "held_bytes": held})
    relieve()


def resident_bytes() -> int:
    """The memory of this process, what it shares with others included."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
