"""Reporter: what the stores know, as reports: drift, quality, estimates over time; it only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from headrace.domain.report import (
    DriftReport,
    Effect,
    Estimate,
    Explanation,
    MonitorReport,
    MonitorStatus,
    Point,
    QualityReport,
    Scorecard,
    Span,
    WatchState,
)
from headrace.domain.report_store import ReportStore
from headrace.monitoring.calibration import Calibration, estimated_accuracy
from headrace.monitoring.coarsening import start_at
from headrace.monitoring.drift import (
    explained_by_segments,
    explained_by_terms,
    label_that_moved,
    most_telling,
    shifts,
)
from headrace.monitoring.estimate import Estimator
from headrace.monitoring.memory import MonitorMemory, memory_from
from headrace.monitoring.window import EVERYTHING, WindowSketch, decoded, merged

Scorecards = Callable[[str, datetime, Mapping[str, WindowSketch]], tuple[Scorecard, ...]]
"""What the decisions of a release were worth since a moment; they are counted by the sketches of their segments."""
_MOST_EFFECTS = 200
_FEW = 100
_CHART_WINDOWS = 60
_NEARLY_ALL = 0.95
_SLACK_S = 300.0
_NEXT_TO_NOTHING = 5e-5
_TRIES = 5
Read = TypeVar("Read")


class Reporter:
    """Makes reports of what is stored, with what processes have handed in and nobody has taken in yet."""

    def __init__(
        self,
        store: ReportStore,
        *,
        now: Callable[[], datetime],
        reference_decisions: int = 500,
        scorecards: Scorecards = lambda _release, _since, _window: (),
    ) -> None:
        self._store = store
        self._scorecards = scorecards
        self._now = now
        self._needed = reference_decisions

    def releases(self) -> list[str]:
        """Every release that was ever seen, the one with the newest decisions first."""
        return self._settled(lambda memory: _releases(memory, self._waiting(memory)))

    def status(self, release: str | None = None) -> list[MonitorStatus]:
        """Each release at a glance."""
        return self._settled(lambda memory: self._status(memory, release))

    def _status(self, memory: MonitorMemory, release: str | None) -> list[MonitorStatus]:
        alerts = self._store.alerts(is_open=True, cursor=None, limit=100).items
        waiting = self._waiting(memory)
        names = _releases(memory, waiting) if release is None else [release]
        return [
            MonitorStatus(
                release=name,
                state=self._state(memory, name),
                decisions=memory.seen.get(name, 0) + waiting.get(name, 0),
                reference_decisions=_count(memory.reference(name)),
                needed=memory.needed or self._needed,
                dropped=memory.dropped,
                open_alerts=tuple(alert for alert in alerts if alert.release in {name, ""}),
                estimates=tuple(self._estimates(memory, name, memory.lately(name))),
                notes=self._notes(memory, name, waiting=waiting.get(name, 0)),
            )
            for name in names
        ]

    def report(self, release: str, *, window_s: float = 3600.0, field: str | None = None) -> MonitorReport:
        """The last `window_s` seconds against the reference; `field` limits segments to those of one tag."""
        return self._settled(lambda memory: self._report(memory, release, window_s=window_s, field=field))

    def _report(self, memory: MonitorMemory, release: str, *, window_s: float, field: str | None) -> MonitorReport:
        now = self._now()
        since = now.timestamp() - window_s
        window, points = self._window(memory, release, since=since, until=now.timestamp() + _SLACK_S)
        if field is not None:
            window = {name: sketch for name, sketch in window.items() if _is_of(name, field)}
        whole = window.get(EVERYTHING, WindowSketch())
        reference = memory.reference(release)
        span = Span(datetime.fromtimestamp(since, UTC), now, whole.count)
        state = self._state(memory, release)
        waiting = self._waiting(memory).get(release, 0) if state is WatchState.LEARNING else 0
        drift = DriftReport(
            release=release,
            state=state,
            reference=self._reference_span(memory, release),
            window=span,
            effects=tuple(self._effects(reference, window)),
            causes=tuple(
                cause
                for alert in self._store.alerts(is_open=True, cursor=None, limit=100).items
                if alert.release == release and alert.cause is not None
                for cause in (alert.cause, *alert.signs)
            ),
            explanations=tuple(_explanations(memory.mix(release), memory.learned(release), window)),
            dropped=memory.dropped,
            skewed=memory.skewed,
            note=" ".join(self._notes(memory, release, waiting=waiting, decisions=whole.count)),
            is_given=memory.is_given(release),
        )
        quality = QualityReport(
            decisions=whole.count,
            suspect=whole.suspect,
            quarantined=self._store.counts()["held"],
            findings=tuple(sorted(whole.findings.counts.items(), key=lambda item: (-item[1], item[0]))),
        )
        estimates = tuple(self._estimates(memory, release, window))
        return MonitorReport(drift, quality, estimates, points, self._scorecards(release, span.start, window))

    def labels(self, release: str) -> int:
        """How many labels of a release have come since it was calibrated."""
        truth = self._memory().estimators.get(release, Estimator()).truths.get(EVERYTHING)
        return 0 if truth is None else truth.labels

    def scorecards(self, release: str, *, window_s: float) -> tuple[Scorecard, ...]:
        """What the decisions of the last `window_s` seconds were worth, by metric."""
        now = self._now().timestamp()
        window, _ = self._settled(
            lambda memory: self._window(memory, release, since=now - window_s, until=now + _SLACK_S)
        )
        return self._scorecards(release, datetime.fromtimestamp(now - window_s, UTC), window)

    def _memory(self) -> MonitorMemory:
        return memory_from(self._store.checkpoint())

    def _settled(self, read: Callable[[MonitorMemory], Read]) -> Read:
        """What is read of one state of the store, though it takes several looks at it.

        When the watch saves, batches become windows: whoever has looked for windows before and looks for batches
        afterwards finds the newest decisions in neither. So what was read meanwhile is read again.
        """
        for _ in range(_TRIES):
            memory = self._memory()
            found = read(memory)
            now = self._store.checkpoint()
            if now is None or now.through == memory.through:
                break
        return found

    def _window(
        self, memory: MonitorMemory, release: str, *, since: float, until: float
    ) -> tuple[dict[str, WindowSketch], tuple[Point, ...]]:
        """The sketches of that time by segment, and the whole of it over time."""
        window: dict[str, WindowSketch] = {}
        over_time: dict[float, WindowSketch] = {}

        def take(start: float, sketches: Mapping[str, WindowSketch]) -> None:
            merged(window, sketches)
            if EVERYTHING in sketches:
                over_time.setdefault(start, WindowSketch()).merge(sketches[EVERYTHING])

        decoder = msgspec.msgpack.Decoder(WindowSketch)
        # Old windows are wide: the one that holds the beginning counts whole.
        first = start_at(since - _SLACK_S, now=self._now().timestamp())
        for stored in self._store.windows(since=first, until=until, release=release):
            take(stored.start, {stored.segment: decoder.decode(stored.content)})
        for waiting in self._store.batches(after=memory.through, limit=10_000):
            batch = decoded(waiting.content)
            if batch.window_start >= first and release in batch.sketches:
                take(batch.window_start, batch.sketches[release])
        estimator = memory.estimators.get(release, Estimator())
        return window, tuple(_points(over_time, estimator.calibration))

    def _effects(self, reference: Mapping[str, WindowSketch], window: Mapping[str, WindowSketch]) -> list[Effect]:
        whole = _count(window)
        found = [
            shift
            for segment, sketch in window.items()
            # A segment that holds nearly every decision says nothing beyond the whole.
            if segment in reference and (segment == EVERYTHING or sketch.count < _NEARLY_ALL * whole)
            for shift in shifts(reference[segment], sketch, segment)
            # Nor does a tag say anything of the segment that it names.
            if not segment.startswith(f"{shift.feature}=")
        ]
        return most_telling(found, limit=_MOST_EFFECTS)

    def _estimates(self, memory: MonitorMemory, release: str, window: Mapping[str, WindowSketch]) -> Iterable[Estimate]:
        estimator = memory.estimators.get(release, Estimator())
        ranked = sorted(window, key=lambda name: (name != EVERYTHING, -window[name].count, name))
        for segment in ranked[:20]:
            if window[segment].confidence:
                yield estimator.estimate(segment, window[segment])

    def _state(self, memory: MonitorMemory, release: str) -> WatchState:
        is_full = memory.is_given(release) or _count(memory.reference(release)) >= (memory.needed or self._needed)
        return WatchState.WATCHING if is_full else WatchState.LEARNING

    def _waiting(self, memory: MonitorMemory) -> dict[str, int]:
        """Decisions by release that were handed in and that the watch has not looked at yet."""
        waiting: dict[str, int] = {}
        for stored in self._store.batches(after=memory.through, limit=10_000):
            for release, sketches in decoded(stored.content).sketches.items():
                waiting[release] = waiting.get(release, 0) + _count(sketches)
        return waiting

    def _reference_span(self, memory: MonitorMemory, release: str) -> Span | None:
        reference = memory.reference(release)
        first = memory.first_seen.get(release)
        if not reference or first is None:
            return None
        last = memory.reference_until.get(release, first)
        return Span(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC), _count(reference))

    def _notes(
        self, memory: MonitorMemory, release: str, *, waiting: int, decisions: int | None = None
    ) -> tuple[str, ...]:
        notes = []
        known, needed = _count(memory.reference(release)), memory.needed or self._needed
        if known < needed and not memory.is_given(release):
            come = (
                f"{known} have come" if not waiting else f"{known} were looked at and {waiting} wait for the next look"
            )
            notes.append(
                f"There is no reference yet: it is learned from the first {needed} decisions, of which {come}. "
                "Until then nothing raises an alarm."
            )
        if decisions is not None and decisions < _FEW:
            notes.append(f"The window holds {decisions} decisions, so small shifts cannot be seen in it.")
        if memory.dropped:
            notes.append(f"{memory.dropped:,} decisions were not looked at, for want of time.")
        if memory.unseen:
            notes.append(
                f"{memory.unseen:,} decisions could not be looked at, for their `observation()` failed, lately by "
                f"{memory.unseen_because}."
            )
        if memory.skewed:
            notes.append(f"{memory.skewed} decisions came with a clock that was wrong; they count for when they came.")
        return tuple(notes)


def _releases(memory: MonitorMemory, waiting: Mapping[str, int]) -> list[str]:
    """Every release that was looked at, the newest first, and then those that wait."""
    return list(dict.fromkeys([*reversed(list(memory.releases)), *waiting]))


def _explanations(
    mix: Mapping[str, WindowSketch], reference: Mapping[str, WindowSketch], window: Mapping[str, WindowSketch]
) -> Iterable[Explanation]:
    before, after = reference.get(EVERYTHING), window.get(EVERYTHING)
    if before is None or after is None:
        return
    label = label_that_moved(before, after)
    if label is not None:
        for field in sorted({name.partition("=")[0] for name in window if name != EVERYTHING} - {"variant"}):
            found = explained_by_segments(mix, window, field, label)
            # Where all are of one segment it explains all of any change, which says nothing.
            if found is not None and sum(abs(cause.change) > _NEXT_TO_NOTHING for cause in found.causes) > 1:
                yield found
    terms = explained_by_terms(before, after)
    if terms is not None:
        yield terms


def _points(over_time: Mapping[float, WindowSketch], calibration: Calibration) -> Iterable[Point]:
    for start in sorted(over_time)[-_CHART_WINDOWS:]:
        sketch = over_time[start]
        sure = sum(sketch.confidence.values())
        duration = sketch.numbers.get("duration_ms")
        labels = sketch.categories.get("label")
        right = estimated_accuracy(sketch.confidence, calibration)
        yield Point(
            start=datetime.fromtimestamp(start, UTC),
            decisions=sketch.count,
            confidence=sketch.sure / sure if sure else None,
            suspect=sketch.suspect / sketch.count if sketch.count else 0.0,
            duration_ms=duration.quantiles((0.5,))[0] if duration is not None else None,
            labels=tuple(list(labels.shares().items())[:6]) if labels is not None else (),
            accuracy=right.value if right is not None else None,
        )


def _count(sketches: Mapping[str, WindowSketch]) -> int:
    whole = sketches.get(EVERYTHING)
    return 0 if whole is None else whole.count


def _is_of(segment: str, field: str) -> bool:
    return segment == EVERYTHING or segment.startswith(f"{field}=")
