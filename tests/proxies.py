"""A way to a server that fails as networks do: it stops in the middle of a frame, is cut, or brings what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Carries bytes both ways to the server at `port`; `url` leads to it by this way.

    What the server says is held back from its byte `hold_from` on, counted over all connections, until `release`. While
    it `is_deaf` nothing of what clients say is read.
    """

    def __init__(self, port: int) -> None:
        self.hold_from: int | None = None
        self.said = 0
        self.holds = asyncio.Event()
        self.is_deaf = False
        self._port = port
        self._released = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._clients: list[asyncio.StreamWriter] = []

    def hold(self) -> None:
        """Brings nothing that the server says from now on."""
        self.hold_from = self.said

    def release(self) -> None:
        """Brings what was held back, and all that follows."""
        self.hold_from = None
        self._released.set()

    def cut(self) -> None:
        """Ends all connections at once."""
        for writer in self._writers:
            writer.transport.abort()

    def say(self, message: bytes) -> None:
        """To every client, as if the server had said it."""
        for client in self._clients:
            client.write(message)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        self._clients.append(writer)
        await asyncio.gather(self._to_server(reader, back), self._to_client(there, writer))

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65_536):
                if self.is_deaf:
                    await self._released.wait()
                writer.write(said)
        writer.close()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65_536):
                before, self.said = self.said, self.said + len(said)
                if self.hold_from is not None and self.said > self.hold_from:
                    free = max(0, self.hold_from - before)
                    writer.write(said[:free])
                    said = said[free:]
                    self.holds.set()
                    await self._released.wait()
                writer.write(said)
        writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[tuple[Proxy, int]]:
    """A proxy, and the port that it listens at."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        proxy.release()
        proxy.cut()
        server.close()
