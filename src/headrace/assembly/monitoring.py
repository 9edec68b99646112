"""The watch of a platform: the witness of each process, the door for inputs, and the loop that looks by the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time
from typing import Any

import msgspec
import numpy as np

from headrace.assembly.pools import Tell, unheard
from headrace.assembly.quality import Doorkeeper
from headrace.assembly.scorecards import scorecards_by
from headrace.assembly.stores import Stores, opened_stores
from headrace.domain.report import Alert, QuarantineState, Severity
from headrace.errors import Conflict, HeadraceError, InvalidConfiguration, NotFound
from headrace.monitoring.alerts import AlertRule, Change
from headrace.monitoring.calibration import Calibration
from headrace.monitoring.estimate import FEWEST_TO_RECALIBRATE
from headrace.monitoring.monitor import Labels, Monitor, MonitorOptions
from headrace.monitoring.recorder import WatchRecorder
from headrace.monitoring.reporter import Reporter
from headrace.monitoring.watch import WatchOptions
from headrace.monitoring.window import Batch, WindowSketch, encoded
from headrace.serving.answered import Answered
from headrace.serving.observing import observation_of
from headrace.settings import MonitoringSettings, Settings
from headrace.storage.database import Database
from headrace.storage.reports import SqlReports
from headrace.storage.schema import opened_database
from headrace.storage.webhooks import SqlWebhooks
from headrace.telemetry import Metrics

IN_MEMORY = "sqlite://"
_A_PAGE = 500
DEFAULT_RULES = (AlertRule("inputs_in_doubt", "suspect_share", above=0.5, for_s=60.0, recovers_at=0.3),)
"""What is alerted of where settings name no rule: besides drift, which needs none."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What a platform has for its watch; `recorder` is None where it is turned off."""

    store: SqlReports
    reporter: Reporter
    door: Doorkeeper
    recorder: WatchRecorder | None

    def observe(self, answered: Answered) -> None:
        """Notes what was seen of an answer; never waits."""
        if self.recorder is not None:
            self.recorder(answered.decision, partial(observation_of, answered))


async def opened_monitoring(
    stack: AsyncExitStack, settings: Settings, door: Doorkeeper, *, stores: Stores, metrics: Metrics, is_forgetful: bool
) -> Monitoring:
    """Its store opened, its witness at work; a forgetful platform is not watched."""
    database = await asyncio.to_thread(opened_database, IN_MEMORY if is_forgetful else settings.store_url)
    stack.callback(database.close)
    store = SqlReports(database)
    door.open(store)
    watch = settings.monitoring
    recorder = None
    if watch.enabled and not is_forgetful:
        recorder = WatchRecorder(
            store.add_batch,
            clock=time,
            on_outcome=lambda outcome, count: metrics.watched.labels(outcome).inc(count),
            window_s=watch.window_s,
            flush_s=watch.flush_s,
            share=watch.share,
        )
        stack.push_async_callback(asyncio.to_thread, recorder.close)
    return Monitoring(store, reporter_of(store, settings, stores), door, recorder)


def reporter_of(store: SqlReports, settings: Settings, stores: Stores) -> Reporter:
    """What makes reports of a store, with what `stores` know of the worth of decisions."""
    return Reporter(
        store,
        now=_now,
        reference_decisions=settings.monitoring.reference_decisions,
        scorecards=scorecards_by(stores, settings),
    )


def stored_reports(settings: Settings) -> tuple[Reporter, Database]:
    """The reports of the store that the settings name, and what to close afterwards."""
    stores = opened_stores(settings)
    return reporter_of(SqlReports(stores.database), settings, stores), stores.database


def recalibrated(settings: Settings, release: str | None) -> tuple[str, int]:
    """Asks the watch to let the estimates of a release, by default the newest, go by its labels; which, and how many.

    The wish goes through the store, so that it reaches the process that watches at its next look. Blocking.

    Raises:
        NotFound: nothing was seen of the release.
        Conflict: its labels are too few.
    """
    reporter, database = stored_reports(settings)
    try:
        known = reporter.releases()
        named = release or next(iter(known), "")
        if named not in known:
            raise NotFound(f"Nothing was seen of the release {named!r}.", remedy="See `headrace monitor status`.")
        labels = reporter.labels(named)
        if labels < FEWEST_TO_RECALIBRATE:
            raise Conflict(
                f"{labels} labels have come in, and {FEWEST_TO_RECALIBRATE} are needed.", remedy="Send more feedback."
            )
        SqlReports(database).add_batch(encoded(Batch(process="operator", window_start=time(), recalibrate=[named])))
    finally:
        database.close()
    return named, labels


