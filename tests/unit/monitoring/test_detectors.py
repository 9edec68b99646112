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
    ranks = ConformalRanks(4)
    ranks.counts = np.array([1, 2, 3, 4])

    # Above bin 1 lie 7 of 10; of the 2 that are equal, and the value itself, a tenth counts.
    assert ranks.next(np.array([1]), np.array([0.1]))[0] == pytest.approx((7 + 0.1 * 3) / 11)


def test_ranks_of_many_values_in_one_go_are_those_of_one_after_the_other():
    rng = np.random.default_rng(1)
    bins, ties = rng.integers(0, 5, 300), rng.random(300)
    one, many = ConformalRanks(5), ConformalRanks(5)

    singly = [one.next(bins[i : i + 1], ties[i : i + 1])[0] for i in range(300)]

    assert many.next(bins, ties) == pytest.approx(singly)
    assert (many.counts == one.counts).all()


def test_the_capital_is_that_of_shiryaevs_recursion_one_value_after_the_other():
    p = np.random.default_rng(2).beta(0.7, 1.2, 500)
    betting, capital = np.zeros(len(SHARES)), []
    for step, value in enumerate(p):
        begun = unspent(np.array(step)) - unspent(np.array(step + 1))
        betting = (betting + begun) * stakes(np.array(value))
        capital.append(betting @ SHARES + unspent(np.array(step + 1)))
    wagers = Wagers()

    assert np.concatenate([wagers.next(p[:123]), wagers.next(p[123:])]) == pytest.approx(capital, rel=1e-9)
    assert wagers.capital() == pytest.approx(capital[-1])


def test_p_values_of_unchanged_decisions_are_uniform_and_independent_whatever_the_distribution():
    rng = np.random.default_rng(3)
    bins = rng.choice(6, 20_000, p=[0.7, 0.1, 0.1, 0.05, 0.04, 0.01])

    p = ConformalRanks(6).next(bins, rng.random(20_000))

    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(p[1:], p[:-1])[0, 1]) < 0.03


def test_capital_that_may_be_looked_at_any_time_seldom_reaches_what_alpha_forbids():
    """400 runs of 2,000: at most alpha of them in truth; 0.05 + 4 standard errors is 0.094."""
    rng = np.random.default_rng(4)

    highest = [
        Wagers().next(ConformalRanks(8).next(rng.integers(0, 8, 2_000), rng.random(2_000))).max() for _ in range(400)
    ]

    assert (np.array(highest) >= 20).mean() < 0.094


def test_a_constant_feature_never_raises_an_alarm():
    rng = np.random.default_rng(5)

    p = ConformalRanks(3).next(np.full(5_000, 1), rng.random(5_000))

    assert Wagers().next(p).max() < 20


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
    ranks, wagers = ConformalRanks(4), Wagers()
    calm = wagers.next(ranks.next(rng.choice(4, 3_000, p=before), rng.random(3_000)))

    capital = wagers.next(ranks.next(rng.choice(4, 2_000, p=after), rng.random(2_000)))

    assert calm.max() < 100
    assert int(np.argmax(capital >= 100)) <= within
    assert capital.max() >= 100


def test_a_restarted_test_begins_with_nothing_but_its_stake():
    wagers = Wagers()
    wagers.next(np.full(50, 0.001))

    wagers.restart()

    assert wagers.capital() == pytest.approx(1.0)


def test_no_value_however_often_it_comes_ruins_a_bet_or_breaks_the_arithmetic():
    for p in (0.0, 0.5, 1.0 - 1e-12):
        capital = Wagers().next(np.full(1_000, p))

        assert np.isfinite(capital).all()
        assert (capital > 0).all()


def test_the_capital_not_yet_at_stake_falls_and_never_runs_out():
    left = unspent(np.array([0, 1, 100, 10_000, 10_000_000]))

    assert left[0] == 1.0
    assert (np.diff(left) < 0).all()
    assert left[-1] > 0.2


def test_all_streams_together_get_no_more_than_alpha_however_many_turn_up_late():
    budget = Budget(0.05)
    budget.found(range(10))

    shares = [budget.of(name) for name in range(5_000)]

    assert sum(shares) == pytest.approx(0.05, rel=1e-3)
    assert sum(shares) <= 0.05
    assert len(set(shares[:10])) == 1
    assert budget.of(12) == shares[12]
    assert shares[9] > shares[12] > shares[60] > 0


def test_stakes_take_the_ends_of_the_range():
    assert stakes(np.array([0.0, 1.0])).shape == (2, len(SHARES))
