"""Binding: which release answers a job: the one it was submitted to, wherever a worker can still load that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from time import monotonic
from typing import ClassVar

from headrace.assembly.platform import Running
from headrace.assembly.releases import record_of
from headrace.domain.job import Job
from headrace.domain.release import Release, Variant
from headrace.errors import HeadraceError, InvalidConfiguration, NotFound, UnreadableArtifact
from headrace.jobs.attempt import LeftToOthers, Work
from headrace.jobs.colleagues import Colleagues
from headrace.serving.endpoint import Endpoint

EARLIER = "earlier"
"""The variant in the decisions of jobs whose release serves no more."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 4.0
RETURNS_A_SECOND = 100
"""A long queue of jobs for others costs this worker no more looks than that."""
REMEMBERED = 64


class ReleaseGone(HeadraceError):
    """The release that a job was submitted to cannot answer any more, and no other is to answer in its place."""

    code: ClassVar[str] = "release_gone"


class Returns:
    """When jobs that are left to others may come back: later each time, and one after the other."""

    def __init__(self, *, ticking: Callable[[], float] = monotonic) -> None:
        self._ticking = ticking
        self._last = 0.0

    def wait_s(self, number: int) -> float:
        """Seconds until the job whose attempt `number` was left is looked at again."""
        now = self._ticking()
        alone = now + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(number - 1, 10))
        self._last = max(alone, self._last + 1 / RETURNS_A_SECOND)
        return self._last - now


class Binding:
    """Fixes the release of each attempt at a job before anything of it is answered.

    In this order: the job's own, where it serves or can be loaded; left to `colleagues`, where one of them answers by
    its code; the same by the code that runs here, where nothing but the code has changed; and if `rebinds`, the one
    that serves. A job is bound anew as a whole: what the earlier release has finished of it is not used.
    """

    def __init__(self, running: Running, colleagues: Colleagues, *, rebinds: bool) -> None:
        self._running = running
        self._colleagues = colleagues
        self._rebinds = rebinds
        self._returns = Returns()
        self._by_this_code = lru_cache(maxsize=REMEMBERED)(self._successor)

    @asynccontextmanager
    async def bound(self, endpoint: Endpoint, work: Work) -> AsyncIterator[Variant]:
        """Who answers, loaded while inside.

        Raises:
            LeftToOthers: another worker can answer the job by the release that it has.
            ReleaseGone: nobody can, and none is to answer in its place.
            LeaseLost: the attempt is over.
        """
        job = work.job
        serving = serving_variant(endpoint, job)
        if job.release == serving.release:
            yield serving
            return
        async with AsyncExitStack() as stack:
            earlier = await asyncio.to_thread(self._known, job)
            reason = await self._borrowed(stack, earlier)
            if not reason:
                yield Variant(job.release, EARLIER)
                return
            if earlier is not None and await self._colleagues.can_answer(earlier.code):
                raise LeftToOthers(
                    f"Another worker has the release {job.release[:19]}.",
                    wait_s=self._returns.wait_s(work.number),
                )
            variant = await self._another(stack, earlier, serving)
            if variant is None:
                raise _gone(job, reason)
            await work.rebind(variant.release)
            self._running.tell("job_rebound", {"job_id": job.id, "from": job.release, "to": variant.release})
            yield variant

    def _known(self, job: Job) -> Release | None:
        record = self._running.stores.releases.find(job.release) if job.release else None
        return None if record is None or record.release.id != job.release else record.release

    async def _borrowed(self, stack: AsyncExitStack, release: Release | None) -> str:
        """Why the release cannot be loaded; empty when it is."""
        if release is None:
            return "It is not known here."
        try:
            await stack.enter_async_context(self._running.loaded.borrowed(release))
        except (InvalidConfiguration, UnreadableArtifact, NotFound) as failure:
            return str(failure)
        return ""

    async def _another(self, stack: AsyncExitStack, earlier: Release | None, serving: Variant) -> Variant | None:
        same = None if earlier is None else await asyncio.to_thread(self._by_this_code, earlier.id)
        if same is not None and same.id != serving.release and not await self._borrowed(stack, same):
            return Variant(same.id, EARLIER)
        is_same = same is not None and same.id == serving.release
        return serving if is_same or self._rebinds else None

    def _successor(self, release_id: str) -> Release | None:
        """The release that differs from the named one in its code alone, and can be named here; known from then on."""
        record = self._running.stores.releases.find(release_id)
        if record is None:
            return None
        try:
            found = self._running.planner.by_this_code(record.release)
        except (InvalidConfiguration, UnreadableArtifact, NotFound):
            return None
        if found is not None:
            self._running.stores.releases.add(record_of(found))
        return found


def serving_variant(endpoint: Endpoint, job: Job) -> Variant:
    """Who would answer the job if it came in now."""
    return endpoint.variant_of(job.request.variant_key or job.input_digest, job.input_digest)


def _gone(job: Job, reason: str) -> ReleaseGone:
    return ReleaseGone(
        f"The release {job.release[:19]}, which the job was submitted to, answers no more. {reason}",
        remedy='Retry the job: what serves now answers it then, or at once where [jobs] release_gone = "rebind".',
    )
