"""What decisions were worth, and what another threshold would have been."""

import math

import pytest
from scipy import stats

from headrace.monitoring.scorecard import Cost, Outcome, OutcomeMetric, Prices, Scoring, student, worth_of_thresholds

SAVED = OutcomeMetric("minutes_saved", unit="min", worth=0.5, currency="EUR", within_s=100)


def test_the_value_of_a_decision_is_the_mean_worth_of_its_outcomes_with_its_interval():
    scoring = Scoring(SAVED)
    for value in (2.0, 4.0, 6.0):
        scoring.answered(["all", "variant=canary"], Cost(compute_s=0.1, prompt_tokens=4, completion_tokens=1))
        scoring.turned_out(Outcome("minutes_saved", value, 10.0, ("all",)))

    everything, canary = scoring.card().rows

    assert (everything.group, everything.decisions, everything.outcomes, everything.tokens) == ("all", 3, 3, 15)
    assert everything.cost_s == pytest.approx(0.3)
    assert everything.value.value == pytest.approx(2.0)
    assert everything.value.high - everything.value.value == pytest.approx(stats.t.ppf(0.975, 2) * 1.0 / math.sqrt(3))
    assert canary.value is None
    assert scoring.card().unit == "EUR"


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 1_000, 10_000_000])
def test_the_width_of_intervals_agrees_with_scipy(freedom):
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1.25e-3)


def test_tokens_cost_what_a_million_of_them_read_and_written_does():
    scoring = Scoring(SAVED, Prices(prompt_million=2.0, completion_million=10.0, currency="USD"))
    scoring.answered(["all"], Cost(prompt_tokens=300_000, completion_tokens=50_000), decisions=7)
    scoring.answered(["all"], Cost(compute_s=1.0))

    (row,) = scoring.card().rows

    assert (row.decisions, row.tokens, row.tokens_cost) == (8, 350_000, pytest.approx(1.1))
    assert scoring.card().currency == "USD"


def test_late_outcomes_and_others_do_not_count():
    scoring = Scoring(SAVED)
    for outcome in (
        Outcome("minutes_saved", 1.0, 101.0, ("all",)),
        Outcome("minutes_saved", math.nan, 1.0, ("all",)),
        Outcome("refunds", 1.0, 1.0, ("all",)),
    ):
        scoring.turned_out(outcome)

    assert scoring.card().rows == ()
    assert scoring.late == 1


def test_one_outcome_says_nothing_of_the_spread():
    scoring = Scoring(SAVED)
    scoring.turned_out(Outcome("minutes_saved", 4.0, 1.0, ("all",)))

    assert math.isinf(scoring.card().rows[0].value.high)


@pytest.mark.parametrize(("outcomes", "high"), [(2, 0.8419), (20, 0.1684), (1000, 0.0037)])
def test_what_never_came_may_still_come_as_often_as_clopper_and_pearson_say(outcomes, high):
    metric = OutcomeMetric("complaints", worth=1.0, least=0.0, most=1.0)
    scoring = Scoring(metric)
    for _ in range(outcomes):
        scoring.turned_out(Outcome("complaints", 0.0, 1.0, ("all",)))

    value = scoring.card().rows[0].value

    assert (value.low, value.value) == (0.0, 0.0)
    assert value.high == pytest.approx(high, abs=1e-4) == pytest.approx(stats.beta.ppf(0.975, 1, outcomes), abs=1e-4)


def test_equal_outcomes_without_bounds_have_an_interval_that_narrows_and_is_never_of_no_width():
    widths = []
    for outcomes in (2, 10, 100):
        scoring = Scoring(OutcomeMetric("cents", worth=0.1))
        for _ in range(outcomes):
            scoring.turned_out(Outcome("cents", 3.0, 1.0, ("all",)))
        value = scoring.card().rows[0].value
        widths.append(value.high - value.low)

    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(2 * 0.3 * (1 - 0.025**0.01))


def test_bounds_of_a_cost_are_those_of_its_worth_and_never_narrow_what_spread_says():
    metric = OutcomeMetric("refund", worth=-2.0, least=0.0, most=10.0)
    scoring = Scoring(metric)
    for value in (0.0, 10.0, 0.0, 10.0):
        scoring.turned_out(Outcome("refund", value, 1.0, ("all",)))

    value = scoring.card().rows[0].value

    assert metric.bounds() == (-20.0, 0.0)
    assert value.value == -10.0
    assert value.high - value.value == pytest.approx(stats.t.ppf(0.975, 3) * 20 / math.sqrt(3) / 2, rel=2e-3)


def test_a_threshold_is_worth_what_it_keeps_less_what_people_cost():
    answers = [(0.9, 10.0), (0.6, -20.0), (0.95, 10.0)]

    low, high = worth_of_thresholds(answers, [0.5, 0.8], cost_of_a_person=3.0)

    assert (low.answered, low.worth) == (3, 0.0)
    assert (high.answered, high.handed_over, high.worth) == (2, 1, 17.0)
