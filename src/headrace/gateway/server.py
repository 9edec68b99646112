"""Server: the gateway at an address, in the event loop of whoever starts it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Coroutine
from email.utils import formatdate
from time import monotonic
from typing import Any

from headrace.errors import InvalidConfiguration
from headrace.gateway.app import Gateway
from headrace.gateway.connection import Connection
from headrace.gateway.exchange import Exchange

BACKLOG = 4096
LOOK_EVERY_S = 1.0


class PortUnavailable(InvalidConfiguration):
    """The address cannot be listened at."""

    code = "port_unavailable"


class Server:
    """Listens at an address that may be shared: several processes that serve it divide its connections."""

    def __init__(self, gateway: Gateway, *, host: str, port: int) -> None:
        self._gateway = gateway
        self._address = host, port
        self._connections: set[Connection] = set()
        self._listening: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.date = _date()
        self.is_stopping = False

    async def start(self) -> None:
        """Returns when connections are taken."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        try:
            self._listening = await loop.create_server(
                lambda: Connection(self, loop), host, port, backlog=BACKLOG, reuse_port=True
            )
        except OSError as error:
            raise _unavailable(host, port, error) from error
        self._look(loop)

    async def stop(self, *, within_s: float) -> bool:
        """Takes no new connections, lets the calls that came in end, and closes; False when they took too long."""
        if self._listening is None:
            return True
        # What has come already is read first: it may be calls on connections that look idle.
        await asyncio.sleep(0)
        self._listening.close()
        self._listening, self.is_stopping = None, True
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
        if not self._connections:
            self._is_empty.set()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks after all connections at once: a timer for each would cost each call."""
        now, self.date = monotonic(), _date()
        for connection in list(self._connections):
            connection.look(now)
        self._looking = loop.call_later(LOOK_EVERY_S, self._look, loop)


def _date() -> str:
    """The header that says when an answer was made; good for a second."""
    return f"date: {formatdate(usegmt=True)}\r\n"


class Place:
    """An address that is ours from now on, port 0 being any free one; several processes may listen there with it."""

    def __init__(self, host: str, port: int) -> None:
        family = _family(host, port)
        if port:
            # Without SO_REUSEPORT this fails where anybody listens already, which the shared socket below would not.
            with _bound(family, host, port, is_shared=False):
                pass
        self._socket = _bound(family, host, port, is_shared=True)
        self.host = host
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Where to call."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """Gives the address back."""
        self._socket.close()


def _family(host: str, port: int) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except (OSError, UnicodeError) as error:
        raise PortUnavailable(
            f"{host!r} is no address of this machine: {error}.", remedy="Name another with --host."
        ) from error


def _bound(family: socket.AddressFamily, host: str, port: int, *, is_shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _unavailable(host, port, error) from error
    return bound


def _unavailable(host: str, port: int, error: Exception) -> PortUnavailable:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return PortUnavailable(
            f"Port {port} of {host} is taken.",
            remedy="Is `headrace up` running already? Otherwise choose another port with --port.",
        )
    if number == errno.EACCES:
        return PortUnavailable(f"Port {port} needs rights that you do not have.", remedy="Choose one above 1023.")
    if isinstance(error, OverflowError):
        return PortUnavailable(f"{port} is no port.", remedy="Choose one from 1 to 65535 with --port, or 0 for any.")
    reason = os.strerror(number) if number else str(error)
    return PortUnavailable(f"{host}:{port} cannot be listened at: {reason}.", remedy="Choose another address.")
