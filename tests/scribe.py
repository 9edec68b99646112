"""A host of a language model on loopback, for tests: it speaks the OpenAI completions protocol over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Scribe:
    """What it was asked, over how many connections; `answer` writes the whole response to a question."""

    answer: Callable[[dict, asyncio.StreamWriter], Awaitable[None]]
    url: str = ""
    questions: list[dict] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = next(int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line)
                question = json.loads(await reader.readexactly(size))
                assert head.startswith("POST /v1/chat/completions ")
                self.headers.append(head)
                self.questions.append(question)
                await self.answer(question, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scribe(answer) -> AsyncIterator[Scribe]:
    """A host that lives for the test; `answer` may be a text to say, or a coroutine that writes the response."""
    host = Scribe(saying(answer) if isinstance(answer, str) else answer)
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield host
    finally:
        server.close()


def response(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def completion(text: str, usage: object = None) -> bytes:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    told = {} if usage is None else {"usage": usage}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [message], **told}).encode()


def saying(text: str):
    async def answer(_question: dict, writer: asyncio.StreamWriter) -> None:
        writer.write(response(completion(text)))

    return answer


def failing(status: str):
    async def answer(_question: dict, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"error": "no"}', status))

    return answer


def babbling(body: bytes):
    async def answer(_question: dict, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body))

    return answer


async def silent(_question: dict, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def endless(_question: dict, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()
