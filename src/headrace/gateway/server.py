"""Server: the gateway behind Granian, in the event loop of whoever starts it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as Granian

from headrace.errors import InvalidConfiguration, ServiceFailed
from headrace.gateway.app import Gateway

BACKLOG = 4096
MOST_CONNECTIONS = 65_536
HEADER_READ_MS = 15_000
START_S = 10.0


class PortUnavailable(InvalidConfiguration):
    """The address cannot be listened at."""

    code = "port_unavailable"


class Server:
    """Listens at an address that may be shared: several processes that serve it divide its connections."""

    def __init__(self, gateway: Gateway, *, host: str, port: int) -> None:
        self._granian: Any = Granian(
            gateway,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            websockets=False,
            backlog=BACKLOG,
            # Granian counts connections by it, and idle ones must not lock others out.
            backpressure=MOST_CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_MS),
            log_enabled=False,
        )
        self._address = host, port
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when connections are taken."""
        self._task = asyncio.create_task(self._granian.serve())
        async with asyncio.timeout(START_S):
            while not await self._is_listening():
                if self._task.done():
                    raise ServiceFailed("The HTTP server did not start.") from self._task.exception()
                await asyncio.sleep(0.005)

    async def stop(self, *, within_s: float) -> bool:
        """Takes no new connections, lets the calls that came in end, and closes; False when they took too long."""
        if self._task is None:
            return True
        self._granian.stop()
        done, _ = await asyncio.wait({self._task}, timeout=within_s)
        if not done:
            self._task.cancel()
        self._task = None
        return bool(done)

    async def _is_listening(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(*self._address)
        except OSError:
            return False
        writer.close()
        return True


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
