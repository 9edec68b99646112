"""Server: the gateway at an address, in the event loop of whoever starts it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from email.utils import formatdate
from time import monotonic
from typing import Any

from headrace.gateway.app import Gateway
from headrace.gateway.connection import Connection
from headrace.gateway.exchange import Exchange
from headrace.gateway.place import BACKLOG, NOBODY, Place

LOOK_EVERY_S = 1.0

LEAVE_S, FORGOTTEN_S = 3e-3, 0.05
"""So long a connection is left to a process that has fewer; so much later whoever comes is somebody else."""

FULL_S = 0.5
"""So long nobody is taken where no descriptor is left."""

AT_ONCE = 64
"""So many connections are taken before calls are gone on with."""


class Server:
    """Listens at a place; the processes of one server that share it divide its connections, each from its own `seat`.

    A connection goes to a process that has no more of those in use than others, or, where such a one does not take it
    soon, to any.
    """

    def __init__(self, gateway: Gateway, place: Place, *, seat: int = 0) -> None:
        self._gateway = gateway
        self._place = place
        self._seat = seat
        self._connections: set[Connection] = set()
        self._arrivals: set[asyncio.Task[Any]] = set()
        self._in_use = 0
        self._at_once, self._left_at = 1, 0.0
        self._loop: asyncio.AbstractEventLoop
        self._listening: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.date = _date()
        self.is_stopping = False

    async def start(self) -> None:
        """Returns when connections are taken."""
        self._loop = asyncio.get_running_loop()
        self._listening = self._place.listen()
        self._count(0)
        self._loop.add_reader(self._listening, self._hear)
        self._look()

    async def stop(self, *, within_s: float) -> bool:
        """Takes no new connections, lets the calls that came in end, and closes; False when they took too long."""
        if self._listening is None:
            return True
        self._loop.remove_reader(self._listening)
        if self._resting is not None:
            self._resting.cancel()
        # Who waits to be taken is left to the others, if there are any.
        self._place.tell(self._seat, NOBODY)
        if self._place.is_last(self._seat):
            self._take(BACKLOG)
        # What has come is read first: it may be calls, also on connections that look idle.
        await asyncio.gather(*self._arrivals, return_exceptions=True)
        await asyncio.sleep(0)
        self._listening, self.is_stopping = None, True
        self._place.tell(self._seat, NOBODY)
        self._place.close()
        for connection in list(self._connections):
            connection.stop()
        is_over = True
        try:
            async with asyncio.timeout(within_s):
                await self._is_empty.wait()
        except TimeoutError:
            is_over = False
        for connection in list(self._connections):
            connection.abort()
        if self._looking is not None:
            self._looking.cancel()
        return is_over

    def handle(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answers a call."""
        return self._gateway(exchange)

    def joined(self, connection: Connection) -> None:
        """A client has come."""
        self._connections.add(connection)
        self._is_empty.clear()

    def left(self, connection: Connection) -> None:
        """A client has gone."""
        self._connections.discard(connection)
        self._count(max(0, self._in_use - 1))
        if not self._connections:
            self._is_empty.set()

    def _hear(self) -> None:
        """Somebody has come, to this process or to another; called again and again while nobody takes who has come."""
        if not self._place.is_crowded(self._seat):
            self._at_once = 1
            self._take(AT_ONCE, is_shared=True)
            return
        now = monotonic()
        if now - self._left_at > FORGOTTEN_S:
            self._left_at = now
        if now - self._left_at >= LEAVE_S:
            # The others may hang: more is taken each time.
            self._left_at = now
            self._at_once = min(AT_ONCE, 2 * self._at_once)
            self._take(self._at_once)

    def _hear_again(self) -> None:
        if self._listening is not None:
            self._loop.add_reader(self._listening, self._hear)

    def _take(self, most: int, *, is_shared: bool = False) -> None:
        """Takes up to `most` connections; where they are shared, only while others have no fewer."""
        assert self._listening is not None
        for _ in range(most):
            try:
                client, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # There are no descriptors left: connections that end give some back.
                self._loop.remove_reader(self._listening)
                self._resting = self._loop.call_later(FULL_S, self._hear_again)
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._count(self._in_use + 1)
            arrival = self._loop.create_task(self._connected(client))
            self._arrivals.add(arrival)
            arrival.add_done_callback(self._arrivals.discard)
            if is_shared and self._place.is_crowded(self._seat):
                return

    async def _connected(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: Connection(self, self._loop), client)
        except OSError:
            # It has gone again.
            client.close()
            self._count(max(0, self._in_use - 1))

    def _count(self, in_use: int) -> None:
        self._in_use = in_use
        if self._listening is not None:
            self._place.tell(self._seat, in_use)

    def _look(self) -> None:
        """Looks after all connections at once: a timer for each would cost each call."""
        now, self.date = monotonic(), _date()
        for connection in list(self._connections):
            connection.look(now)
        # Those that nobody uses are nobody's load: a process that was replaced would get all that come.
        self._count(len(self._arrivals) + sum(each.is_in_use(now) for each in self._connections))
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)


def _date() -> str:
    """The header that says when an answer was made; good for a second."""
    return f"date: {formatdate(usegmt=True)}\r\n"
