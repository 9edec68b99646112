"""The sequential test: exact ranks, bets that are fair, a promise that is kept, and changes that are found."""

import numpy as np
import pytest
from scipy import stats

from headrace.monitoring.bets import BETS, SHARES, stakes
from headrace.monitoring.detectors import Budget, ConformalRanks, Wagers, unspent


def test_every_bet_is_fair_and_the_capital_is_shared_out_whole():
    assert BETS.mean(axis=0) == pytest.approx(1.0, abs=1e-12)
    assert SHARES.sum() == pytest.approx(1.0)
    assert (BETS > 0).all()


def test_ranks_are_the_share_of_values_at_least_as_high():
    ranks = ConformalRanks(1, 4)
    ranks.absorb(np.array([[1, 2, 3, 4]]))

    # Above bin 1 lie 7 of 10; of the 2 that are equal, and the value itself, a tenth counts.
    assert ranks.next(np.array([1]), np.array([0.1]))[0] == pytest.approx((7 + 0.1 * 3) / 11)


def test_ranks_of_many_values_in_one_go_are_those_of_one_after_the_other():
    rng = np.random.default_rng(1)
    bins, ties = rng.integers(0, 5, 300), rng.random(300)
    one, many = ConformalRanks(1, 5), ConformalRanks(1, 5)

    singly = [one.next(bins[i : i + 1], ties[i : i + 1])[0] for i in range(300)]

    assert many.next_rows(0, bins, ties) == pytest.approx(singly)
    assert (many.counts == one.counts).all()


def test_capital_in_one_go_is_that_of_one_after_the_other():
    p = np.random.default_rng(2).beta(0.7, 1.2, 500)
    one, many = Wagers(1), Wagers(1)

    singly = [one.next(p[i : i + 1])[0] for i in range(500)]

    assert many.next_rows(0, p) == pytest.approx(singly, rel=1e-9)
    assert many.capital()[0] == pytest.approx(singly[-1])


def test_p_values_of_unchanged_decisions_are_uniform_and_independent_whatever_the_distribution():
    rng = np.random.default_rng(3)
    bins = rng.choice(6, 20_000, p=[0.7, 0.1, 0.1, 0.05, 0.04, 0.01])

    p = ConformalRanks(1, 6).next_rows(0, bins, rng.random(20_000))

    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(p[1:], p[:-1])[0, 1]) < 0.03


def test_capital_that_may_be_looked_at_any_time_seldom_reaches_what_alpha_forbids():
    """400 runs of 2,000: at most alpha of them in truth; 0.05 + 4 standard errors is 0.094."""
    rng = np.random.default_rng(4)
    ranks, wagers, highest = ConformalRanks(400, 8), Wagers(400), np.ones(400)
    for _ in range(2_000):
        highest = np.maximum(highest, wagers.next(ranks.next(rng.integers(0, 8, 400), rng.random(400))))

    assert (highest >= 20).mean() < 0.094


def test_a_constant_feature_never_raises_an_alarm():
    rng = np.random.default_rng(5)

    p = ConformalRanks(1, 3).next_rows(0, np.full(5_000, 1), rng.random(5_000))

    assert Wagers(1).next_rows(0, p).max() < 20


@pytest.mark.parametrize(
    ("before", "after", "within"),
    [
        ([0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], 400),
        ([0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0], 40),
        ([0.25, 0.25, 0.25, 0.25], [0.25, 0.45, 0.05, 0.25], 400),
        ([0.5, 0.5, 0.0, 0.0], [0.45, 0.45, 0.0, 0.1], 250),
    ],
    ids=["shift", "all at one end", "shares", "new category"],
)
def test_a_change_is_found(before, after, within):
    rng = np.random.default_rng(6)
    ranks, wagers = ConformalRanks(1, 4), Wagers(1)
    calm = wagers.next_rows(0, ranks.next_rows(0, rng.choice(4, 3_000, p=before), rng.random(3_000)))

    capital = wagers.next_rows(0, ranks.next_rows(0, rng.choice(4, 2_000, p=after), rng.random(2_000)))

    assert calm.max() < 100
    assert int(np.argmax(capital >= 100)) <= within
    assert capital.max() >= 100


def test_a_restarted_test_begins_with_nothing_but_its_stake():
    wagers = Wagers(2)
    wagers.next_rows(0, np.full(50, 0.001))

    wagers.restart(0)

    assert wagers.capital() == pytest.approx([1.0, 1.0])


def test_the_capital_not_yet_at_stake_falls_and_never_runs_out():
    left = unspent(np.array([0, 1, 100, 10_000, 10_000_000]))

    assert left[0] == 1.0
    assert (np.diff(left) < 0).all()
    assert left[-1] > 0.2


def test_all_streams_together_get_no_more_than_alpha():
    budget = Budget(0.05, most=50)
    shares = [budget.of(name) for name in range(200)]

    assert sum(shares) == pytest.approx(0.05)
    assert budget.of(3) == shares[3]
    assert shares[0] > shares[10] > shares[60] == 0


def test_stakes_take_the_ends_of_the_range():
    assert stakes(np.array([0.0, 1.0])).shape == (2, len(SHARES))
