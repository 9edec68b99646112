"""One host of the Open Inference Protocol: its connections, which are pooled, kept and looked after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from headrace.errors import InvalidConfiguration, ServiceFailed

HEADRACE = "headrace"
CONNECT_S, LOOK_S, LOOK_EVERY_S, USUAL_S, KEEP_S = 5.0, 2.0, 2.0, 300.0, 60.0


class _Metadata(msgspec.Struct):
    platform: str = ""
    versions: list[str] = []
    inputs: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Far:
    """Where a service is asked: its path, whether Headrace answers, and what a foreign host calls the input."""

    path: str = ""
    is_headrace: bool = False
    input_name: str = ""


class RemoteHost:
    """One address at which a service is asked. `model` is the digest that a Headrace there has to answer by."""

    def __init__(self, url: str, name: str, *, model: str | None, connections: int, key: str) -> None:
        self.url = url
        self.far = Far()
        self.in_flight = 0
        self.is_well = False
        self.detail = ""
        self._name = name
        self._model = model
        self._looking: asyncio.Task[None] | None = None
        try:
            self._client = httpx.AsyncClient(
                base_url=url,
                # Where TLS is spoken the two agree on HTTP/2; in the clear it is HTTP/1.1.
                http2=True,
                limits=httpx.Limits(
                    max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEP_S
                ),
                timeout=httpx.Timeout(USUAL_S, connect=CONNECT_S, pool=CONNECT_S),
                trust_env=False,
                headers={"authorization": f"Bearer {key}"} if key else {},
            )
        except httpx.InvalidURL as error:
            raise InvalidConfiguration(
                f"[services.{name}] url = {url!r} is no address: {error}.", remedy="Write http://host:port."
            ) from error

    async def start(self, *, within_s: float) -> None:
        """Waits until the service is ready there, learns who answers, and looks after it from now on.

        Raises:
            ServiceFailed: it is not ready in time, or answers by another model.
        """
        deadline = monotonic() + within_s
        path = f"/v2/models/{quote(self._name, safe='')}"
        while not await self._is_ready(path):
            if monotonic() >= deadline:
                raise ServiceFailed(
                    f"{self._name} at {self.url} is not ready after {within_s:g} s: {self.detail}.",
                    remedy=f"Start it with `headrace up --only service:{self._name}`, or mend [services] url.",
                )
            await asyncio.sleep(0.1)
        self.far = await self._met(path)
        self._looking = asyncio.create_task(self._look())

    async def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """The answer to one question; raises `httpx.HTTPError`."""
        self.in_flight += 1
        try:
            return await self._client.post(f"{self.far.path}/infer", content=body, headers=headers)
        except httpx.HTTPError as failure:
            self._note(failure)
            raise
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Closes all connections."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._client.aclose()

    async def _met(self, path: str) -> Far:
        try:
            response = await self._client.get(path)
            told = msgspec.json.decode(response.content, type=_Metadata)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ServiceFailed(
                f"{self.url} does not speak the Open Inference Protocol: {error or type(error).__name__}.",
                remedy="Mend [services] url.",
            ) from error
        if told.platform != HEADRACE:
            return Far(path, input_name=str(told.inputs[0].get("name", "")) if told.inputs else "")
        if self._model is None:
            return Far(path, is_headrace=True)
        if self._model not in told.versions:
            raise ServiceFailed(
                f"{self._name} at {self.url} answers by {', '.join(told.versions)[:80]}, not by {self._model}.",
                remedy="Give both the same models: the same [artifacts] url, then start it anew.",
            )
        return Far(f"{path}/versions/{quote(self._model, safe='')}", is_headrace=True)

    async def _is_ready(self, path: str) -> bool:
        try:
            async with asyncio.timeout(LOOK_S):
                response = await self._client.get(f"{path}/ready")
        except (TimeoutError, httpx.HTTPError) as failure:
            self._note(failure)
            return False
        self.is_well = response.is_success
        self.detail = "" if response.is_success else f"it says {response.status_code}"
        return self.is_well

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._is_ready(self.far.path)

    def _note(self, failure: Exception) -> None:
        self.is_well, self.detail = False, f"{type(failure).__name__} {failure}".strip()
