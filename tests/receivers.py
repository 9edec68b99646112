"""Receivers of webhooks on loopback, for tests: kind, silent and endless ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def receiver(answer: Callable[[asyncio.StreamWriter], AsyncIterator[None]]) -> AsyncIterator:
    """A receiver on loopback that reads one request, keeps it, and answers as told."""
    requests: list[tuple[dict[str, str], bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}
        requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
        try:
            async for _ in answer(writer):
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://receiver.example:{server.sockets[0].getsockname()[1]}/hook", requests
    finally:
        server.close()


def answering(status: str, *headers: str, body: bytes = b"thanks"):
    async def answer(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        yield

    return answer


async def endless(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        yield


async def silent(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    await asyncio.sleep(30)
    yield
