"""Platform: builds the parts from settings, starts and stops them, and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headrace import settings as settings_module
from headrace.assembly.decisions import archive_of, kept_in_bounds, opened_journal, started_recorder
from headrace.assembly.jobs import Jobs, opened_jobs
from headrace.assembly.keys import opened_keys
from headrace.assembly.monitoring import Monitoring, opened_monitoring
from headrace.assembly.parts import admission_of, parts_of
from headrace.assembly.pools import Tell, bind, unheard, watch
from headrace.assembly.quality import doorkeeper_of, opened_texts
from headrace.assembly.registry import opened_registry
from headrace.assembly.releases import Planner, record_of
from headrace.assembly.rollouts import Rollouts, opened_rollouts, watch_rollouts
from headrace.assembly.siblings import Siblings
from headrace.assembly.spans import mourning, observing, opened_spans
from headrace.assembly.stores import Stores, opened_stores
from headrace.assembly.vigil import Vigil
from headrace.domain.release import Release
from headrace.domain.stores import DecisionStore, KeyStore
from headrace.domain.training import Trainer
from headrace.errors import NotFound
from headrace.monitoring.quality import QualityRule
from headrace.registry.registry import ModelRegistry
from headrace.serving.admission import Admission
from headrace.serving.answer_cache import AnswerCache
from headrace.serving.endpoint import Endpoint
from headrace.serving.keeping import Redact
from headrace.serving.meter import Meter
from headrace.serving.pipeline import instance_of, routes_of
from headrace.serving.question import checked_routes
from headrace.serving.recorder import Recorder
from headrace.serving.releases import Releases, Switch
from headrace.serving.replay import Replayer
from headrace.serving.runtime import Health
from headrace.serving.shared_work import Shelf
from headrace.settings import Settings
from headrace.telemetry import Metrics, Spans


def settings_here(overrides: Mapping[str, Any]) -> Settings:
    """The settings of the working folder, of the environment, and of `overrides` such as `{"server.port": 8001}`."""
    return settings_module.settings_here(overrides)


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a platform that runs; `endpoints` by path, `services` by attribute name.

    `champions` are the releases that answer by default, by pipeline; `loaded` holds all that may answer here, and
    `planner` names further ones. `spans` are there where a collector is named. `serving` is set once HTTP is answered.
    """

    platform: Platform
    settings: Settings
    endpoints: Mapping[str, Endpoint]
    services: Mapping[str, Switch]
    champions: Mapping[str, Release]
    loaded: Releases
    planner: Planner
    registry: ModelRegistry
    stores: Stores
    recorder: Recorder
    replayer: Replayer
    admission: Admission
    metrics: Metrics
    jobs: Jobs
    keys: KeyStore
    rollouts: Rollouts
    monitoring: Monitoring
    spans: Spans | None = None
    tell: Tell = unheard
    siblings: Siblings = field(default_factory=Siblings)
    serving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def decisions(self) -> DecisionStore:
        """What was answered."""
        return self.stores.decisions

    def health(self) -> dict[str, Health]:
        """How each service is; cheap."""
        return {name: service.health() for name, service in self.services.items()}


