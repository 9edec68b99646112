"""Labels of decisions: late, repeated or contradicting, the last word of each is what the watch goes by."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from headrace.assembly.labels import SETTLED_S, labels_of
from headrace.assembly.stores import opened_stores
from headrace.domain.decision import Decision
from headrace.domain.feedback import feedback_on
from headrace.domain.observation import Observation
from headrace.monitoring.monitor import Monitor, MonitorOptions
from headrace.monitoring.reporter import Reporter
from headrace.monitoring.window import Batch, Seen, WindowSketch, encoded
from headrace.settings import Settings
from headrace.storage.reports import SqlReports

NOW = datetime.now(UTC)


def decided(number, tags=None, confidence=0.9):
    return Decision(
        id=f"dec_{number:03d}",
        created_at=NOW - timedelta(hours=1),
        endpoint="mill/grind",
        release="sha256:a",
        variant="champion",
        input_digest="",
        body=msgspec.json.encode({"label": "wheat", "tags": tags or {}}),
        duration_ms=1.0,
        confidence=confidence,
    )


def told(stores, decisions, label, *, at):
    stores.feedback.add([feedback_on(each, label, now=NOW + at) for each in decisions])


def realised(reports):
    (estimate,) = (each for each in Reporter(reports, now=lambda: NOW).report("sha256:a").estimates)
    return estimate.labels, estimate.realised.value


def test_of_labels_that_contradict_each_other_the_last_wins_in_what_the_watch_tells(tmp_path):
    decisions = [decided(number) for number in range(8)]
    sketch = WindowSketch()
    for _ in decisions:
        sketch.add(Seen.of(Observation(numbers={"confidence": 0.9})))
    with closing(opened_stores(Settings(data=str(tmp_path)))) as stores:
        stores.decisions.add(decisions)
        reports = SqlReports(stores.database)
        reports.add_batch(
            encoded(Batch(process="one", window_start=NOW.timestamp(), sketches={"sha256:a": {"all": sketch}}))
        )
        monitor = Monitor(
            reports, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1), labels=labels_of(stores)
        )

        told(stores, decisions, "rye", at=timedelta(minutes=-30))
        monitor.look(is_last=True)
        first = realised(reports)
        told(stores, decisions[:6], "wheat", at=timedelta(minutes=-20))
        told(stores, decisions[:2], "wheat", at=timedelta(minutes=-10))
        monitor.look()
        monitor.save()

        assert first == (8, 0.0)
        assert realised(reports) == (8, 0.75)


def test_the_segments_of_a_label_have_the_names_under_which_the_watch_saw_them(tmp_path):
    tags = {"source": "erp", "empty": "", "tenant": "a name that is longer than eighty characters " * 3}
    decision = decided(1, tags=tags)
    with closing(opened_stores(Settings(data=str(tmp_path)))) as stores:
        stores.decisions.add([decision])
        told(stores, [decision], "rye", at=timedelta(minutes=-30))
        ((_, label),) = labels_of(stores)("")

    seen = Seen.of(Observation(tags={"variant": "champion", **tags}))

    assert set(label.segments) == set(seen.segments)


@pytest.mark.parametrize("confidence", [float("inf"), 87.0, -0.5])
def test_a_label_of_an_answer_whose_confidence_is_none_says_nothing_and_stops_nothing(tmp_path, confidence):
    decisions = [decided(1, confidence=confidence), decided(2)]
    with closing(opened_stores(Settings(data=str(tmp_path)))) as stores:
        stores.decisions.add(decisions)
        told(stores, decisions, "rye", at=timedelta(minutes=-30))
        reports = SqlReports(stores.database)
        monitor = Monitor(
            reports, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1), labels=labels_of(stores)
        )
        monitor.look()
        monitor.save()

        assert Reporter(reports, now=lambda: NOW).labels("sha256:a") == 1


def test_a_label_that_was_told_just_now_waits_for_those_that_are_on_their_way(tmp_path):
    with closing(opened_stores(Settings(data=str(tmp_path)))) as stores:
        stores.decisions.add([decided(1)])
        told(stores, [decided(1)], "wheat", at=timedelta(0))

        assert list(labels_of(stores, clock=lambda: NOW + timedelta(seconds=SETTLED_S - 1))("")) == []
        assert list(labels_of(stores, clock=lambda: NOW + timedelta(seconds=SETTLED_S + 1))("")) != []
