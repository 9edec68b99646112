"""The pools of replicas: how one service of a release comes to life, and what the gauges see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from headrace.assembly.parts import Part
from headrace.serving.hedging import Hedged
from headrace.serving.pool import Pool
from headrace.serving.releases import Switch
from headrace.serving.runtime import Replicas
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.service import Service
from headrace.serving.shared_work import Shelf
from headrace.serving.turns import Turns
from headrace.telemetry import Metrics

Tell = Callable[[str, Mapping[str, Any]], None]


def unheard(_event: str, _facts: Mapping[str, Any]) -> None:
    """For events that nobody listens to."""


def pool_of(
    part: Part,
    *,
    options: Any,
    artifact: Path | None,
    model: str | None,
    shelf: Shelf,
    tell: Tell,
    turns: Turns | None = None,
) -> Pool:
    """A pool for `part`, not started: on another host, in guarded processes where the author asks, or in threads."""
    guard = part.guard()
    replicas: Replicas
    if part.url:
        # The client is slow to load, and most services live here.
        from headrace.serving.runtimes.remote import RemoteReplicas  # noqa: PLC0415

        remote = RemoteReplicas(part.url.split(","), part.name, part.kind.methods, model=model, key=part.key)
        replicas = Hedged(remote)
    elif guard is not None:
        service = part.made(options, shelf)
        origin = origin_of(service, guard=guard, artifact=None if artifact is None else str(artifact))
        replicas = GuardedReplicas(
            origin,
            part.kind.methods,
            count=part.replicas,
            bounds=part.bounds,
            on_death=lambda reason, log: tell("worker_died", {"service": part.name, "reason": reason, "log": log}),
        )
    else:
        replicas = ThreadReplicas(partial(_loaded, part, options, artifact, shelf), count=part.replicas, turns=turns)
    standby = partial(_standby, part, options, artifact, shelf)
    return Pool(
        part.name,
        replicas,
        model=model,
        rungs=part.rungs,
        standby=ThreadReplicas(standby, count=1, warms=False) if part.has_standby else None,
        timeout_s=part.timeout_s,
    )


def _loaded(part: Part, options: Any, artifact: Path | None, shelf: Shelf) -> Service:
    service = part.made(options, shelf)
    service.load_once(artifact)
    return service


def _standby(part: Part, options: Any, artifact: Path | None, shelf: Shelf) -> Service:
    service = part.made(options, shelf)
    service.stand_by(artifact)
    return service


def bind(stack: AsyncExitStack, parts: Mapping[str, Part], services: Mapping[str, Switch]) -> None:
    """Binds the instances that pipelines hold to the `services` that live here, until `stack` ends."""
    for name in services:
        for service in parts[name].bound:
            service.bind(services[name])
            stack.callback(service.bind, None)


def watch(metrics: Metrics, services: Mapping[str, Switch]) -> None:
    """The gauges look at the services when they are asked."""
    for name, service in services.items():
        metrics.replicas.labels(name).set_function(partial(_replicas, service))
        metrics.restarts.labels(name).set_function(partial(_restarts, service))
        metrics.open_breakers.labels(name).set_function(partial(_open_breakers, service))
        metrics.retries.labels(name).set_function(partial(_retries, service))


def _replicas(service: Switch) -> float:
    return service.health().replicas


def _restarts(service: Switch) -> float:
    return service.health().restarts


def _open_breakers(service: Switch) -> float:
    return service.health().open_breakers


def _retries(service: Switch) -> float:
    return service.health().retries