class Platform:
    """Pipelines and how their models are taught; describes, and does nothing until it is told to run.

    `redact` takes personal data out of every text before any of it is written down; inputs are not kept then.
    `checks` are rules of quality besides those that every platform has.
    """

    def __init__(
        self,
        *pipelines: type,
        trainers: Sequence[Trainer] = (),
        redact: Redact | None = None,
        checks: Sequence[QualityRule] = (),
    ) -> None:
        self.pipelines = pipelines
        self.trainers = tuple(trainers)
        self.redact = redact
        self.checks = tuple(checks)

    @asynccontextmanager
    async def running(
        self,
        settings: Settings,
        *,
        decisions: DecisionStore | None = None,
        tell: Tell = unheard,
        siblings: Siblings | None = None,
        only: Collection[str] | None = None,
        shelf: Shelf | None = None,
    ) -> AsyncIterator[Running]:
        """All parts, warm; on the way out what is in flight ends, then the parts end, the last one first.

        `decisions` replaces the store that the settings name. `tell` hears of what an operator should know: the name
        of an event, and its facts. `siblings` are the other processes of the same server.
        With `only`, these services live here and no pipeline answers. `shelf` has what was loaded already.

        Raises:
            InvalidConfiguration: the settings do not fit the pipelines.
            UnreadableArtifact: a model's files are not what was registered.
            ServiceFailed: a service did not come to life.
        """
        registry = opened_registry(settings)
        instances = [instance_of(pipeline) for pipeline in self.pipelines]
        parts = parts_of(instances, settings, only=only)
        for name in only or ():
            if name not in parts:
                raise NotFound(f"The application has no service {name!r}.", remedy=f"It has {', '.join(parts)}.")
        async with AsyncExitStack() as stack:
            metrics, spans = Metrics(), opened_spans(stack, settings)
            stores = await asyncio.to_thread(opened_stores, settings, decisions=decisions)
            stack.push_async_callback(asyncio.to_thread, stores.close)
            routes = checked_routes(self.pipelines)
            recorder = await started_recorder(
                stack,
                stores.decisions,
                settings,
                routes=routes,
                redact=self.redact,
                metrics=metrics,
                journal=opened_journal(settings) if decisions is None else None,
            )
            jobs = await opened_jobs(stack, settings, is_forgetful=decisions is not None)
            keys = await opened_keys(stack, settings, is_forgetful=decisions is not None)
            await _kept(stack, kept_in_bounds(stores, settings, tell))
            siblings = siblings or Siblings()
            shelf = shelf or Shelf(bound_bytes=settings.cache_bytes)
            planner = Planner.of(instances, parts, registry, tell, shelf, turns=siblings.turns)
            loaded = Releases(partial(planner.plan, only=only), bound_bytes=settings.cache_bytes)
            stack.push_async_callback(loaded.close)
            champions = {name: await asyncio.to_thread(planner.champion, name) for name in planner.instances}
            for release in champions.values():
                await asyncio.gather(loaded.load(release), asyncio.to_thread(_note_release, stores, release))
            await _kept(stack, Vigil(loaded, registry, tell=tell).keep())
            services = {name: Switch(name, loaded) for name in parts if only is None or name in only}
            bind(stack, parts, services)
            watch(metrics, services)
            monitoring = await opened_monitoring(
                stack,
                settings,
                doorkeeper_of(
                    settings,
                    self.checks,
                    [*routes],
                    recent=opened_texts(stack, siblings, tell=tell),
                    metrics=metrics,
                    tell=tell,
                ),
                stores=stores,
                metrics=metrics,
                is_forgetful=decisions is not None,
            )
            admission = admission_of(settings.limits, siblings.turns)
            metrics.in_flight.set_function(lambda: admission.in_flight)
            metrics.in_flight_limit.set_function(lambda: admission.limit)
            cache_bytes = settings.limits.answers_bytes
            cache = AnswerCache(bound_bytes=cache_bytes) if cache_bytes else None
            rollouts = opened_rollouts(stack, stores, champions=champions, admission=admission, metrics=metrics)
            endpoints = [
                Endpoint(
                    route,
                    getattr(instance, route.method),
                    admission=admission,
                    witnesses=(Meter(metrics),),
                    choose=rollouts.traffic[name].choose,
                    hold=loaded.held,
                    expect=recorder.expect,
                    record=recorder,
                    cache=cache,
                    attend=rollouts.attend,
                    inspect=monitoring.door.inspect,
                    observe=observing(monitoring.observe, spans),
                    mourn=mourning(monitoring.door.failed, spans),
                )
                for name, instance in planner.instances.items()
                for route in routes_of(type(instance))
                if only is None
            ]
            stack.push_async_callback(admission.drain, within_s=settings.server.drain_s)
            if decisions is None and only is None:
                await watch_rollouts(stack, rollouts, stores, planner=planner, loaded=loaded, jobs=jobs, tell=tell)
            await stack.enter_async_context(siblings.telling(metrics.exposition))
            by_path = {endpoint.path: endpoint for endpoint in endpoints}
            yield Running(
                platform=self,
                settings=settings,
                endpoints=by_path,
                services=services,
                champions=champions,
                loaded=loaded,
                planner=planner,
                registry=registry,
                stores=stores,
                recorder=recorder,
                replayer=Replayer(archive_of(recorder, stores, settings), by_path, loaded),
                admission=admission,
                metrics=metrics,
                jobs=jobs,
                keys=keys,
                rollouts=rollouts,
                monitoring=monitoring,
                spans=spans,
                tell=tell,
                siblings=siblings,
            )


def _note_release(stores: Stores, release: Release) -> None:
    stores.releases.add(record_of(release))


async def _kept(stack: AsyncExitStack, life: Coroutine[Any, Any, None]) -> None:
    """A task that lives until the platform stops."""
    task = asyncio.create_task(life)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