def held_back(settings: Settings) -> frozenset[str]:
    """The digests of the inputs that sit in the quarantine of the store that the settings name. Blocking."""
    database = opened_database(settings.store_url)
    try:
        store, held, cursor = SqlReports(database), set[str](), None
        while True:
            page = store.quarantine(state=QuarantineState.HELD, cursor=cursor, limit=_A_PAGE)
            held |= {kept.input_digest for kept in page.items}
            if (cursor := page.next) is None:
                return frozenset(held - {""})
    finally:
        database.close()


def options_of(settings: Settings) -> MonitorOptions:
    """How the watch watches, as the settings say."""
    watch = settings.monitoring
    _check(watch)
    return MonitorOptions(
        watch=WatchOptions(alpha=watch.alpha, reference_decisions=watch.reference_decisions, learn=watch.learn),
        rules=_rules(settings),
        calm_s=watch.calm_s,
        keep_s=timedelta(days=watch.keep_days).total_seconds(),
    )


def monitor_of(
    settings: Settings,
    store: SqlReports,
    labels: Labels,
    calibration: Callable[[str], Calibration | None],
    reference: Callable[[str], Mapping[str, WindowSketch] | None],
    *,
    tell: Tell = unheard,
) -> Monitor:
    """What looks by the clock. Blocking."""
    return Monitor(
        store,
        options_of(settings),
        now=_now,
        rng=np.random.default_rng(),
        labels=labels,
        calibration=calibration,
        reference=reference,
        on_anew=lambda release: tell("drift_tests_begun_anew", {"release": release}),
    )


async def watch_by_the_clock(
    monitoring: Monitoring,
    monitor: Callable[[], Monitor],
    webhooks: SqlWebhooks,
    *,
    every_s: float,
    metrics: Metrics,
    tell: Tell,
) -> None:
    """Looks every `every_s`, until it is cancelled; who wants to know is told of what has changed.

    At its end all that the witness of this process noted is looked at once more: it is handed in before the last look.
    """
    watch = await asyncio.to_thread(monitor)

    async def look(*, is_last: bool = False) -> None:
        try:
            changes = await asyncio.to_thread(watch.look, is_last=is_last)
            await _tell_changes(changes, webhooks, metrics=metrics, tell=tell)
        except HeadraceError as failure:
            # A store that is away now may be back at the next look; what processes saw waits there.
            metrics.watched.labels("look_failed").inc()
            tell("watch_failed", {"error": str(failure)})

    looking: asyncio.Future[None] | None = None
    try:
        while True:
            await asyncio.sleep(every_s)
            looking = asyncio.ensure_future(look())
            await asyncio.shield(looking)
    finally:
        # What a look has found is told though it was to end meanwhile: alerts that are stored are not found again.
        if looking is not None:
            await looking
        if monitoring.recorder is not None:
            await asyncio.to_thread(monitoring.recorder.flush)
        await look(is_last=True)


async def _tell_changes(changes: Sequence[Change], webhooks: SqlWebhooks, *, metrics: Metrics, tell: Tell) -> None:
    for change in changes:
        alert, facts = change.alert, facts_of(change.alert)
        metrics.alerts.labels(change.kind, alert.rule, alert.severity.value).inc()
        tell(f"alert_{change.kind}", facts)
        is_silenced = alert.silenced_until is not None and _now() < alert.silenced_until
        if not is_silenced:
            await webhooks.announce(
                f"headrace.alert.{change.kind}", subject=alert.id, data=json.dumps(facts).encode(), now=_now()
            )


def facts_of(alert: Alert) -> dict[str, Any]:
    """An alert as it goes out."""
    shown: dict[str, Any] = msgspec.to_builtins(alert)
    return shown


def _rules(settings: Settings) -> tuple[AlertRule, ...]:
    rules = tuple(DEFAULT_RULES) if not settings.alerts else ()
    for name, rule in settings.alerts.items():
        if (rule.above is None) == (rule.below is None):
            raise InvalidConfiguration(f"[alerts.{name}] needs one bound.", remedy="Write above = …, or below = ….")
        try:
            severity = Severity(rule.severity)
        except ValueError as unknown:
            raise InvalidConfiguration(
                f"[alerts.{name}] severity = {rule.severity!r} is none.", remedy=f"Choose from {', '.join(Severity)}."
            ) from unknown
        bounds: Mapping[str, Any] = {
            field: getattr(rule, field) for field in ("above", "below", "for_s", "calm_s", "recovers_at")
        }
        rules += (AlertRule(name, rule.figure, severity=severity, **bounds),)
    return rules


def _check(watch: MonitoringSettings) -> None:
    if not 0 < watch.alpha < 1 or not 0 < watch.share <= 1:
        raise InvalidConfiguration(
            f"[monitoring] alpha = {watch.alpha} and share = {watch.share} have to lie between 0 and 1.",
            remedy="Write alpha = 0.01 and share = 0.02.",
        )


def _now() -> datetime:
    return datetime.now(UTC)
