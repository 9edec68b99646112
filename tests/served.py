"""A gateway over a small platform, served on a free port of this machine, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import httpx
from authored import Echo

from headrace import Unreadable, Upload, pipeline
from headrace.assembly import Platform, Running
from headrace.assembly.gateway import gateway_of
from headrace.gateway.place import Place
from headrace.gateway.server import Server
from headrace.settings import load_settings
from headrace.storage.memory import MemoryDecisions


@dataclass(frozen=True, slots=True)
class Letter:
    content: bytes
    filename: str | None
    media_type: str | None

    @classmethod
    def from_upload(cls, upload: Upload) -> Letter:
        return cls(upload.content, upload.filename, upload.media_type)


@pipeline
class Mill:
    """A pipeline whose endpoints do what a test needs."""

    def __init__(self) -> None:
        self.echo = Echo()

    async def grind(self, corn: str) -> str:
        """Gives the corn back."""
        return await self.echo.echo(corn)

    async def measure(self, letter: Letter) -> dict[str, object]:
        """What came of a file; one of nothing but zeros is refused."""
        if not letter.content.strip(b"0"):
            raise Unreadable("It holds nothing.", remedy="Send another.")
        return {"size": len(letter.content), "filename": letter.filename, "media_type": letter.media_type}

    async def stumble(self, corn: str) -> str:
        """Fails in its service."""
        return await self.echo.stumble(corn)

    async def trip(self, corn: str) -> str:
        """Fails by itself."""
        raise KeyError(f"secret {corn}")

    async def linger(self, seconds: float) -> float:
        """Answers late."""
        await asyncio.sleep(seconds)
        return seconds


@dataclass(frozen=True, slots=True)
class Served:
    """What runs, what it told, where it is, and a client of it."""

    running: Running
    told: list[tuple[str, dict]]
    url: str
    client: httpx.AsyncClient
    server: Server


@asynccontextmanager
async def served(tmp_path, *, pipelines=(Mill,), checks=(), overrides=None) -> AsyncIterator[Served]:
    """All of it, ended on the way out."""
    told = []
    settings = load_settings(tmp_path, {}, {"data": str(tmp_path / "data")} | (overrides or {}))
    platform = Platform(*pipelines, checks=checks)
    with closing(Place("127.0.0.1", 0)) as place:
        async with platform.running(
            settings, decisions=MemoryDecisions(), tell=lambda event, facts: told.append((event, dict(facts)))
        ) as running:
            server = Server(gateway_of(running), place)
            await server.start()
            try:
                async with httpx.AsyncClient(base_url=place.url, timeout=30, trust_env=False) as client:
                    yield Served(running, told, place.url, client, server)
            finally:
                await server.stop(within_s=30)


class Background:
    """The mill, served from another thread for a client that blocks."""

    def __init__(self, folder, *, pipelines=(Mill,)) -> None:
        self._folder = folder
        self._pipelines = pipelines
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event
        self._is_up = threading.Event()
        self.url = ""
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        assert self._is_up.wait(60)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        async with served(self._folder, pipelines=self._pipelines) as it:
            self.url = it.url
            self._is_up.set()
            await self._stop.wait()
