"""The monitor: what it takes in counts once, whoever asks it to look, and whenever."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import numpy as np
import pytest

from headrace.domain.model import REFERENCE
from headrace.domain.observation import Observation
from headrace.domain.report import WatchState
from headrace.errors import UnreadableArtifact
from headrace.monitoring.monitor import Label, Monitor, MonitorOptions
from headrace.monitoring.reporter import Reporter
from headrace.monitoring.window import Batch, Seen, WindowSketch, encoded, reference_read, reference_written
from headrace.registry.formats import check_files
from headrace.storage.reports import SqlReports
from headrace.storage.schema import opened_database

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class SlowReports(SqlReports):
    """A store that hands batches out only when it is told to."""

    def __init__(self, database) -> None:
        super().__init__(database)
        self.is_asked, self.may_answer = Event(), Event()

    def batches(self, *, after, limit):
        found = super().batches(after=after, limit=limit)
        self.is_asked.set()
        assert self.may_answer.wait(30)
        return found


class CountingReports(SqlReports):
    """A store that counts how often it is asked for batches."""

    asked = 0

    def batches(self, *, after, limit):
        self.asked += 1
        return super().batches(after=after, limit=limit)


def batch_of(decisions, *, at=NOW, weight=1.0):
    sketch = WindowSketch()
    for _ in range(decisions):
        sketch.add(Seen.of(Observation(numbers={"weight": weight})))
    return encoded(Batch(process="one", window_start=at.timestamp(), sketches={"sha256:a": {"all": sketch}}))


def test_looks_that_overlap_take_every_batch_in_once(tmp_path):
    store = SlowReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1))
    store.add_batch(batch_of(7))
    cancelled, last = Thread(target=monitor.look), Thread(target=lambda: monitor.look(is_last=True))

    cancelled.start()
    assert store.is_asked.wait(30)
    last.start()
    store.may_answer.set()
    cancelled.join(30)
    last.join(30)

    report = Reporter(store, now=lambda: NOW).report("sha256:a")
    assert report.drift.window.decisions == 7


def test_old_windows_become_hours_and_days_and_reports_still_count_every_decision(tmp_path):
    store = SqlReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    moments = [NOW - timedelta(minutes=5 * step) for step in range(6 * 12)]
    moments += [NOW - timedelta(days=5, hours=hour) for hour in range(3)]
    for moment in moments:
        store.add_batch(batch_of(2, at=moment))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1))

    monitor.look(is_last=True)

    stored = store.windows(since=0.0, until=NOW.timestamp() + 1)
    # Two hours of five minutes each, four older hours, and one day five days ago.
    assert len(stored) == 25 + 4 + 1
    report = Reporter(store, now=lambda: NOW).report("sha256:a", window_s=6 * 24 * 3600)
    assert report.drift.window.decisions == 2 * len(moments)


def test_a_report_counts_every_decision_once_though_the_watch_saves_while_it_is_made(tmp_path):
    class Meanwhile(SqlReports):
        """The watch saves right after windows were looked for, and before batches are."""

        def windows(self, *, since, until, release=None):
            found = super().windows(since=since, until=until, release=release)
            if saving:
                saving.pop()()
            return found

    saving = []
    store = Meanwhile(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1))
    reporter = Reporter(store, now=lambda: NOW)
    store.add_batch(batch_of(20))
    monitor.look(is_last=True)
    store.add_batch(batch_of(7))

    saving.append(lambda: monitor.look(is_last=True))

    report = reporter.report("sha256:a")

    assert saving == []
    assert report.drift.window.decisions == 27


def test_a_look_that_raises_an_alert_is_saved_at_once_so_that_the_report_knows_what_the_alert_knows(tmp_path):
    store = SqlReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1))
    store.add_batch(batch_of(20))
    monitor.look()
    saved = store.checkpoint().through
    store.add_batch(batch_of(20))
    monitor.look()
    assert store.checkpoint().through == saved

    for _ in range(60):
        store.add_batch(batch_of(20))
    for place in range(20):
        store.add_batch(batch_of(20, weight=5.0 + place))
    changes = monitor.look()

    assert [change.kind for change in changes] == ["raised"]
    assert store.checkpoint().through == saved + 81


def test_labels_are_told_of_and_remembered_though_no_decision_comes_with_them(tmp_path):
    """What was decided by day is labelled by night: status, and who wants to recalibrate, know of it all the same."""
    store, said = SqlReports(opened_database(f"sqlite:///{tmp_path}/headrace.db")), []

    def labels(after):
        return [(cursor, label) for cursor, label in said if cursor > after]

    def monitor():
        return Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1), labels=labels)

    watch = monitor()
    store.add_batch(batch_of(20))
    watch.look()
    said += [(f"fbk_{number:03}", Label("sha256:a", ("all",), "a", "b", 0.99)) for number in range(60)]
    (change,) = watch.look()

    assert change.alert.rule == "estimate_distrusted"
    assert Reporter(store, now=lambda: NOW).labels("sha256:a") == 60
    assert monitor().look() == []
    assert Reporter(store, now=lambda: NOW).labels("sha256:a") == 60


def test_a_release_that_brings_its_reference_is_watched_from_its_first_decision(tmp_path):
    """Weights were around 10 in training; traffic is at 3 from the first decision on, which nobody would learn from."""
    rng = np.random.default_rng(2)
    given = reference_read(reference_written({"all": weights(rng.normal(10, 1, 400))}))
    store = SqlReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=rng, reference=lambda _release: given)
    store.add_batch(encoded(Batch("one", NOW.timestamp(), {"sha256:a": {"all": weights(rng.normal(3, 1, 200))}})))

    monitor.look()

    report = Reporter(store, now=lambda: NOW).report("sha256:a")
    assert report.drift.is_given
    assert report.drift.state is WatchState.WATCHING
    assert report.drift.effects[0].psi.low > 0.5
    assert "no reference" not in report.drift.note


def test_a_reference_is_a_file_that_a_model_may_have_and_may_say_nothing_to_the_watch():
    written = reference_written({"all": weights([1.0, 2.0])})

    check_files({REFERENCE: written})
    assert reference_read(written)["all"].count == 2
    assert reference_read(b'{"examples":3,"categories":{"label":{"letter":3}},"confidence":[3]}') == {}


def test_what_holds_no_reference_is_refused():
    with pytest.raises(UnreadableArtifact, match="no drift reference"):
        reference_read(b"\x00nothing")


def weights(values):
    sketch = WindowSketch()
    for value in values:
        sketch.add(Seen.of(Observation(numbers={"weight": float(value)})))
    return sketch


def test_a_monitor_that_begins_anew_alarms_at_the_decision_at_which_the_old_one_would_have(tmp_path):
    """Saved while some references are full, some still learn, and tests have begun; then everything shifts."""
    rng = np.random.default_rng(5)
    batches = [
        {"all": rng.normal(10 if place < 30 else 13, 1, 40), "source=seldom": rng.normal(5, 1, 3)}
        for place in range(40)
    ]

    def alarmed(folder, *, is_interrupted):
        store = SqlReports(opened_database(f"sqlite:///{folder}/headrace.db"))
        chance = np.random.default_rng(6)
        monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=chance)
        for place, values in enumerate(batches):
            store.add_batch(batch_with(values))
            found = [change.alert.cause for change in monitor.look(is_last=is_interrupted)]
            if found:
                return place, found[0].feature, found[0].evidence
            if is_interrupted:
                monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=chance)
        return None

    (tmp_path / "whole").mkdir()
    (tmp_path / "interrupted").mkdir()
    through = alarmed(tmp_path / "whole", is_interrupted=False)

    assert through is not None
    assert alarmed(tmp_path / "interrupted", is_interrupted=True) == through


def batch_with(values_by_segment):
    sketches = {}
    for segment, values in values_by_segment.items():
        sketch = sketches[segment] = WindowSketch()
        for value in values:
            sketch.add(Seen.of(Observation(numbers={"weight": float(value)})))
    return encoded(Batch(process="one", window_start=NOW.timestamp(), sketches={"sha256:a": sketches}))


def test_status_tells_decisions_that_were_seen_from_those_that_wait_for_the_next_look(tmp_path):
    store = SqlReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    monitor = Monitor(store, MonitorOptions(), now=lambda: NOW, rng=np.random.default_rng(1))
    store.add_batch(batch_of(1))
    monitor.look(is_last=True)
    store.add_batch(batch_of(5))

    (status,) = Reporter(store, now=lambda: NOW).status("sha256:a")

    assert status.decisions == 6
    assert "of which 1 were looked at and 5 wait for the next look" in status.notes[0]


def test_status_reads_what_waits_once(tmp_path):
    store = CountingReports(opened_database(f"sqlite:///{tmp_path}/headrace.db"))
    store.add_batch(batch_of(5))

    (status,) = Reporter(store, now=lambda: NOW).status()

    assert (status.state, status.decisions) == (WatchState.LEARNING, 5)
    assert store.asked == 1
