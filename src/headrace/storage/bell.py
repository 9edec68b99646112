"""Bell: wakes those who wait for changes of the store, within this process and across processes, without polling.

A ring may be heard for nothing and may, rarely, be lost: who waits looks itself now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

EVERYTHING = "*"
LONGEST_RING = 7000
CHANNEL = "headrace_jobs"


class Ear:
    """One who waits, on an event loop; rung from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wakes who waits, or who waits next."""
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)

    async def rung(self, *, timeout_s: float) -> bool:
        """True as soon as it was rung since the last call; False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Bell:
    """A bell of one process; those that reach others build on it."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = defaultdict(set)
        self._lock = Lock()

    @contextmanager
    def listening(self, topic: str) -> Iterator[Ear]:
        """Hears of `topic` while inside."""
        ear = Ear(asyncio.get_running_loop())
        with self._lock:
            self._ears[topic].add(ear)
        try:
            self._begin_to_hear()
            yield ear
        finally:
            with self._lock:
                self._ears[topic].discard(ear)
                if not self._ears[topic]:
                    del self._ears[topic]

    def ring(self, topics: Iterable[str]) -> None:
        """Wakes all who listen to one of `topics`; never waits for them."""
        wanted = set(topics)
        if wanted:
            self._wake(wanted)
            self._tell_others(wanted)

    def close(self) -> None:
        """Gives back what it took; safe to call twice."""

    def _wake(self, topics: set[str]) -> None:
        with self._lock:
            if EVERYTHING in topics:
                ears = [ear for each in self._ears.values() for ear in each]
            else:
                ears = [ear for topic in topics for ear in self._ears.get(topic, ())]
        for ear in ears:
            ear.ring()

    def _begin_to_hear(self) -> None:
        return

    def _tell_others(self, topics: set[str]) -> None:  # noqa: ARG002 - there are no others
        return


class SocketBell(Bell):
    """Reaches the processes of one machine through datagram sockets in a folder beside the database."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Paths of sockets are at most 107 bytes; the way over a descriptor is short wherever the folder lies.
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._name = f"{os.getpid()}-{token_hex(4)}"
        self._own: socket.socket | None = None
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)
        self._others: list[str] = []
        self._seen_at = -1

    def close(self) -> None:
        """Takes its socket away."""
        with self._lock:
            own, self._own = self._own, None
            if own is not None:
                (self._folder / self._name).unlink(missing_ok=True)
                own.shutdown(socket.SHUT_RDWR)
                own.close()
            if self._descriptor >= 0:
                self._out.close()
                os.close(self._descriptor)
                self._descriptor = -1

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def _begin_to_hear(self) -> None:
        with self._lock:
            if self._own is not None or self._descriptor < 0:
                return
            own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                own.bind(self._path(self._name))
            except OSError:
                # A folder that can hold no sockets: its processes look themselves now and then.
                own.close()
                return
            self._own = own
        Thread(target=self._hear, args=(own,), name="bell", daemon=True).start()

    def _hear(self, own: socket.socket) -> None:
        while True:
            try:
                rung = own.recv(1 << 16)
            except OSError:
                return
            if not rung and self._own is not own:
                return
            self._wake(set(rung.decode(errors="replace").split("\n")))

    def _tell_others(self, topics: set[str]) -> None:
        if self._descriptor < 0:
            return
        ring = _ring(topics).encode()
        # A folder that was taken away under us has no neighbours: they find changes by looking.
        neighbours: list[str] = []
        with contextlib.suppress(OSError):
            neighbours = self._neighbours()
        for name in neighbours:
            try:
                self._out.sendto(ring, self._path(name))
            except ConnectionRefusedError:
                # Whoever made it is gone without taking it along.
                (self._folder / name).unlink(missing_ok=True)
            except OSError:
                # Its buffer is full: it has been rung for already. Or it went away this moment.
                continue

    def _neighbours(self) -> list[str]:
        changed_at = os.fstat(self._descriptor).st_mtime_ns
        if changed_at != self._seen_at:
            self._others = [each.name for each in self._folder.iterdir() if each.name != self._name]
            self._seen_at = changed_at
        return self._others


class PostgresBell(Bell):
    """Reaches all processes that use one Postgres database, by LISTEN and NOTIFY."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        # Notifications are read from the driver itself, whose errors nobody wraps.
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._ending = Event()
        self._thread: Thread | None = None

    def close(self) -> None:
        """Ends its thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _begin_to_hear(self) -> None:
        with self._lock:
            if self._thread is not None or self._ending.is_set():
                return
            self._thread = Thread(target=self._hear, name="bell", daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        while not self._ending.is_set():
            try:
                self._hear_while_connected()
            # A cut connection is made anew; what was missed meanwhile is found by looking.
            except (SQLAlchemyError, self._driver_error):
                self._wake({EVERYTHING})
                self._ending.wait(1.0)

    def _hear_while_connected(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"LISTEN {CHANNEL}"))
            driver: Any = connection.connection.driver_connection
            try:
                while not self._ending.is_set():
                    for each in driver.notifies(timeout=0.5, stop_after=1):
                        self._wake(set(each.payload.split("\n")))
                    if driver.closed:
                        break
            finally:
                # It has listened: nobody else gets this connection from the pool.
                connection.invalidate()

    def _tell_others(self, topics: set[str]) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(
                    text("SELECT pg_notify(:channel, :ring)"), {"channel": CHANNEL, "ring": _ring(topics)}
                )
        except SQLAlchemyError:
            # The change is kept; those who wait find it by looking.
            return


def _ring(topics: set[str]) -> str:
    told = "\n".join(topics)
    return told if len(told) <= LONGEST_RING else EVERYTHING
