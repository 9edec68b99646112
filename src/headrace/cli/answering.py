"""Where answers come from: the pipeline in this process, or a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import msgspec

from headrace.assembly import Running
from headrace.errors import InvalidConfiguration, Overloaded
from headrace.serving.answered import digest_of
from headrace.serving.context import Context, Priority
from headrace.serving.endpoint import Endpoint
from headrace.serving.upload import Upload

TRIES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the JSON as it was sent, `fields` the same as values; offsets in it count characters of `text`."""

    body: bytes
    fields: dict[str, Any]
    text: str


class Answering(Protocol):
    """Answers documents."""

    async def answer(self, upload: Upload) -> Answer:
        """The answer; raises `HeadraceError` when there is none."""
        ...


class AnsweringHere:
    """By a platform that runs in this process."""

    def __init__(self, running: Running) -> None:
        self._endpoint = only_endpoint(running)
        self._budget_s = running.settings.limits.request_seconds

    async def answer(self, upload: Upload) -> Answer:
        """The answer, recorded as any other."""
        question = self._endpoint.argument.from_upload(upload)
        context = Context(deadline=monotonic() + self._budget_s, priority=Priority.BATCH)
        answered = await self._endpoint.answer(question, context=context, input_digest=digest_of(upload.content))
        body = answered.body
        return Answer(body, msgspec.json.decode(body), answered.decision.text or "")


def only_endpoint(running: Running) -> Endpoint:
    """The one endpoint that takes documents; raises `InvalidConfiguration` when there is none or are several."""
    found = [endpoint for endpoint in running.endpoints.values() if hasattr(endpoint.argument, "from_upload")]
    if len(found) != 1:
        paths = ", ".join(endpoint.path for endpoint in found) or "none"
        raise InvalidConfiguration(
            f"The application has to have one endpoint that takes files, and has {paths}.", remedy="Name another one."
        )
    return found[0]


async def patiently(answering: Answering, upload: Upload) -> Answer:
    """The answer, asked for again when there was too much to do; as often as makes sense."""
    for _ in range(TRIES - 1):
        try:
            return await answering.answer(upload)
        except Overloaded as busy:
            await asyncio.sleep(busy.retry_after_s)
    return await answering.answer(upload)
