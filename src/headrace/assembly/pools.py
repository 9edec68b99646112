"""The pools of replicas, started side by side and bound to the services that pipelines hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from headrace.assembly.parts import Part
from headrace.registry.registry import ModelRegistry
from headrace.serving.pool import Pool
from headrace.serving.runtime import Replicas
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.service import Service
from headrace.telemetry import Metrics

Tell = Callable[[str, Mapping[str, Any]], None]


async def started_pools(
    stack: AsyncExitStack, parts: Mapping[str, Part], registry: ModelRegistry, tell: Tell
) -> dict[str, Pool]:
    """Started side by side and bound to the instances that pipelines hold."""
    pools: dict[str, Pool] = {}
    for name, part in parts.items():
        pool = await asyncio.to_thread(_pool, part, registry, tell)
        stack.push_async_callback(pool.close)
        pools[name] = pool
    await _all_or_none([pool.start() for pool in pools.values()])
    for name, part in parts.items():
        for service in part.bound:
            service.bind(pools[name])
            stack.callback(service.bind, None)
    return pools


def _pool(part: Part, registry: ModelRegistry, tell: Tell) -> Pool:
    version = registry.find(part.kind.model) if part.kind.model else None
    artifact = registry.folder_of(version) if version else None
    guard = part.guard()
    replicas: Replicas
    if guard is not None:
        origin = origin_of(part.made(), guard=guard, artifact=None if artifact is None else str(artifact))
        replicas = GuardedReplicas(
            origin,
            part.kind.methods,
            count=part.replicas,
            on_death=lambda reason, log: tell("worker_died", {"service": part.name, "reason": reason, "log": log}),
        )
    else:
        replicas = ThreadReplicas(partial(_loaded, part, artifact), count=part.replicas)
    return Pool(part.name, replicas, model=version.digest if version else None)


def _loaded(part: Part, artifact: Path | None) -> Service:
    service = part.made()
    service.load_once(artifact)
    return service


async def _all_or_none(starts: Sequence[Awaitable[None]]) -> None:
    """Waits for all, so that none is left half begun, then raises the first error."""
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def watch(metrics: Metrics, pools: Mapping[str, Pool]) -> None:
    """The gauges look at the pools when they are asked."""
    for name, pool in pools.items():
        metrics.replicas.labels(name).set_function(partial(_replicas, pool))
        metrics.restarts.labels(name).set_function(partial(_restarts, pool))


def _replicas(pool: Pool) -> float:
    return pool.health().replicas


def _restarts(pool: Pool) -> float:
    return pool.health().restarts
