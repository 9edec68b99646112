"""The application that the benchmarks of jobs run: naps, poison, and documents of many pages.

Every run of a job leaves a line in the file that `MILL_LOG` names, which a kill cannot take back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from headrace import Guard, Service, checkpointed, current_context, pipeline, report_progress
from headrace.assembly import Platform

PAGE_S = 1.0


@dataclass(frozen=True, slots=True)
class Nap:
    """How long to sleep; `name` tells jobs apart, `poison` ends the process instead."""

    name: str
    seconds: float = 0.0
    poison: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """A document of `pages` pages."""

    name: str
    pages: int


class PageReader(Service):
    """Reads page by page in a guarded process, as documents are read."""

    guard = Guard()

    async def read(self, book: Book) -> list[str]:
        """The text of each page; a page that an earlier attempt finished is not computed again."""
        pages = []
        for number in range(1, book.pages + 1):
            pages.append(checkpointed(f"page {number}", str, lambda number=number: _page(number)))
            report_progress("read", number, book.pages)
        return pages


@pipeline
class Mill:
    """What the benchmarks grind."""

    def __init__(self) -> None:
        self.reader = PageReader()

    async def nap(self, nap: Nap) -> str:
        """Sleeps, or ends its process."""
        note(f"nap {nap.name}")
        if nap.poison:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(nap.seconds)
        return nap.name

    async def read(self, book: Book) -> int:
        """How many pages it has."""
        note(f"book {book.name}")
        return len(await self.reader.read(book))


def note(line: str) -> None:
    """Adds a line to the log, in one write."""
    if path := os.environ.get("MILL_LOG"):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line} {os.getpid()}\n".encode())
        os.close(descriptor)


def _page(number: int) -> str:
    # The guarded process sees no file but its own: that a page was begun is told as progress.
    report_progress(f"page {number} begun", number - 1, number)
    time.sleep(PAGE_S)
    return f"The text of page {number}, release {current_context().release}."


app = Platform(Mill)


def noted(path: Path) -> list[str]:
    """The lines of a log."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
