"""Place: the address of a server, with one socket at which all its processes take connections."""

from __future__ import annotations

import errno
import mmap
import os
import socket

from headrace.errors import InvalidConfiguration

BACKLOG = 4096
NOBODY = -1


class PortUnavailable(InvalidConfiguration):
    """The address cannot be listened at."""

    code = "port_unavailable"


class Place:
    """An address that is ours from now on, port 0 being any free one.

    The processes that are forked from the one that made it share its socket: a connection waits for whichever takes it
    first, so none is lost with a process, and none waits for one that hangs. Each process has a seat, by number, where
    it says how many connections it has, so that they can be divided evenly.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.seat(1)

    @property
    def url(self) -> str:
        """Where to call."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def seat(self, processes: int) -> None:
        """Makes a seat for each of so many processes, before they are forked."""
        self._connections = memoryview(mmap.mmap(-1, 8 * processes)).cast("q")
        for number in range(processes):
            self._connections[number] = NOBODY

    def listen(self) -> socket.socket:
        """The socket, at which clients are heard from now on; it never blocks.

        Raises:
            PortUnavailable: another server began to listen at the address meanwhile.
        """
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise _unavailable(self.host, self.port, error) from error
        self._socket.setblocking(False)
        return self._socket

    def tell(self, seat: int, connections: int) -> None:
        """Says how many connections the process at `seat` has; `NOBODY` when it takes no more."""
        self._connections[seat] = connections

    def is_crowded(self, seat: int) -> bool:
        """Whether another process that takes connections has fewer, by more than one."""
        fewer = self._connections[seat] - 1
        return any(NOBODY < other < fewer for other in self._connections)

    def is_last(self, seat: int) -> bool:
        """Whether no other process takes connections."""
        return all(other == NOBODY for number, other in enumerate(self._connections) if number != seat)

    def close(self) -> None:
        """Gives the address back, once all processes have; safe to call twice."""
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(_family(host, port), socket.SOCK_STREAM)
    # What is left of connections of an earlier server does not stand in the way; another that listens does.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _unavailable(host, port, error) from error
    return bound


def _family(host: str, port: int) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except (OSError, UnicodeError) as error:
        raise PortUnavailable(
            f"{host!r} is no address of this machine: {error}.", remedy="Name another with --host."
        ) from error


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
