"""Releases: the versions of pipelines that answer in this process, side by side, sharing what is the same in them."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.release import Release
from headrace.errors import NotFound, Overloaded, Unavailable
from headrace.serving.context import current_context
from headrace.serving.pool import Pool
from headrace.serving.runtime import Health, ReplicaState
from headrace.serving.service import Method


@dataclass(frozen=True, slots=True)
class PlannedPool:
    """How one service of a release is served: `key` says all that decides about its answers, `make` builds its pool.

    Two releases whose keys are equal share the pool. `size_bytes` is what it adds to the memory of this process.
    """

    key: str
    make: Callable[[], Pool]
    size_bytes: int


@dataclass(slots=True, eq=False)
class _Part:
    key: str
    pool: Pool
    size_bytes: int
    users: set[str] = field(default_factory=set)


class Releases:
    """Loads releases, keeps them warm while they are wanted, and closes what nobody uses any more.

    A release is loaded as a whole or not at all: when a part of it does not load or warm up, it never gets a request,
    and what it shares with others goes on. An unloaded release ends its requests first. Its parts stay warm up to
    `bound_bytes` in all, the least recently used ones going first.
    """

    def __init__(self, plan: Callable[[Release], Mapping[str, PlannedPool]], *, bound_bytes: int = 0) -> None:
        self._plan = plan
        self._bound_bytes = bound_bytes
        self._loaded: dict[str, tuple[Release, dict[str, _Part]]] = {}
        self._leaving: dict[str, asyncio.Event] = {}
        self._in_flight: Counter[str] = Counter()
        self._wanted: set[str] = set()
        self._borrowed: Counter[str] = Counter()
        self._parts: OrderedDict[str, _Part] = OrderedDict()
        self._defaults: dict[str, str] = {}
        self._distrusted: dict[str, str] = {}
        self._changing = asyncio.Lock()

    def __iter__(self) -> Iterator[Release]:
        return iter([release for release, _ in self._loaded.values()])

    def __contains__(self, release_id: object) -> bool:
        return release_id in self._loaded and release_id not in self._leaving

    async def load(self, release: Release) -> None:
        """Returns when every service of `release` is warm; it stays until it is unloaded. Safe to call twice.

        Raises:
            UnreadableArtifact: a model's files are not what was registered.
            InvalidConfiguration: it was made by other code, or for other services.
            HeadraceError: what loading or warming up raised; nothing of it is left behind.
        """
        await self._load(release)
        self._wanted.add(release.id)

    async def unload(self, release_id: str, *, within_s: float = 120.0) -> None:
        """Takes no new request for it, lets those in flight end, and lets go of its parts. Safe to call twice."""
        self._wanted.discard(release_id)
        if not self._borrowed[release_id]:
            await self._unload(release_id, within_s)

    @asynccontextmanager
    async def borrowed(self, release: Release) -> AsyncIterator[None]:
        """Loaded while inside, and after that only where it was loaded for others too; raises as `load` does."""
        self._borrowed[release.id] += 1
        try:
            await self._load(release)
            yield
        finally:
            self._borrowed[release.id] -= 1
            if not self._borrowed[release.id] and release.id not in self._wanted:
                del self._borrowed[release.id]
                await self._unload(release.id, 120.0)

    async def _load(self, release: Release) -> None:
        async with self._changing:
            self._leaving.pop(release.id, None)
            if release.id in self._loaded:
                return
            planned = await asyncio.to_thread(self._plan, release)
            parts = await self._started(planned)
            for part in parts.values():
                part.users.add(release.id)
                self._parts[part.key] = part
                self._parts.move_to_end(part.key)
            self._loaded[release.id] = (release, parts)
            for name in parts:
                self._defaults.setdefault(name, release.id)
            await self._evict()

    async def _unload(self, release_id: str, within_s: float) -> None:
        if release_id not in self._loaded:
            return
        empty = self._leaving.setdefault(release_id, asyncio.Event())
        if not self._in_flight[release_id]:
            empty.set()
        try:
            async with asyncio.timeout(within_s):
                await empty.wait()
        except TimeoutError:
            # What still runs is cut off: its caller is told, and nothing waits on it for ever.
            pass
        async with self._changing:
            if self._leaving.pop(release_id, None) is None:
                return  # it was wanted again meanwhile
            _, parts = self._loaded.pop(release_id)
            for name, part in parts.items():
                part.users.discard(release_id)
                if self._defaults.get(name) == release_id:
                    self._defaults[name] = next((each for each, (_, own) in self._loaded.items() if name in own), "")
            await self._evict()

    def make_default(self, release_id: str) -> None:
        """From now on calls outside any request go to the services of this release."""
        _, parts = self._loaded[release_id]
        for name in parts:
            self._defaults[name] = release_id

    def distrust(self, release_id: str, why: str) -> None:
        """Until this process ends the release answers nothing: what it would answer is not what was registered."""
        self._distrusted[release_id] = why

    def held(self, release_id: str) -> AbstractContextManager[None]:
        """Keeps a release loaded while a request is answered by it; raises `Overloaded` when it is not loaded."""
        return _Hold(self, release_id)

    def take_hold(self, release_id: str) -> None:
        """Counts a request that is answered by the release.

        Raises:
            Overloaded: it is not loaded.
            Unavailable: its files were changed under it.
        """
        if release_id not in self:
            raise Overloaded(f"The release {release_id[:19]} is not loaded here.", remedy="Ask again in a moment.")
        if release_id in self._distrusted:
            raise Unavailable(self._distrusted[release_id], remedy="Register the model again, and restart.")
        self._in_flight[release_id] += 1

    def let_go(self, release_id: str) -> None:
        """The request is answered; a release that is leaving goes with its last one."""
        left = self._in_flight[release_id] - 1
        if left:
            self._in_flight[release_id] = left
            return
        del self._in_flight[release_id]
        if release_id in self._leaving:
            self._leaving[release_id].set()

    def pool(self, service: str, release_id: str = "") -> Pool:
        """Who answers for `service` within a release; without one, the pool of the default release."""
        loaded = self._loaded.get(release_id or self._defaults.get(service, ""))
        if loaded is None or service not in loaded[1]:
            raise NotFound(f"{service} of the release {release_id[:19] or '(none)'} is not loaded here.")
        return loaded[1][service].pool

    def distrust_of(self, service: str) -> str:
        """Why the release that answers for `service` by default is not trusted; nothing where it is."""
        return self._distrusted.get(self._defaults.get(service, ""), "")

    def pools(self, service: str) -> list[Pool]:
        """All pools that stand behind `service`, each once."""
        found = {id(own[service].pool): own[service].pool for _, own in self._loaded.values() if service in own}
        return list(found.values())

    @property
    def size_bytes(self) -> int:
        """What all parts hold, used or only kept warm."""
        return sum(part.size_bytes for part in self._parts.values())

    async def close(self) -> None:
        """Ends all pools, the last one first; safe to call twice."""
        async with self._changing:
            self._loaded.clear()
            self._leaving.clear()
            for part in reversed(self._parts.values()):
                await part.pool.close()
            self._parts.clear()

    async def _started(self, planned: Mapping[str, PlannedPool]) -> dict[str, _Part]:
        parts: dict[str, _Part] = {}
        fresh: dict[str, _Part] = {}
        for name, plan in planned.items():
            known = self._parts.get(plan.key) or fresh.get(plan.key)
            if known is None:
                pool = await asyncio.to_thread(plan.make)
                known = fresh[plan.key] = _Part(plan.key, pool, plan.size_bytes)
            parts[name] = known
        try:
            await _all_or_none([part.pool.start() for part in fresh.values()])
        except BaseException:
            await asyncio.gather(*(part.pool.close() for part in fresh.values()), return_exceptions=True)
            raise
        return parts

    async def _evict(self) -> None:
        """Closes unused parts, the least recently used first, until the rest fits."""
        unused = [part for part in self._parts.values() if not part.users]
        for part in unused:
            if sum(each.size_bytes for each in self._parts.values() if not each.users) <= self._bound_bytes:
                return
            del self._parts[part.key]
            await part.pool.close()


class _Hold(AbstractContextManager[None]):
    """A hold on a release, while inside."""

    __slots__ = ("_release_id", "_releases")

    def __init__(self, releases: Releases, release_id: str) -> None:
        self._releases = releases
        self._release_id = release_id

    def __enter__(self) -> None:
        self._releases.take_hold(self._release_id)

    def __exit__(self, *_: object) -> None:
        self._releases.let_go(self._release_id)


class Switch:
    """The binding of a service on a platform: each call goes to the pool of its request's release."""

    def __init__(self, name: str, releases: Releases) -> None:
        self.name = name
        self._releases = releases

    def call(self, method: Method, question: object) -> Coroutine[Any, Any, Any]:
        """The answer of the release that was fixed when the request came in."""
        return self._releases.pool(self.name, current_context().release).call(method, question)

    @property
    def model(self) -> str | None:
        """The digest of the model that answers by default."""
        return self._releases.pool(self.name).model

    def health(self) -> Health:
        """How the replicas are, those of all releases together; ready while those of the default are."""
        default = self._releases.pool(self.name).health()
        others = [pool.health() for pool in self._releases.pools(self.name)]
        distrust = self._releases.distrust_of(self.name)
        return Health(
            state=ReplicaState.STOPPED if distrust else default.state,
            replicas=sum(each.replicas for each in others),
            queued=sum(each.queued for each in others),
            restarts=sum(each.restarts for each in others),
            protections=default.protections,
            detail=distrust or next((each.detail for each in others if each.detail), ""),
            open_breakers=sum(each.open_breakers for each in others),
            retries=sum(each.retries for each in others),
        )

    @property
    def is_ready(self) -> bool:
        """Whether the default release can answer."""
        return self.health().state is ReplicaState.READY


async def _all_or_none(starts: Sequence[Awaitable[None]]) -> None:
    """Waits for all, so that none is left half begun, then raises the first error."""
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
