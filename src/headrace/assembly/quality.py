"""The doorkeeper: holds inputs against the rules of settings and author, and keeps back what breaks them badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from headrace.assembly.decisions import codecs_of_questions
from headrace.assembly.pools import Tell
from headrace.assembly.siblings import Siblings
from headrace.domain.decision import new_id
from headrace.domain.report import QualityFinding, QuarantinedInput, QuarantineState, Verdict
from headrace.domain.report_store import ReportStore
from headrace.errors import Conflict, HeadraceError, InvalidConfiguration, NotFound, Quarantined, Unreadable
from headrace.monitoring.anomaly import AnomalyDetector
from headrace.monitoring.near_duplicates import RecentTexts
from headrace.monitoring.quality import Inspection, Inspector, QualityRule, configured, default_rules
from headrace.monitoring.shared_texts import SharedTexts
from headrace.serving.answered import Answered
from headrace.serving.context import Context
from headrace.serving.door import Arrival, Failed, Quality
from headrace.serving.pipeline import Route
from headrace.serving.wire import Codec
from headrace.settings import QualitySettings, Settings
from headrace.storage.artifacts import opened_artifacts
from headrace.telemetry import Metrics

LONG_TEXT = 20_000
"""Characters from which on looking takes long enough to be done beside the loop."""

Put = Callable[[bytes], str]
Get = Callable[[str], bytes]


def opened_texts(stack: AsyncExitStack, siblings: Siblings, *, tell: Tell) -> RecentTexts:
    """The texts that were seen of late, by this process and, where the disc has room for that, by its siblings."""
    if siblings.texts is None:
        return RecentTexts()
    try:
        shared = SharedTexts(siblings.texts)
    except OSError as failure:
        tell("seen_texts_not_shared", {"error": failure.strerror or str(failure)})
        return RecentTexts()
    stack.callback(shared.close)
    return RecentTexts(others=shared)


def doorkeeper_of(
    settings: Settings,
    own: Sequence[QualityRule],
    routes: Sequence[Route],
    *,
    recent: RecentTexts,
    metrics: Metrics,
    tell: Tell,
) -> Doorkeeper:
    """The doorkeeper of a platform; inputs are kept with the artifacts of jobs, below `quarantine`."""
    artifacts = opened_artifacts(f"{settings.job_artifacts_url.rstrip('/')}/quarantine")

    def told(kept: QuarantinedInput, context: Context) -> None:
        reason = kept.findings[0].code if kept.findings else ""
        metrics.quarantined.labels(reason).inc()
        facts = {"quarantine_id": kept.id, "reason": reason, "release": kept.release}
        tell("quarantined", facts | {"request_id": context.request_id, "trace_id": context.trace_id})

    def noted(findings: Sequence[QualityFinding], context: Context) -> None:
        facts = {"reason": findings[0].code, "release": context.release}
        tell("input_failed", facts | {"request_id": context.request_id, "trace_id": context.trace_id})

    return Doorkeeper(
        settings.quality,
        own,
        recent=recent,
        codecs=codecs_of_questions(routes),
        put=artifacts.put,
        get=artifacts.get,
        on_quarantine=told,
        on_finding=noted,
    )


class Doorkeeper:
    """Looks at arrivals. One inspector a release, for what is normal differs between them.

    `put` and `get` keep inputs by digest; `codecs` write the questions of each endpoint down.
    """

    def __init__(
        self,
        settings: QualitySettings,
        own: Sequence[QualityRule],
        *,
        recent: RecentTexts,
        codecs: Mapping[str, Codec],
        put: Put,
        get: Get,
        on_quarantine: Callable[[QuarantinedInput, Context], None],
        on_finding: Callable[[Sequence[QualityFinding], Context], None],
    ) -> None:
        self._settings = settings
        self._own = tuple(own)
        self._codecs = codecs
        self._put = put
        self._get = get
        self._on_quarantine = on_quarantine
        self._on_finding = on_finding
        self._recent = recent
        self._inspectors: dict[str, Inspector] = {}
        self._store: ReportStore | None = None
        self._leaving: set[str] = set()
        # Said now and not at the first document: a rule that is misspelt must not go unnoticed.
        if not 0 < settings.anomalies < 1:
            raise InvalidConfiguration(
                f"[quality] anomalies = {settings.anomalies} is no share of inputs to be flagged.",
                remedy="Write 0.01; to look for none, turn the rule off: anomaly = {} in [quality.rules].",
            )
        self._rules(AnomalyDetector(level=settings.anomalies))

    def open(self, store: ReportStore) -> None:
        """Where what is kept back is remembered."""
        self._store = store

    async def inspect(self, arrival: Arrival) -> Quality | None:
        """The verdict on an arrival; raises `Quarantined` when it is kept back."""
        # Asked of every answer: the runtime check of a protocol would take longer than a small model.
        if not hasattr(arrival.value, "facts"):
            return None
        facts = arrival.value.facts()
        inspector = self._inspector(arrival.context.release)
        is_long = len(facts.get("text") or "") > LONG_TEXT
        found = await asyncio.to_thread(inspector.inspect, facts) if is_long else inspector.inspect(facts)
        if found.verdict is Verdict.QUARANTINED:
            if not arrival.context.is_released:
                raise await self._quarantined(arrival, facts, found)
            return Quality(Verdict.SUSPECT, found.findings)
        return Quality(found.verdict, found.findings)

    async def failed(self, failed: Failed) -> None:
        """Holds what could not be read against the rules; its caller gets the failure, and operators the finding."""
        if not isinstance(failed.failure, Unreadable) or not hasattr(failed.question, "facts_of_failure"):
            return
        facts = failed.question.facts_of_failure(failed.failure)
        found = self._inspector(failed.context.release).inspect(facts)
        if found.verdict is Verdict.QUARANTINED and not failed.context.is_released:
            kept = await asyncio.to_thread(self._kept, failed, facts, found)
            self._on_quarantine(kept, failed.context)
        elif found.findings:
            self._on_finding(found.findings, failed.context)

    def question_of(self, kept: QuarantinedInput) -> Any:
        """The question that was kept; blocking. Raises `NotFound` when its bytes, or what would answer it, are gone."""
        if kept.endpoint not in self._codecs:
            raise NotFound(f"Nothing answers {kept.endpoint!r} here any more.", remedy="Serve that pipeline again.")
        return self._codecs[kept.endpoint].decode(self._get(kept.digest))

    async def release(self, kept_id: str, answer: Callable[[QuarantinedInput, Any], Any]) -> QuarantinedInput:
        """Lets an input go: it is answered now, by `answer`, and the quarantine remembers the decision.

        Raises:
            NotFound: nothing is kept under this id.
            Conflict: it was let go before, or is by somebody else at this moment.
        """
        assert self._store is not None
        if kept_id in self._leaving:
            raise Conflict(f"{kept_id} is released at this moment.", remedy="Look it up: /v1/quarantine/{id}.")
        self._leaving.add(kept_id)
        try:
            return await self._let_go(self._store, kept_id, answer)
        finally:
            self._leaving.discard(kept_id)

    async def _let_go(
        self, store: ReportStore, kept_id: str, answer: Callable[[QuarantinedInput, Any], Any]
    ) -> QuarantinedInput:
        kept = await asyncio.to_thread(store.kept, kept_id)
        if kept is None:
            raise NotFound(f"Nothing is in quarantine as {kept_id!r}.", remedy="List it: /v1/quarantine.")
        if kept.state is not QuarantineState.HELD:
            raise Conflict(f"{kept_id} was released before.", remedy=f"Its answer is {kept.decision_id}.")
        question = await asyncio.to_thread(self.question_of, kept)
        answered: Answered = await answer(kept, question)
        released = kept.released(now=datetime.now(UTC), decision_id=answered.decision.id)
        # Of two processes that let it go at once the first decision is the one that it is known by.
        if not await asyncio.to_thread(store.let_go, released):
            raise Conflict(f"{kept_id} was released meanwhile.", remedy="Look it up: /v1/quarantine/{id}.")
        return released

    async def _quarantined(self, arrival: Arrival, facts: Mapping[str, Any], found: Inspection) -> HeadraceError:
        words = " ".join(finding.detail for finding in found.findings)
        kept = await asyncio.to_thread(self._kept, arrival, facts, found)
        self._on_quarantine(kept, arrival.context)
        return Quarantined(f"The input is kept in quarantine. {words}", quarantine_id=kept.id)

    def _kept(self, arrival: Arrival | Failed, facts: Mapping[str, Any], found: Inspection) -> QuarantinedInput:
        assert self._store is not None
        content = self._codecs[arrival.endpoint].encode(arrival.question)
        context = arrival.context
        kept = QuarantinedInput(
            id=new_id("qua"),
            created_at=datetime.now(UTC),
            endpoint=arrival.endpoint,
            release=context.release,
            digest=self._put(content),
            filename=str(facts.get("name") or ""),
            media_type=str(facts.get("media_type") or ""),
            size_bytes=int(facts.get("size_bytes") or len(content)),
            findings=found.findings,
            tags=tuple(sorted(context.tags.items())),
            input_digest=context.input_digest,
        )
        self._store.keep(kept)
        return kept

    def _inspector(self, release: str) -> Inspector:
        inspector = self._inspectors.get(release)
        if inspector is None:
            anomaly = AnomalyDetector(level=self._settings.anomalies)
            inspector = Inspector(self._rules(anomaly), anomaly=anomaly, recent=self._recent)
            self._inspectors[release] = inspector
        return inspector

    def _rules(self, anomaly: AnomalyDetector) -> list[QualityRule]:
        rules = default_rules(anomaly=anomaly, recent=self._recent, languages=self._settings.languages)
        return configured([*rules, *self._own], self._settings.rules)
