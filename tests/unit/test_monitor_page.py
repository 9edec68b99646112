"""The page of the watch: what a newcomer reads says what it is about."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.cli.monitor_glance import telling, told_apart
from headrace.cli.monitor_page import _explanation, html_page, verdict
from headrace.cli.monitor_words import glossary, in_words
from headrace.domain.report import (
    Alert,
    Cause,
    DriftReport,
    Effect,
    Estimate,
    ExplainedChange,
    Explanation,
    Measured,
    MonitorReport,
    Point,
    QualityReport,
    Severity,
    Span,
    WatchState,
)
from headrace.monitoring.anomaly import AnomalyDetector
from headrace.monitoring.near_duplicates import RecentTexts
from headrace.monitoring.quality import default_rules

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MOVED = Measured(1.0, 0.5, 1.5)


DRIFT = DriftReport("sha256:a", WatchState.WATCHING, Span(NOON, NOON, 500), Span(NOON, NOON, 300))


def page(*, apart=timedelta(hours=1), is_given=False, notes=("", "")):
    effects = tuple(Effect(name, "all", 500, 300, MOVED, MOVED, None, "moved") for name in ("meaning_3", "moisture"))
    by_office = Explanation(
        "share of letter", 0.385, 0.534, (ExplainedChange("office=south", 0.149, 1.0),), by="office", is_share=True
    )
    drift = DriftReport(
        "sha256:a",
        WatchState.WATCHING,
        Span(NOON, NOON, 500),
        Span(NOON, NOON, 300),
        effects=effects,
        explanations=(by_office,),
        is_given=is_given,
    )
    points = tuple(Point(NOON + place * apart, 10, 0.9, 0.25, 5.0, ()) for place in range(2))
    estimates = tuple(
        Estimate(segment, 10, MOVED, 0, None, None, None, is_trusted=True, note=note)
        for segment, note in zip(("all", "office=south"), notes, strict=True)
    )
    return html_page(MonitorReport(drift, QualityReport(300, 3, 0, (("garbled", 3),)), estimates, points, ()), ())


def test_shares_are_told_in_percent_and_by_what_they_are_explained():
    shown = page()

    assert "What explains the share of letter, by office" in shown
    assert "from 38.5 % to 53.4 %" in shown
    assert "+14.9 %" in shown


def test_parts_that_cancel_out_are_told_without_shares_of_several_hundred_percent():
    def shown(*changes: float):
        whole = sum(changes)
        causes = tuple(ExplainedChange(f"word{place}", each, each / whole) for place, each in enumerate(changes))
        return _explanation(Explanation("mean score", 2.0, 2.0 + whole, causes, by="words"), DRIFT)

    assert "of the whole change" in shown(0.3, -0.1)
    assert "150%" in shown(0.3, -0.1)
    assert "most of them cancel out" in shown(0.4, -0.35)
    assert "800%" not in shown(0.4, -0.35)


@pytest.mark.parametrize(
    ("segments", "ending"),
    [(("office=south", "all"), ", most of all in office=south."), (("all", "office=south"), ".")],
)
def test_the_verdict_names_the_segment_that_moved_most_where_the_alarm_names_another(segments, ending):
    effects = tuple(Effect("language", each, 500, 300, MOVED, MOVED, None, "moved") for each in segments)
    span = Span(NOON, NOON, 300)
    drift = DriftReport("sha256:a", WatchState.WATCHING, span, span, effects=effects)
    alert = Alert(
        id="alt_1",
        key="drift",
        raised_at=NOON,
        rule="drift",
        severity=Severity.WARNING,
        title="language has changed in all decisions",
        detail="",
        release="sha256:a",
        cause=Cause("language", "all", "language in all: de new", 2.0, ()),
    )

    told = verdict(MonitorReport(drift, QualityReport(300, 0, 0, ()), (), (), ()), (alert,))

    assert told == f"Something has changed: language has changed in all decisions{ending}"


def test_what_is_told_by_name_is_told_in_words_as_far_as_these_are_known():
    shown = page()

    assert "<dt>meaning_1, 2, …</dt>" in shown
    assert "<dt>moisture</dt>" not in shown
    assert in_words("garbled") in shown
    assert glossary(["meaning_1", "meaning_2", "label"]) == [
        ("meaning_1, 2, …", in_words("meaning_1")),
        ("label", in_words("label")),
    ]


def test_every_rule_of_quality_that_can_be_broken_has_its_words():
    rules = default_rules(anomaly=AnomalyDetector(), recent=RecentTexts())

    assert [each.check.name for each in rules if not in_words(each.check.name)] == []


@pytest.mark.parametrize(
    ("apart", "written"),
    [(timedelta(seconds=30), "12:00:30"), (timedelta(hours=3), "15:00"), (timedelta(days=4), "29 Nov")],
)
def test_times_are_written_so_that_they_differ(apart, written):
    assert f">{written}<" in page(apart=apart)


def test_where_a_reference_comes_from_is_said():
    assert "examples that it had not seen" in page(is_given=True)
    assert "held against its first 500 decisions" in page()


def test_a_note_that_is_the_same_for_all_is_told_once():
    assert page(notes=("Not calibrated.", "Not calibrated.")).count("Not calibrated.") == 1
    assert page(notes=("Not calibrated.", "Wrong.")).count("Not calibrated.") == 1


@pytest.mark.parametrize(("now", "may_be_chance"), [(0.33, True), (0.53, False)])
def test_a_share_that_differs_by_what_chance_alone_may_do_is_told_as_such(now, may_be_chance):
    causes = (ExplainedChange("office=south", now - 0.3, 1.0),)
    shown = _explanation(Explanation("share of letter", 0.3, now, causes, by="office", is_share=True), DRIFT)

    assert ("So much may be chance." in shown) is may_be_chance


def test_the_first_lines_say_what_it_means_for_the_answers():
    shown = page()

    assert "Right by estimate: 100.0% (50.0% to 150.0%); by labels: unknown." in shown
    assert "In doubt: 1.0% of inputs; 0 kept back." in shown
    assert "How right they are by estimate" not in shown, "no point of the chart knows it"


def test_what_is_next_to_chance_and_what_says_nothing_beyond_the_whole_gets_no_row():
    effects = [
        Effect(f"f{place}", "all", 500, 300, Measured(0.1, low, 0.2), MOVED, None, "moved")
        for place, low in enumerate([0.1] * 7 + [0.0] * 3)
    ]
    estimates = [
        Estimate(segment, decisions, MOVED, labels)
        for segment, decisions, labels in (
            ("all", 100, 0),
            ("a=1", 97, 0),
            ("a=2", 40, 0),
            ("a=3", 3, 0),
            ("a=4", 3, 2),
        )
    ]

    assert [each.feature for each in telling(effects)] == [f"f{place}" for place in range(7)]
    assert len(telling(effects[7:])) == 3
    assert [each.segment for each in told_apart(estimates)] == ["all", "a=2", "a=4"]
