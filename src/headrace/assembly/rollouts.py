"""The rollouts of a platform: the split at every door, what is seen of it, and the controllers that judge."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from headrace.assembly.jobs import Jobs
from headrace.assembly.pools import Tell
from headrace.assembly.releases import Planner, record_of
from headrace.assembly.stores import Stores
from headrace.domain.feedback_store import FeedbackStore
from headrace.domain.model import CHAMPION, ModelVersion
from headrace.domain.release import Release, Variant
from headrace.domain.release_store import ReleaseStore
from headrace.domain.rollout import Rollout, RolloutState
from headrace.domain.rollout_figures import Judgement
from headrace.domain.rollout_store import RolloutStore
from headrace.errors import Conflict, Overloaded
from headrace.rollouts.controller import Controller
from headrace.rollouts.desk import Desk
from headrace.rollouts.news import NewsReader, Said, Source
from headrace.rollouts.observer import Observer
from headrace.rollouts.shadows import Shadows, seen_in
from headrace.rollouts.sighting import News, Seen, Sighting
from headrace.rollouts.traffic import RolledOut, Traffic
from headrace.rollouts.variant_meter import VariantMeter
from headrace.serving.admission import Admission
from headrace.serving.answered import Answered
from headrace.serving.context import Context, Priority
from headrace.serving.cores import usable_cores
from headrace.serving.endpoint import Endpoint
from headrace.serving.releases import Releases
from headrace.storage.rollouts import SqlRollouts
from headrace.telemetry import Metrics
from headrace.telemetry.variants import short

PROMOTED, ROLLED_BACK = "headrace.rollout.promoted", "headrace.rollout.rolled_back"


@dataclass(frozen=True, slots=True)
class Rollouts:
    """What a running platform has for rollouts; `traffic` and `controllers` by pipeline."""

    store: RolloutStore
    desk: Desk
    traffic: Mapping[str, Traffic]
    observer: Observer
    shadows: Shadows
    controllers: dict[str, Controller]
    metrics: Metrics
    meter: VariantMeter

    def attend(
        self, endpoint: Endpoint, variant: Variant, question: object, context: Context, outcome: Answered | Exception
    ) -> None:
        """Notes what became of a question, and has the candidate answer it too where it is in shadow."""
        self.meter.measure(endpoint.path, variant, outcome)
        if not isinstance(variant, RolledOut) or variant.rollout is None:
            return
        seen = seen_in(outcome) if isinstance(outcome, Answered) else Seen()
        key = context.key or context.input_digest
        is_candidate = variant.release == variant.rollout.candidate
        self.observer.see(Sighting(variant.rollout, key, is_candidate, seen))
        if variant.is_shadowed:
            self.shadows.cast(endpoint, variant, question, context, seen)

    def look_now(self) -> None:
        """Something was changed in this process: its controllers need not wait for their next look."""
        for controller in self.controllers.values():
            controller.look_now()


def opened_rollouts(
    stack: AsyncExitStack,
    stores: Stores,
    *,
    champions: Mapping[str, Release],
    admission: Admission,
    metrics: Metrics,
) -> Rollouts:
    """The doors and what looks at them; nothing is followed or judged before `watch_rollouts`."""
    store = SqlRollouts(stores.database)
    observer = Observer(store, on_lost=metrics.variants.lost.inc)
    stack.push_async_callback(asyncio.to_thread, observer.close)

    def told(rollout: Rollout, outcome: str) -> None:
        metrics.variants.shadows.labels(rollout.pipeline, short(rollout.candidate), outcome).inc()

    shadows = Shadows(
        observer,
        in_flight=lambda: admission.in_flight,
        cores=usable_cores(),
        has_room=partial(_has_room, admission),
        told=told,
    )
    traffic = {name: Traffic(release.id) for name, release in champions.items()}
    return Rollouts(store, Desk(store), traffic, observer, shadows, {}, metrics, VariantMeter(metrics.variants))


def _has_room(admission: Admission) -> bool:
    try:
        admission.check_room(Priority.SHADOW)
    except Overloaded:
        return False
    return True


async def watch_rollouts(
    stack: AsyncExitStack,
    rollouts: Rollouts,
    stores: Stores,
    *,
    planner: Planner,
    loaded: Releases,
    jobs: Jobs,
    tell: Tell,
) -> None:
    """From now on and until `stack` ends, this process follows and judges the rollouts of all its pipelines."""
    stage = PlatformStage(planner, loaded, jobs, rollouts.store, stores.releases)
    news = NewsReader(rollouts.store, sources_of(stores.feedback))
    await _kept(stack, rollouts.shadows.live())
    for name, traffic in rollouts.traffic.items():
        controller = Controller(
            name,
            store=rollouts.store,
            stage=stage,
            traffic=traffic,
            tell=partial(_told, rollouts.metrics, tell),
            news=news,
            on_judgement=partial(_note_harm, rollouts.metrics, name),
        )
        rollouts.controllers[name] = controller
        _watch(rollouts.metrics, controller)
        await asyncio.to_thread(rollouts.store.note_serving, name, stage.release(traffic.champion).manifest())
        await _kept(stack, controller.live())


@dataclass(frozen=True, slots=True)
class PlatformStage:
    """Keeps the promise of `Stage` on a platform."""

    planner: Planner
    loaded: Releases
    jobs: Jobs
    store: RolloutStore
    releases: ReleaseStore

    async def load(self, manifest: bytes) -> None:
        """With the files of its models verified; warm when this returns, and known to whoever replays its answers."""
        release = Release.from_manifest(manifest)
        await self.loaded.load(release)
        await asyncio.to_thread(lambda: self.releases.add(record_of(release)))

    async def unload(self, release: str) -> None:
        """Its parts stay warm for a while, as far as the memory for that goes."""
        await self.loaded.unload(release)

    def make_default(self, release: str) -> None:
        """Calls outside any request go to it."""
        self.loaded.make_default(release)

    def release(self, release_id: str) -> Release:
        """One that is loaded."""
        return next(each for each in self.loaded if each.id == release_id)

    async def is_named(self, rollout: Rollout) -> bool:
        """Whether the champions of the registry are the candidate's models."""
        manifests = await asyncio.to_thread(self.store.manifests, rollout.id)
        champion = await asyncio.to_thread(self.planner.champion, rollout.pipeline)
        return champion.models == Release.from_manifest(manifests.candidate).models

    async def settle(self, rollout: Rollout) -> None:
        """The aliases first, then the news: whoever is told finds it done."""
        if rollout.state is RolloutState.PROMOTED:
            await asyncio.to_thread(self._crown, rollout)
        event = PROMOTED if rollout.state is RolloutState.PROMOTED else ROLLED_BACK
        await self.jobs.webhooks.announce(
            event, subject=rollout.id, data=msgspec.json.encode(news_of(rollout)), now=datetime.now(UTC)
        )

    def _crown(self, rollout: Rollout) -> None:
        manifests = self.store.manifests(rollout.id)
        champion, candidate = (Release.from_manifest(each) for each in (manifests.champion, manifests.candidate))
        for service, digest in candidate.models.items():
            version = self.planner.registry.version(digest)
            before = champion.models.get(service)
            # Where the alias means a third version by now, somebody has decided anew since: that stands.
            if self.planner.registry.alias(version.name, CHAMPION) == before != digest:
                self._move(version, before)
        self.store.note_serving(rollout.pipeline, manifests.candidate)

    def _move(self, version: ModelVersion, before: str | None) -> None:
        # Another process may settle the same rollout at this moment, and has moved it already.
        with suppress(Conflict):
            self.planner.registry.move_alias(version, CHAMPION, expected=before)


