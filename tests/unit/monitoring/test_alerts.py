"""Alerts: raised once, told once, silenced, recovered; no storms."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.domain.report import AlertState, Cause
from headrace.errors import NotFound
from headrace.monitoring.alerts import AlertBook, AlertRule

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SLOW = AlertRule("slow", "latency_p95_ms", above=500, for_s=60, calm_s=120, recovers_at=400)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def kinds(changes):
    return [change.kind for change in changes]


def test_a_rule_that_is_broken_for_its_window_raises_one_alert():
    book = AlertBook((SLOW,))

    assert book.hold({"latency_p95_ms": 800}, now=at(0)) == []
    raised = book.hold({"latency_p95_ms": 812}, now=at(60))
    again = book.hold({"latency_p95_ms": 900}, now=at(120))

    assert kinds(raised) == ["raised"]
    assert raised[0].alert.detail == "latency_p95_ms is 812, above 500."
    assert again == []
    assert len(book.open) == 1


def test_a_short_peak_raises_nothing():
    book = AlertBook((SLOW,))
    book.hold({"latency_p95_ms": 800}, now=at(0))
    book.hold({"latency_p95_ms": 100}, now=at(30))

    assert book.hold({"latency_p95_ms": 800}, now=at(60)) == []


def test_a_figure_that_hovers_at_the_bound_does_not_flicker():
    book = AlertBook((SLOW,))
    book.hold({"latency_p95_ms": 800}, now=at(0))
    book.hold({"latency_p95_ms": 800}, now=at(60))

    between = [book.hold({"latency_p95_ms": 450}, now=at(61 + i)) for i in range(0, 600, 60)]
    calm = book.hold({"latency_p95_ms": 300}, now=at(700))
    recovered = book.hold({"latency_p95_ms": 300}, now=at(820))

    assert between == [[]] * 10
    assert calm == []
    assert kinds(recovered) == ["recovered"]
    assert recovered[0].alert.state is AlertState.RECOVERED
    assert recovered[0].alert.recovered_at == at(820)
    assert book.open == {}


def test_a_figure_that_is_not_there_neither_raises_nor_recovers():
    book = AlertBook((SLOW,))
    book.hold({"latency_p95_ms": 800}, now=at(0))
    book.hold({"latency_p95_ms": 800}, now=at(60))

    assert book.hold({}, now=at(1000)) == []
    assert book.hold({"latency_p95_ms": float("nan")}, now=at(2000)) == []
    assert len(book.open) == 1


def test_all_that_changes_at_once_is_one_alert_with_signs():
    book = AlertBook()
    first = book.drifted("r1", [Cause("language", "source=erp", "German", 3.0, ("dec_1",))], now=at(0))
    more = book.drifted(
        "r1",
        [Cause("language", "all", "German", 1.0), Cause("confidence", "all", "lower", 0.4)],
        now=at(300),
    )

    (alert,) = book.open.values()
    assert kinds(first) == ["raised"]
    assert more == []
    assert alert.cause.segment == "source=erp"
    assert [sign.feature for sign in alert.signs] == ["language", "confidence"]
    assert "/v1/decisions/dec_1" in alert.evidence


def test_another_cause_much_later_or_in_another_release_is_an_alert_of_its_own():
    book = AlertBook()
    book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(0))

    assert kinds(book.drifted("r2", [Cause("language", "all", "German", 3.0)], now=at(1))) == ["raised"]
    assert kinds(book.drifted("r1", [Cause("latency", "all", "slow", 3.0)], now=at(3600))) == ["raised"]
    assert book.drifted("r1", [Cause("language", "type=pdf", "German", 3.0)], now=at(7200)) == []


def test_a_silenced_alert_stays_listed_and_its_like_is_silenced_too():
    book = AlertBook()
    (change,) = book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(0))

    silenced = book.silence(change.alert.id, until=at(3600))
    book.calmed(change.alert.key, is_calm=True, now=at(10), calm_s=0)
    (again,) = book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(1800))

    assert silenced.silenced_until == at(3600)
    assert again.alert.silenced_until == at(3600)
    assert book.is_silenced(again.alert.key, now=at(1800))
    assert not book.is_silenced(again.alert.key, now=at(3601))
    with pytest.raises(NotFound):
        book.silence("alt_unknown", until=at(0))


def test_recovery_needs_calm_without_a_break():
    book = AlertBook()
    (change,) = book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(0))
    key = change.alert.key

    assert book.calmed(key, is_calm=True, now=at(0)) == []
    assert book.calmed(key, is_calm=False, now=at(30)) == []
    assert book.calmed(key, is_calm=True, now=at(61)) == []
    assert kinds(book.calmed(key, is_calm=True, now=at(121))) == ["recovered"]
    assert book.calmed(key, is_calm=True, now=at(500)) == []


def test_open_alerts_are_still_open_after_a_restart():
    book = AlertBook()
    (change,) = book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(0))
    book.silence(change.alert.id, until=at(99))

    again = AlertBook()
    again.resume(book.open.values())

    assert again.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(50)) == []
    assert again.is_silenced(change.alert.key, now=at(50))


def test_a_silence_outlives_its_alert_and_a_restart():
    book = AlertBook()
    (change,) = book.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(0))
    book.silence(change.alert.id, until=at(3600))
    (recovered,) = book.calmed(change.alert.key, is_calm=True, now=at(10), calm_s=0)

    again = AlertBook()
    again.resume([recovered.alert])
    (raised,) = again.drifted("r1", [Cause("language", "all", "German", 3.0)], now=at(1800))

    assert raised.alert.silenced_until == at(3600)


def test_more_of_the_same_cause_is_told_in_the_alert_itself_and_is_no_sign_besides():
    book = AlertBook()
    book.drifted("r1", [Cause("language", "all", "de 1% → 4%", 0.1, ("dec_1",))], now=at(0))
    (key,) = book.open

    book.drifted("r1", [Cause("language", "all", "de 1% → 30%", 5.0, ("dec_2",))], now=at(5))
    renewed = book.renew(key, Cause("language", "source=erp", "de 1% → 60%", 9.0, ("dec_3",)))

    assert book.open[key] == renewed
    assert (renewed.title, renewed.detail) == ("language has changed in source=erp", "de 1% → 60%")
    assert renewed.signs == ()
    assert renewed.evidence == ("/v1/monitors?segment=source=erp", "/v1/decisions/dec_3")
    assert book.renew(key, renewed.cause) is None
    assert book.renew("drift:r1:other", renewed.cause) is None
