"""Accuracy without labels, anomalies, and what the watch costs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from typing import Any

import numpy as np
from figures import Figures, shared_folder

from headrace.domain.decision import Decision, new_id
from headrace.domain.observation import Observation
from headrace.monitoring.anomaly import FIT, AnomalyDetector
from headrace.monitoring.calibration import Calibration, estimated_accuracy
from headrace.monitoring.estimate import Estimator, Labelled
from headrace.monitoring.monitor import Monitor, MonitorOptions
from headrace.monitoring.recorder import WatchRecorder
from headrace.monitoring.reporter import Reporter
from headrace.monitoring.window import Seen, WindowSketch
from headrace.storage.reports import SqlReports
from headrace.storage.schema import opened_database
from headrace_documents.classifier.embedding import embedding_of
from headrace_documents.classifier.tokens import StaticReader

_A_FLUSH = 2_000
"""Decisions that come between two looks, a million an hour."""
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def estimates(figures: Figures, *, windows: int) -> None:
    """Models that are too sure of themselves, and windows whose inputs are of another mix than the calibration's."""
    rng = np.random.default_rng(1)
    for name, right in {
        "too sure": lambda c: c**1.8,
        "not sure enough": lambda c: c**0.6,
        "as sure as right": lambda c: c,
    }.items():
        hits = 0
        for _ in range(windows):
            sure = rng.beta(5, 2, 1000)
            calibration = Calibration.fitted(sure, rng.random(1000) < right(sure))
            # Covariate shift: easy or hard inputs come more often, what a confidence means stays.
            a, b = rng.uniform(1, 6, 2)
            shifted = rng.beta(a, b, 300)
            truth = float((rng.random(300) < right(shifted)).mean())
            found = estimated_accuracy(_sketch(shifted).confidence, calibration)
            hits += found is not None and found.low <= truth <= found.high
        figures.tell("accuracy inside its interval", hits / windows, unit="share", windows=windows, model=name)
    needed = [_labels_until_distrusted(rng) for _ in range(max(10, windows // 20))]
    figures.tell("labels until distrusted, accuracy 25 points lower", np.median(needed), unit="labels")


def anomalies(figures: Figures, *, rounds: int, most: int) -> None:
    """In-scope queries of CLINC150 as normal inputs; out-of-scope ones and US bills as far-out ones."""
    folder = shared_folder("data/classification")
    if folder is None:
        return
    rows = _lines(folder / "clinc150_oos.jsonl.gz")
    reader = StaticReader()

    def embedded(texts: Sequence[str]) -> list[Any]:
        return [found for text in texts if len(found := embedding_of({"static": reader.read(text).pooled()}))]

    normal = embedded([row["text"] for row in rows if row["label"] != "oos"][:most])
    bills = embedded([row["text"] for row in _lines(folder / "us_bills_107" / "bills.jsonl.gz")][:1000])
    rng = np.random.default_rng(2)
    for level in (0.01, 0.05):
        flagged, recall = [], []
        for _ in range(rounds):
            order = rng.permutation(len(normal))
            detector = AnomalyDetector(level=level)
            half = len(order) // 2
            for place in order[: min(half, FIT + 2000)]:
                detector.learn(normal[place])
            flagged.append(np.mean([detector.is_anomalous(normal[place]) for place in order[half:]]))
            recall.append(np.mean([detector.is_anomalous(vector) for vector in bills]))
        figures.tell("normal inputs flagged", np.mean(flagged), unit="share", asked=level, rounds=rounds)
        figures.tell("far-out inputs flagged", np.mean(recall), unit="share", asked=level, data="us_bills_107")


def cost(figures: Figures, *, decisions: int) -> None:
    """A million decisions in 100 segments through the witness, the store, the look by the clock, and a report."""
    with TemporaryDirectory() as folder:
        store = SqlReports(opened_database(f"sqlite:///{folder}/headrace.db"))
        clock = [NOW.timestamp()]
        recorder = WatchRecorder(store.add_batch, clock=lambda: clock[0], flush_s=3600, share=1.0, bound=1 << 22)
        monitor = Monitor(store, MonitorOptions(), now=lambda: _moment(clock[0]), rng=np.random.default_rng(3))
        make = _observations(np.random.default_rng(4))
        noting, testing = 0.0, 0.0
        before = _resident_bytes()
        for start in range(0, decisions, _A_FLUSH):
            pairs = [make(clock[0]) for _ in range(min(_A_FLUSH, decisions - start))]
            begun = thread_time()
            for decision, observation in pairs:
                recorder(decision, partial(_same, observation))
            noting += thread_time() - begun
            begun = thread_time()
            recorder.flush()
            monitor.look()
            testing += thread_time() - begun
            clock[0] += _A_FLUSH / 1_000_000 * 3600
        monitor.save()
        del pairs
        size = _resident_bytes() - before
        facts: dict[str, Any] = {"decisions": decisions, "segments": 101}
        figures.tell("on the hot path, a decision", noting / decisions * 1e6, unit="us", **facts)
        figures.tell("off the hot path, a decision", testing / decisions * 1e6, unit="us", **facts)
        figures.tell("memory of witness and watch", size / 2**20, unit="MiB", **facts)
        reporter = Reporter(store, now=lambda: _moment(clock[0]))
        begun = thread_time()
        report = reporter.report("sha256:bench", window_s=clock[0] - NOW.timestamp() + 600)
        figures.tell(
            "report over all of it", thread_time() - begun, unit="s", seen=report.drift.window.decisions, **facts
        )
        recorder.close()


def _same(observation: Observation) -> Observation:
    return observation


def _resident_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def _labels_until_distrusted(rng: np.random.Generator) -> int:
    sure = rng.beta(5, 2, 2000)
    estimator = Estimator(Calibration.fitted(sure, rng.random(2000) < sure), is_calibrated=True)
    for count in range(1, 3000):
        confidence = float(rng.beta(5, 2))
        is_right = rng.random() < confidence - 0.25
        if estimator.learn(["all"], Labelled("a", "a" if is_right else "b", confidence)):
            return count
    return 3000


def _sketch(confidences: Sequence[float]) -> WindowSketch:
    sketch = WindowSketch()
    for confidence in confidences:
        sketch.add(Seen.of(Observation(numbers={"confidence": float(confidence)})))
    return sketch


def _lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _observations(rng: np.random.Generator) -> Callable[[float], tuple[Decision, Observation]]:
    """Decisions of a pipeline with eight numbers, two categories and 100 sources."""
    sources = [f"source-{place}" for place in range(100)]
    labels = ["invoice", "letter", "report", "contract", "form"]
    decision = Decision(
        id=new_id("dec"),
        created_at=NOW,
        endpoint="mill/grind",
        release="sha256:bench",
        variant="champion",
        input_digest="",
        body=b"{}",
        duration_ms=20.0,
    )

    def make(moment: float) -> tuple[Decision, Observation]:
        values = rng.lognormal(3, 1, 6)
        numbers = {f"number_{place}": float(value) for place, value in enumerate(values)}
        numbers |= {"confidence": float(rng.beta(5, 2)), "duration_ms": float(values[0])}
        at = decision if decision.created_at.timestamp() == moment else _at(decision, moment)
        label = labels[int(rng.integers(5))]
        return at, Observation(
            numbers=numbers, categories={"label": label}, tags={"source": sources[int(rng.integers(100))]}
        )

    return make


def _at(decision: Decision, moment: float) -> Decision:
    return Decision(**{name: getattr(decision, name) for name in decision.__slots__} | {"created_at": _moment(moment)})
