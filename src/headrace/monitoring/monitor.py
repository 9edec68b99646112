"""Monitor: by the clock it takes in what processes saw, tests it, and raises and recovers alerts. One process does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import msgspec
import numpy as np

from headrace.domain.decision import new_id
from headrace.domain.report import Alert, Cause, Severity, WatchState
from headrace.domain.report_store import ReportStore, StoredWindow, WatchCheckpoint
from headrace.monitoring.alerts import AlertBook, AlertRule, Change
from headrace.monitoring.calibration import Calibration
from headrace.monitoring.coarsening import DAY_S, HOUR_S, coarsened
from headrace.monitoring.estimate import Estimator, Labelled
from headrace.monitoring.memory import MonitorMemory, memory_from
from headrace.monitoring.watch import ReleaseWatch, WatchOptions
from headrace.monitoring.window import EVERYTHING, WindowSketch, decoded, merged

_A_LOOK = 500
_SAVE_EVERY = 12


@dataclass(frozen=True, slots=True)
class Label:
    """What proved true of one decision; `segments` are those that it belongs to.

    `former` is what was said of it before, with the cursor of that: the last one wins.
    """

    release: str
    segments: tuple[str, ...]
    predicted: str
    actual: str
    confidence: float
    former: tuple[str, str] | None = None


Labels = Callable[[str], Iterable[tuple[str, Label | None]]]
"""Labels that came after a cursor, in order, each with the cursor to go on from; None says nothing of an answer."""


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """How the watch watches; `calm_s` is how long a drift must be gone for its alert to recover."""

    watch: WatchOptions = field(default_factory=WatchOptions)
    rules: tuple[AlertRule, ...] = ()
    calm_s: float = 60.0
    keep_s: float = 30 * 24 * 3600.0


class Monitor:
    """Everything that is done by the clock. Blocking; `look` is called again and again by one thread.

    `labels` gives what proved true; `calibration` and `reference` what came with a release, if anything. `on_anew` is
    told of each release whose tests begin anew, because other bets were made by the version that stored them.
    """

    def __init__(
        self,
        store: ReportStore,
        options: MonitorOptions,
        *,
        now: Callable[[], datetime],
        rng: np.random.Generator,
        labels: Labels = lambda _after: (),
        calibration: Callable[[str], Calibration | None] = lambda _release: None,
        reference: Callable[[str], Mapping[str, WindowSketch] | None] = lambda _release: None,
        on_anew: Callable[[str], None] = lambda _release: None,
    ) -> None:
        self._store = store
        self._options = options
        self._now = now
        self._rng = rng
        self._labels = labels
        self._calibration = calibration
        self._reference = reference
        self._on_anew = on_anew
        self._memory = MonitorMemory()
        self._watches: dict[str, ReleaseWatch] = {}
        self._book = AlertBook(rules=options.rules)
        self._dirty: dict[tuple[float, str], dict[str, WindowSketch]] = {}
        self._saved_through, self._saved_labels = 0, ""
        self._looks = 0
        self._has_news = False
        self._coarsened_at = 0.0
        self._lock = Lock()
        self._resume()

    def look(self, *, is_last: bool = False) -> list[Change]:
        """Takes in what has come since the last look; what people are to be told of it.

        Looks never overlap: one whose caller was cancelled goes on in its thread, and a second that began meanwhile
        would take the same batches in again.
        """
        with self._lock:
            return self._look(is_last=is_last)

    def _look(self, *, is_last: bool) -> list[Change]:
        changes: list[Change] = []
        self._book.hear_silences(self._store.alerts(is_open=True, cursor=None, limit=1000).items)
        while batches := self._store.batches(after=self._memory.through, limit=_A_LOOK):
            for stored in batches:
                changes += self._take(stored.content)
                self._memory.through = stored.number
        changes += self._learn_labels()
        changes += self._recoveries()
        changes += self._book.hold(self._figures(), now=self._now())
        self._save_alerts(changes)
        # Who is told of an alert should not find a report of before it, whatever becomes of this process.
        self._has_news |= bool(changes)
        self._looks += 1
        # Labels come when no decisions do, at night or for months: what they say is to be seen all the same.
        known = (self._memory.through, self._memory.labels_until)
        is_changed = bool(self._dirty) or known != (self._saved_through, self._saved_labels)
        if is_changed and (is_last or self._has_news or self._looks % _SAVE_EVERY == 0):
            self._save()
        return changes

    def save(self) -> None:
        """Saves what is remembered; when another process has taken over, goes on from what that one saved."""
        with self._lock:
            self._save()

    def _save(self) -> None:
        windows = list(self._windows())
        self._memory.needed = self._options.watch.reference_decisions
        self._memory.releases = {release: watch.memory() for release, watch in self._watches.items()}
        checkpoint = WatchCheckpoint(self._memory.through, msgspec.msgpack.encode(self._memory))
        # The watches know it all; kept here it would be in memory twice.
        self._memory.releases = {}
        is_ours = self._store.save_checkpoint(checkpoint, windows, follows=self._saved_through, now=self._now())
        if not is_ours:
            self._resume()
            return
        self._saved_through, self._saved_labels = checkpoint.through, self._memory.labels_until
        self._has_news = False
        self._dirty.clear()
        self._coarsen()

    def _coarsen(self) -> None:
        """Once an hour, merges windows that have become old, and forgets those that are too old."""
        now = self._now().timestamp()
        if now < self._coarsened_at + HOUR_S:
            return
        # What came late may lie in hours and days that were merged before.
        gone, made = coarsened(self._store.windows(since=now - 7 * DAY_S, until=now - HOUR_S), now=now)
        self._store.replace_windows(gone, made)
        self._store.forget_windows(before=now - self._options.keep_s)
        self._coarsened_at = now

    def _resume(self) -> None:
        self._memory = memory_from(self._store.checkpoint())
        self._saved_through, self._saved_labels = self._memory.through, self._memory.labels_until
        self._dirty.clear()
        self._watches = {}
        for release, memory in self._memory.releases.items():
            if self._watch(release).resume(memory):
                self._on_anew(release)
        self._memory.releases = {}
        self._book = AlertBook(rules=self._options.rules)
        self._book.resume(self._store.alerts(is_open=True, cursor=None, limit=1000).items)
        self._book.resume(self._store.alerts(is_open=False, cursor=None, limit=1000).items)

    def _watch(self, release: str) -> ReleaseWatch:
        watch = self._watches.get(release)
        if watch is None:
            watch = self._watches[release] = ReleaseWatch(
                release, self._options.watch, self._rng, reference=self._reference(release)
            )
            # Who asks how a new release fares should not have to wait for the next usual time.
            self._has_news = True
        return watch

    def _take(self, content: bytes) -> list[Change]:
        batch = decoded(content)
        memory = self._memory
        memory.dropped += batch.dropped
        memory.skewed += batch.skewed
        memory.unseen += batch.unseen
        memory.unseen_because = batch.unseen_because or memory.unseen_because
        changes: list[Change] = []
        for release, sketches in batch.sketches.items():
            count = sketches[EVERYTHING].count if EVERYTHING in sketches else 0
            memory.seen[release] = memory.seen.get(release, 0) + count
            memory.first_seen.setdefault(release, batch.window_start)
            watch = self._watch(release)
            exemplars = [each for each in batch.exemplars if each.release == release]
            if watch.state is WatchState.LEARNING:
                memory.reference_until[release] = self._now().timestamp()
            was_learning = watch.state is WatchState.LEARNING
            causes = watch.take(sketches, exemplars)
            self._has_news |= was_learning and watch.state is WatchState.WATCHING
            changes += self._raised(release, causes)
            merged(self._dirty.setdefault((batch.window_start, release), {}), sketches)
        for release in batch.recalibrate:
            changes += self._recalibrated(release)
        return changes

    def _recalibrated(self, release: str) -> list[Change]:
        """The estimates of a release go by its labels, if they are enough; the alert that distrusts them recovers."""
        estimator = self._estimator(release)
        truth = estimator.truths.get(EVERYTHING)
        if truth is None or not estimator.recalibrate(truth, through=self._memory.labels_until):
            return []
        return self._book.calmed(f"accuracy:{release}", is_calm=True, now=self._now(), calm_s=0.0)

    def _raised(self, release: str, causes: Sequence[Cause]) -> list[Change]:
        before = set(self._book.open)
        changes = self._book.drifted(release, causes, now=self._now())
        if causes:
            for key in before & set(self._book.open):
                if self._book.open[key].release == release:
                    self._store.save_alert(self._book.open[key])
        return changes

    def _learn_labels(self) -> list[Change]:
        changes: list[Change] = []
        for cursor, label in self._labels(self._memory.labels_until):
            self._memory.labels_until = cursor
            if label is None:
                continue
            estimator = self._estimator(label.release)
            answer = Labelled(label.predicted, label.actual, label.confidence)
            # What was said before an estimate was made anew by its labels is not among those it has counted since.
            if label.former is not None and label.former[1] > estimator.since:
                lost = estimator.revise(label.segments, answer, former=label.former[0])
            else:
                lost = estimator.learn(label.segments, answer)
            for segment in lost:
                changes += self._distrusted(label.release, segment, estimator.distrusted[segment])
        return changes

    def _estimator(self, release: str) -> Estimator:
        estimator = self._memory.estimators.get(release)
        if estimator is None:
            calibration = self._calibration(release)
            estimator = Estimator(calibration or Calibration(), is_calibrated=calibration is not None)
            self._memory.estimators[release] = estimator
        return estimator

    def _distrusted(self, release: str, segment: str, reason: str) -> list[Change]:
        now = self._now()
        alert = Alert(
            id=new_id("alt"),
            key=f"accuracy:{release}",
            rule="estimate_distrusted",
            severity=Severity.CRITICAL,
            title=f"Answers are not as right as they seem in {segment}",
            detail=reason,
            raised_at=now,
            release=release,
            evidence=("/v1/monitors",),
        )
        return self._book.raise_one(alert, now=now)

    def _recoveries(self) -> list[Change]:
        changes: list[Change] = []
        now = self._now()
        for key, alert in list(self._book.open.items()):
            if alert.rule != "drift" or alert.cause is None or alert.release not in self._watches:
                continue
            watch = self._watches[alert.release]
            cause = alert.cause
            if now - alert.raised_at <= _RENEWED:
                cause = watch.renewed(cause)
                if renewed := self._book.renew(key, cause):
                    self._store.save_alert(renewed)
            causes = (cause, *alert.signs)
            calm = {watch.is_calm(each.feature, each.segment) for each in causes}
            is_calm = False if False in calm else None if None in calm else True
            recovered = self._book.calmed(key, is_calm=is_calm, now=now, calm_s=self._options.calm_s)
            if recovered:
                for each in causes:
                    watch.reset(each.feature, each.segment)
            changes += recovered
        return changes

    def _figures(self) -> Mapping[str, float]:
        """What rules may go by, over the last few hundred decisions of the release that was seen last."""
        counts = self._store.counts()
        figures = {"quarantined": float(counts["held"]), "dropped": float(self._memory.dropped)}
        if not self._watches:
            return figures
        release, watch = list(self._watches.items())[-1]
        lately = watch.lately(EVERYTHING)
        if not lately.count:
            return figures
        figures["suspect_share"] = lately.suspect / lately.count
        duration = lately.numbers.get("duration_ms")
        if duration is not None:
            median, high = duration.quantiles((0.5, 0.95))
            figures |= {"latency_p50_ms": median, "latency_p95_ms": high}
        estimate = self._estimator(release).estimate(EVERYTHING, lately)
        if estimate.estimated is not None and self._estimator(release).may_act(EVERYTHING):
            figures["estimated_accuracy"] = estimate.estimated.value
        if estimate.realised is not None and estimate.labels >= _FEWEST_LABELS:
            figures["realised_accuracy"] = estimate.realised.value
        return figures

    def _windows(self) -> Iterable[StoredWindow]:
        """The windows that changed, with what was stored of them before."""
        decoder = msgspec.msgpack.Decoder(WindowSketch)
        for (start, release), sketches in self._dirty.items():
            before = self._store.windows(since=start, until=start + 1e-3, release=release)
            known = {stored.segment: stored.content for stored in before}
            for segment, sketch in sketches.items():
                whole = decoder.decode(known[segment]) if segment in known else WindowSketch()
                whole.merge(sketch)
                yield StoredWindow(start, release, segment, msgspec.msgpack.encode(whole))

    def _save_alerts(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._store.save_alert(change.alert)


_FEWEST_LABELS = 30
_RENEWED = timedelta(minutes=15)
"""For so long what an alert says of its cause follows what is seen: it is raised by the first few decisions."""
