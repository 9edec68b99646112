"""An operator lets estimates that labels proved wrong go by those labels: by command, through the store."""

from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from headrace.assembly import recalibrated, stored_reports
from headrace.cli.monitor import monitor
from headrace.domain.observation import Observation
from headrace.errors import Conflict, NotFound
from headrace.monitoring.monitor import Label, Monitor, MonitorOptions
from headrace.monitoring.window import Batch, Seen, WindowSketch, encoded
from headrace.settings import load_settings
from headrace.storage.reports import SqlReports
from headrace.storage.schema import opened_database


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_SHARED", raising=False)
    (tmp_path / "data").mkdir()
    return load_settings(tmp_path, {}, {"data": str(tmp_path / "data")})


def watching(store, *, labels):
    """A watch of a release that is always 95 % sure, and by its labels right every other time."""
    sketch = WindowSketch()
    for _ in range(labels):
        sketch.add(Seen.of(Observation(numbers={"confidence": 0.95})))
    now = datetime.now(UTC)
    store.add_batch(encoded(Batch("p", now.timestamp() // 300 * 300, sketches={"sha256:r": {"all": sketch}})))

    def told(after):
        given = [f"{number:04}" for number in range(labels)]
        for number, cursor in enumerate(given):
            if cursor > after:
                yield cursor, Label("sha256:r", ("all",), "rye", "rye" if number % 2 else "wheat", 0.95)

    rng = np.random.default_rng(1)
    return Monitor(store, MonitorOptions(), now=lambda: datetime.now(UTC), rng=rng, labels=told)


def estimate_of(settings):
    reporter, database = stored_reports(settings)
    with closing(database):
        (estimate,) = reporter.status("sha256:r")[0].estimates
    return estimate


def test_estimates_are_trusted_again_once_they_go_by_the_labels(settings):
    with closing(opened_database(settings.store_url)) as database:
        store = SqlReports(database)
        watch = watching(store, labels=200)
        raised = watch.look(is_last=True)
        before = estimate_of(settings)

        done = CliRunner().invoke(monitor, ["recalibrate", "--data", "data"])
        recovered = watch.look(is_last=True)
        after = estimate_of(settings)

    assert [(change.kind, change.alert.rule) for change in raised] == [("raised", "estimate_distrusted")]
    assert (before.is_trusted, round(before.estimated.value, 1)) == (False, 0.9)
    assert done.exit_code == 0
    assert "sha256:r go by 200 labels" in done.output.replace("\n", " ")
    assert [(change.kind, change.alert.rule) for change in recovered] == [("recovered", "estimate_distrusted")]
    assert after.is_trusted
    assert after.estimated.value == pytest.approx(0.5, abs=0.03)


def test_a_handful_of_labels_or_an_unknown_release_is_refused(settings):
    with closing(opened_database(settings.store_url)) as database:
        watching(SqlReports(database), labels=20).look(is_last=True)

    with pytest.raises(Conflict, match="20 labels"):
        recalibrated(settings, None)
    with pytest.raises(NotFound):
        recalibrated(settings, "sha256:none")
