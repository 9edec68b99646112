"""Pool: the replicas of one service as its pipeline sees them; and the place of a service that nobody bound."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from types import MappingProxyType
from typing import Any

import msgspec

from headrace.errors import ServiceFailed
from headrace.serving.breaker import BreakerState
from headrace.serving.checkpoints import encoded, scope_of
from headrace.serving.context import Checkpoints, Context, Degraded, ServiceCall, current_context
from headrace.serving.fallback import Ladder, Way
from headrace.serving.retry_budget import RetryBudget
from headrace.serving.runtime import Health, Replicas, ReplicaState, Reply
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace.serving.service import Method, Rung, Service
from headrace.serving.wire import Codec, codecs_of

WORTH_KEEPING_S = 0.1
"""An answer that came sooner is computed again sooner than it is kept."""


class Pool:
    """What a bound service's calls go through: each is noted in its context with what it took.

    `rungs` are the lesser ways of each method that may answer instead of it; `standby` is where those live that are
    apart from the replicas. `timeout_s` is the longest that a way is waited for while there is a lesser one.
    """

    def __init__(
        self,
        name: str,
        replicas: Replicas,
        *,
        model: str | None,
        rungs: Mapping[str, Sequence[Rung]] = MappingProxyType({}),
        standby: Replicas | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._replicas = replicas
        self._standby = standby
        self._rungs = rungs
        self._timeout_s = timeout_s
        self._retries = RetryBudget()
        self._ladders: dict[str, Ladder] = {}
        self._codecs: dict[str, tuple[Codec, Codec]] = {}

    async def call(self, method: Method, question: object) -> Any:
        """The answer of one replica, by the best way that can give one.

        It is the same again where another release has asked this pool the same question.
        """
        context = current_context()
        if context.checkpoints is not None:
            return await self._resumed(method, question, context, context.checkpoints)
        return await self._answered(method, question, context)

    async def _answered(self, method: Method, question: object, context: Context) -> Any:
        ladder = self._ladders.get(method.name) or self._ladder(method)
        if context.work is None:
            (_, reply), is_shared = await ladder.ask(question, context), False
        else:
            reply, is_shared = await self._shared(ladder, question, context)
        context.calls.append(
            ServiceCall(
                self.name,
                # What was asked, whichever way answered: `degraded` names a lesser one, whose method is private.
                method.name,
                reply.queued_ms,
                reply.compute_ms,
                reply.batch_size,
                self.model,
                is_shared=is_shared,
                ended_at=monotonic() if context.trace_parent else 0.0,
            )
        )
        return reply.value

    async def _resumed(self, method: Method, question: object, context: Context, checkpoints: Checkpoints) -> Any:
        """The answer that an earlier attempt at the same job was given, or a new one, kept if it was dear."""
        codecs = self._codecs.get(method.name) or self._codecs.setdefault(method.name, codecs_of(method))
        asked = encoded(codecs[0], question)
        if asked is None:
            return await self._answered(method, question, context)
        name = f"{self.name}.{scope_of(method.name, asked)}answer"
        kept = checkpoints.find(context.release, name)
        if kept is not None:
            with suppress(msgspec.DecodeError):
                value = codecs[1].decode(kept)
                context.calls.append(ServiceCall(self.name, method.name, 0.0, 0.0, 1, self.model, is_shared=True))
                return value
        lesser, begun = len(context.degraded), monotonic()
        value = await self._answered(method, question, context)
        # What a lesser way gave is not worth keeping: the next attempt may have the best.
        if monotonic() - begun >= WORTH_KEEPING_S and len(context.degraded) == lesser:
            found = encoded(codecs[1], value)
            if found is not None:
                checkpoints.save(context.release, name, found)
        return value

    async def _shared(self, ladder: Ladder, question: object, context: Context) -> tuple[Reply, bool]:
        assert context.work is not None
        key = (ladder, _Same(question))
        kept: _Kept | None = context.work.kept(key)
        if kept is not None:
            context.degraded.extend(kept.degraded)
            return Reply(kept.reply.value, 0.0, 0.0, kept.reply.batch_size), True
        _, reply = await ladder.ask(question, context)
        degraded = tuple(each for each in context.degraded if each.service == self.name)
        context.work.keep(key, _Kept(reply, degraded))
        return reply, False

    async def start(self) -> None:
        """Returns when the service is warm."""
        if self._standby is not None:
            await self._standby.start()
        await self._replicas.start()

    async def close(self) -> None:
        """Ends the replicas."""
        await self._replicas.close()
        if self._standby is not None:
            await self._standby.close()

    def health(self) -> Health:
        """How the replicas are, and how many ways are left to rest."""
        opened = sum(
            state is BreakerState.OPEN for ladder in self._ladders.values() for state in ladder.breakers.values()
        )
        return replace(self._replicas.health(), open_breakers=opened, retries=self._retries.spent)

    def _ladder(self, method: Method) -> Ladder:
        ways = [Way("best", method, self._replicas.ask, timeout_s=self._timeout_s)]
        for rung in self._rungs.get(method.name, ()):
            replicas = self._standby if rung.on_standby and self._standby is not None else self._replicas
            ways.append(Way(rung.name, rung.method, replicas.ask, timeout_s=self._timeout_s))
        return self._ladders.setdefault(method.name, Ladder(self.name, ways, retries=self._retries))


@dataclass(frozen=True, slots=True)
class _Kept:
    reply: Reply
    degraded: tuple[Degraded, ...]


class _Same:
    """Equal to what wraps the very same object, which it keeps alive: an id alone may be given out again."""

    def __init__(self, it: object) -> None:
        self._it = it

    def __hash__(self) -> int:
        return id(self._it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._it is other._it


class Solo:
    """The one guarded worker of a service that is used unbound, in a notebook or a test.

    Started by the first call, kept from one event loop to the next, and ended with the service or at exit.
    """

    def __init__(self, service: Service) -> None:
        if service.guard is None:
            raise ServiceFailed(f"{type(service).__name__} has no guard.")
        origin = origin_of(service, guard=service.guard, artifact=None)
        self._replicas = GuardedReplicas(origin, type(service).methods, count=1, spares=0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        weakref.finalize(service, self._replicas.kill)

    async def call(self, method: Method, question: object) -> Any:
        """The answer of the worker."""
        await self._ensure_started()
        return (await self._replicas.ask(method, question, current_context())).value

    async def _ensure_started(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._starting = loop, asyncio.Lock()
            self._replicas.move_to_this_loop()
        async with self._starting:
            if self._replicas.health().state is ReplicaState.STOPPED:
                await self._replicas.start()
