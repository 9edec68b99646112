"""The decision log of a platform: its store, its journal, what is kept of each answer, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from headrace.assembly.pools import Tell
from headrace.assembly.stores import Stores
from headrace.domain.release import Release
from headrace.domain.stores import DecisionStore
from headrace.errors import InvalidConfiguration
from headrace.serving.attachments import Attachments
from headrace.serving.journal import Journal
from headrace.serving.keeping import Inputs, Keeping, Redact
from headrace.serving.pipeline import Route
from headrace.serving.recorder import Recorder
from headrace.serving.replay import Archive
from headrace.serving.retention import Bounds, keep_in_bounds
from headrace.serving.wire import Codec
from headrace.settings import Settings, size_bytes
from headrace.storage.artifacts import Artifacts, is_bucket, opened_artifacts
from headrace.storage.rollouts import SqlRollouts
from headrace.telemetry import Metrics


def kept_inputs(settings: Settings) -> Artifacts:
    """Where large inputs of decisions lie, apart from all other artifacts: they go when their decisions go."""
    return opened_artifacts(f"{settings.job_artifacts_url.rstrip('/')}/decisions")


def codecs_of_questions(routes: Sequence[Route]) -> Mapping[str, Codec]:
    """How the question of each endpoint is written down."""
    return {route.path: Codec(route.argument) for route in routes}


async def started_recorder(
    stack: AsyncExitStack,
    store: DecisionStore,
    settings: Settings,
    *,
    routes: Sequence[Route],
    redact: Redact | None,
    metrics: Metrics,
    journal: Journal | None,
) -> Recorder:
    """The recorder, which ends with `stack`; with a journal, what dead processes left behind is stored first."""
    artifacts = kept_inputs(settings)
    keeping = Keeping(
        inputs=_inputs(settings),
        redact=redact,
        codecs=codecs_of_questions(routes),
        put=None if journal is None else artifacts.put,
        attachments=None if journal is None else _opened_attachments(journal, artifacts, settings),
    )
    if keeping.attachments is not None:
        stack.push_async_callback(asyncio.to_thread, keeping.attachments.close)
    counters = {outcome: metrics.decisions.labels(outcome) for outcome in ("accepted", "stored", "refused")}
    recorder = Recorder(
        store,
        on_outcome=lambda outcome, count: counters[outcome].inc(count),
        keeping=keeping,
        journal=journal,
    )
    stack.push_async_callback(asyncio.to_thread, recorder.close)
    if journal is not None:
        await asyncio.to_thread(recorder.recover, journal_folder(settings))
    metrics.missing_decisions.set_function(recorder.missing)
    metrics.waiting_decisions.set_function(lambda: recorder.waiting)
    metrics.journal_bytes.set_function(lambda: recorder.journal_bytes)
    return recorder


def _opened_attachments(journal: Journal, artifacts: Artifacts, settings: Settings) -> Attachments:
    """Attachments of the journal. To ask a bucket would take longer than to write beside the journal."""
    has = None if is_bucket(settings.job_artifacts_url) else artifacts.exists
    bound_bytes = size_bytes(settings.decisions.journal)
    return Attachments(journal.folder, journal.process, put=artifacts.take, has=has, bound_bytes=bound_bytes)


def opened_journal(settings: Settings) -> Journal:
    """The journal of this process."""
    return Journal(journal_folder(settings), bound_bytes=size_bytes(settings.decisions.journal))


def journal_folder(settings: Settings) -> Path:
    """Where the journals of all processes of this machine lie."""
    return Path(settings.data) / "journal"


def archive_of(recorder: Recorder, stores: Stores, settings: Settings) -> Archive:
    """Where replays look up what they need."""

    def release(release_id: str) -> Release | None:
        record = stores.releases.find(release_id)
        return None if record is None else record.release

    return Archive(decision=recorder.find, release=release, blob=kept_inputs(settings).get)


async def kept_in_bounds(stores: Stores, settings: Settings, tell: Tell) -> None:
    """Forgets what is over the bounds of `[store]` and `[decisions]`, until it is cancelled."""
    await keep_in_bounds(
        stores.decisions,
        stores.feedback,
        SqlRollouts(stores.database),
        Bounds(
            keep=timedelta(days=settings.store.keep_days),
            most=settings.store.keep_decisions,
            most_bytes=size_bytes(settings.decisions.keep),
        ),
        drop=kept_inputs(settings).delete,
        on_failure=lambda failure: tell("retention_failed", {"error": str(failure)}),
    )


def _inputs(settings: Settings) -> Inputs:
    try:
        return Inputs(settings.decisions.inputs)
    except ValueError as unknown:
        raise InvalidConfiguration(
            f"[decisions] inputs = {settings.decisions.inputs!r} is no policy.",
            remedy=f"Choose from {', '.join(Inputs)}.",
        ) from unknown
