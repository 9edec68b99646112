"""A language model behind an OpenAI-compatible endpoint: one question, one bounded answer, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from headrace import DeadlineExceeded, InvalidConfiguration, Overloaded, ServiceFailed

LARGEST_ANSWER = 256 * 1024
CONNECT_S = 3.0
MOST_CONNECTIONS = 32
_BUSY = frozenset({429, 503})
_REMEDY = "Check url, model and api_key in [services.summarizer]."


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class Usage(msgspec.Struct, frozen=True):
    """How many tokens a model read and wrote, as its host counts them; 0 where it does not."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(slots=True)
class LanguageModel:
    """`url` is the base of the API, such as `http://127.0.0.1:8080/v1`; connections to it are kept and shared.

    Used from one event loop at a time. Its connections are closed when that loop ends.
    """

    url: str
    name: str
    api_key: str = field(default="", repr=False)
    _client: httpx.AsyncClient | None = field(default=None, init=False, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)
    _keeper: asyncio.Task[None] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InvalidConfiguration(
                f"[services.summarizer] url = {self.url!r} is no web address.",
                remedy='Write the base of the API, as "http://127.0.0.1:8080/v1".',
            )

    async def answer(
        self, messages: Sequence[dict[str, str]], *, most_tokens: int, timeout_s: float
    ) -> tuple[str, Usage]:
        """What the model says to `messages`, each with `role` and `content`, empty when it says nothing; and its usage.

        Raises:
            DeadlineExceeded: it took longer than `timeout_s`.
            Overloaded: its host takes no more work now.
            ServiceFailed: its host cannot be reached, refuses, or answers what is no completion.
        """
        question = {"model": self.name, "messages": list(messages), "max_tokens": most_tokens, "temperature": 0}
        try:
            async with asyncio.timeout(timeout_s):
                content = await self._content(await self._connected(), question)
        except TimeoutError as late:
            raise DeadlineExceeded(f"The language model did not answer within {timeout_s:.1f} s.") from late
        except httpx.HTTPError as failure:
            raise ServiceFailed(
                f"The language model at {self.url} cannot be asked: {failure or type(failure).__name__}.",
                remedy=_REMEDY,
            ) from failure
        try:
            completion = msgspec.json.decode(content, type=_Completion)
        except (msgspec.DecodeError, UnicodeDecodeError) as broken:
            raise ServiceFailed(f"{self.url} answered what is no completion: {broken}.", remedy=_REMEDY) from broken
        said = (completion.choices[0].message.content or "") if completion.choices else ""
        return said, _usage(completion.usage)

    async def _content(self, client: httpx.AsyncClient, question: dict[str, Any]) -> bytes:
        async with client.stream("POST", "chat/completions", json=question) as response:
            if response.status_code in _BUSY:
                raise Overloaded(f"The language model answers {response.status_code}: too busy.")
            if response.status_code != httpx.codes.OK:
                raise ServiceFailed(f"The language model answers {response.status_code}.", remedy=_REMEDY)
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > LARGEST_ANSWER:
                    raise ServiceFailed(f"The language model's answer is longer than {LARGEST_ANSWER} bytes.")
                parts.append(part)
        return b"".join(parts)

    async def _connected(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new_client(), loop
            # Whoever ends the loop cancels its tasks, and with this one the connections are closed in their own loop.
            self._keeper = loop.create_task(_kept(self._client))
        return self._client

    def _new_client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return httpx.AsyncClient(
            base_url=self.url.rstrip("/") + "/",
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
        )


def _usage(told: msgspec.Raw) -> Usage:
    """The usage in an answer. Hosts that count in a way of their own are no reason to do without what they wrote."""
    try:
        usage = msgspec.json.decode(told, type=Usage, strict=False)
    except msgspec.DecodeError:
        return Usage()
    return usage if min(usage.prompt_tokens, usage.completion_tokens) >= 0 else Usage()


async def _kept(client: httpx.AsyncClient) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await client.aclose()