def sources_of(feedback: FeedbackStore) -> dict[str, Source]:
    """What is said of decisions, by the prefix of its ids."""

    def labels(cursor: str, limit: int) -> list[tuple[Said, News]]:
        found = feedback.feedback_after(cursor, limit=limit)
        return [(each, News(each.decision_id, label=each.label)) for each in found]

    def values(cursor: str, limit: int) -> list[tuple[Said, News]]:
        found = feedback.outcomes_after(cursor, limit=limit)
        return [(each, News(each.decision_id, outcomes={each.metric: each.value})) for each in found]

    return {"fbk": labels, "out": values}


def news_of(rollout: Rollout) -> dict[str, Any]:
    """What others are told of the end of a rollout."""
    return {
        "rollout_id": rollout.id,
        "pipeline": rollout.pipeline,
        "champion": rollout.champion,
        "candidate": rollout.candidate,
        "state": rollout.state.value,
        "reason": rollout.reason,
        "changed_at": rollout.changed_at,
    }


def _told(metrics: Metrics, tell: Tell, event: str, facts: Mapping[str, Any]) -> None:
    if event == "rollout_changed":
        metrics.variants.changes.labels(str(facts["pipeline"]), str(facts["state"])).inc()
    elif event == "rollout_store_failed":
        metrics.variants.store_failures.labels(str(facts["pipeline"])).inc()
    tell(event, facts)


def _watch(metrics: Metrics, controller: Controller) -> None:
    """The gauges look at the controller when they are asked."""
    traffic, variants = controller.traffic, metrics.variants

    def share() -> float:
        rollout = traffic.rollout
        return rollout.share if rollout is not None and traffic.is_ready else 0.0

    def mismatch() -> float:
        judgement, rollout = controller.judgement, traffic.rollout
        return 0.0 if judgement is None or rollout is None else judgement.ratio_evidence * rollout.plan.ratio_alpha

    variants.share.labels(controller.pipeline).set_function(share)
    variants.mismatch.labels(controller.pipeline).set_function(mismatch)


def _note_harm(metrics: Metrics, pipeline: str, judgement: Judgement) -> None:
    for finding in judgement.findings:
        metrics.variants.harm.labels(pipeline, finding.guard).set(finding.evidence / finding.needed)


async def _kept(stack: AsyncExitStack, life: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(life)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
