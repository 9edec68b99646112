"""Replay: the same question again, to the same release or to another, held against what was answered.

Each service answers again in the way in which it answered then, the best or a lesser one, or the replay fails: what a
server cannot do at the moment is no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec

from headrace.domain.columns import as_json
from headrace.domain.decision import Decision, answer_part
from headrace.domain.release import Difference, Release, Variant, differences
from headrace.errors import Conflict, NotFound, UnreadableArtifact
from headrace.serving.answered import Answered, digest_of
from headrace.serving.context import Context, Degraded, Priority
from headrace.serving.endpoint import Endpoint
from headrace.serving.keeping import LOST
from headrace.serving.releases import Releases
from headrace.serving.wire import Codec

VARIANT = "replay"


@dataclass(frozen=True, slots=True)
class Replay:
    """`identical`: the answer is the same byte for byte, ids and timings aside. `body` is the new answer as sent."""

    decision_id: str
    release: str
    identical: bool
    differences: tuple[Difference, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Archive:
    """Where what is needed to answer again is looked up; all of it blocks."""

    decision: Callable[[str], Decision | None]
    release: Callable[[str], Release | None]
    blob: Callable[[str], bytes]


class Replayer:
    """Answers stored decisions again; neither recorded nor counted, and after all who wait for an answer."""

    def __init__(self, archive: Archive, endpoints: Mapping[str, Endpoint], releases: Releases) -> None:
        self._archive = archive
        self._endpoints = endpoints
        self._releases = releases

    async def replay(
        self, decision_id: str, *, release_id: str | None = None, question: object = None, within_s: float = 300.0
    ) -> Replay:
        """The answer of the decision's own release, or of `release_id`, to the kept question, or to `question`.

        Raises:
            NotFound: there is no such decision, release, or endpoint, or its input was not kept.
            InvalidConfiguration: the release was made by other code than what runs here.
            UnreadableArtifact: the kept input, or a model, is not what it was.
            ServiceFailed, Overloaded, DeadlineExceeded: a service cannot answer now as it did then.
        """
        decision = await asyncio.to_thread(self._archive.decision, decision_id)
        if decision is None:
            raise NotFound(
                f"There is no decision {decision_id[:80]!r}.", remedy="Check its id; old ones are forgotten."
            )
        release = await self._release(release_id or decision.release)
        answered = await self._answered(decision, release, question=question, within_s=within_s)
        return _compared(decision, release.id, answered.body)

    async def explanation(self, decision: Decision, *, within_s: float = 300.0) -> bytes | None:
        """Why `decision` was made, as JSON; None where its endpoint gives no reasons.

        One that went with its process is made again by answering again.

        Raises:
            Conflict: the answer is not the same any more, so its reasons may not be either; or the input was not kept.
            NotFound, InvalidConfiguration, UnreadableArtifact: as `replay`.
        """
        if decision.explanation != LOST:
            return decision.explanation
        release = await self._release(decision.release)
        answered = await self._answered(decision, release, within_s=within_s)
        if not _compared(decision, release.id, answered.body).identical:
            raise Conflict(
                f"The explanation of the decision {decision.id} was lost, and a replay answers otherwise.",
                remedy="See what is different: headrace decisions replay.",
            )
        explanation = answered.explanation()
        return None if explanation is None else as_json(explanation, answered.decision.text)

    async def _answered(
        self, decision: Decision, release: Release, *, within_s: float, question: object = None
    ) -> Answered:
        endpoint = self._endpoints.get(decision.endpoint)
        if endpoint is None:
            raise NotFound(f"Nothing answers {decision.endpoint} any more.", remedy="Run the application it is of.")
        asked = await self._question(decision, endpoint) if question is None else question
        async with self._releases.borrowed(release):
            # What time or trouble took from the answer then is no difference between releases.
            retraced = [Degraded(each.service, each.reason, each.used) for each in decision.degraded]
            context = Context(deadline=monotonic() + within_s, priority=Priority.BATCH, retraced=retraced)
            return await endpoint.answer_as(
                Variant(release.id, VARIANT), asked, context=context, input_digest=decision.input_digest
            )

    async def _release(self, release_id: str) -> Release:
        found = await asyncio.to_thread(self._archive.release, release_id)
        if found is None:
            raise NotFound(
                f"The release {release_id[:80]!r} is not known here.",
                remedy="`headrace releases list` shows which are.",
            )
        return found

    async def _question(self, decision: Decision, endpoint: Endpoint) -> Any:
        encoded = decision.input
        if encoded is None and decision.input_blob is not None:
            encoded = await asyncio.to_thread(self._archive.blob, decision.input_blob)
        if encoded is None:
            raise Conflict(
                f"The input of the decision {decision.id} was not kept.",
                remedy='Give it again, or keep inputs from now on: [decisions] inputs = "full".',
            )
        try:
            return Codec(endpoint.argument).decode(encoded)
        except msgspec.DecodeError as broken:
            raise UnreadableArtifact(
                f"The input of the decision {decision.id} does not fit {decision.endpoint}: {broken}.",
                remedy="Its type has changed since: check out the commit of its release.",
            ) from broken


def _compared(decision: Decision, release_id: str, body: bytes) -> Replay:
    now, then = answer_part(body), answer_part(decision.body)
    identical = digest_of(now) == decision.answer_digest if decision.answer_digest else now == then
    found = () if identical else differences(msgspec.json.decode(then), msgspec.json.decode(now))
    # The nearest to the root come first: a label says more than the place of one word.
    ordered = sorted(found, key=lambda each: (each.path.count("."), each.path.count("["), each.path))
    return Replay(decision.id, release_id, identical, tuple(ordered), body)
