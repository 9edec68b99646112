"""The sequential test: exact ranks, bets that are fair, a promise that is kept, and changes that are found."""

import numpy as np
import pytest

from headrace.monitoring.bets import SHARES, odds
from headrace.monitoring.detectors import Budget, ConformalBets, Wagers, unspent


def like(*counts: int):
    """Bets of which nothing is known but what was learned."""
    return ConformalBets(np.array(counts, np.int64))


def test_every_bet_is_a_density_and_the_capital_is_shared_out_whole():
    reference = np.array([50, 0, 700, 3, 250])
    weights = (reference + 0.5) / (reference + 0.5).sum()

    # As exact as 32 bits are; what is paid is divided by the mean of these very odds.
    assert weights @ odds(reference) == pytest.approx(1.0, abs=1e-6)
    assert (odds(reference) > 0).all()
    assert SHARES.sum() == pytest.approx(1.0)


def test_what_bets_pay_is_fair_over_all_gaps_that_a_new_value_may_fall_into():
    """Five values so far make six gaps; each is as likely, so what is paid for them has to have a mean of 1."""
    past = np.array([0, 0, 2, 2, 2])

    def paid(new, tie):
        bets = like(3, 1, 2, 1)
        bets.next(past, np.full(5, 0.5))
        return bets.next(np.array([new]), np.array([tie]))[0]

    # From the highest gap to the lowest: above all, between the values of bin 2, between both, in bin 0, below all.
    gaps = [paid(3, 0.5), paid(2, 0.3), paid(2, 0.6), paid(2, 0.9), paid(0, 0.5), paid(0, 0.9)]

    assert np.mean(gaps, axis=0) == pytest.approx(1.0)
    assert paid(2, 0.1) == pytest.approx(gaps[0])
    assert paid(1, 0.7) == pytest.approx(gaps[3])


def test_what_is_paid_for_many_values_in_one_go_is_that_of_one_after_the_other():
    rng = np.random.default_rng(1)
    bins, ties = rng.integers(0, 5, 250), rng.random(250)
    one, many = like(9, 9, 9, 9, 9), like(9, 9, 9, 9, 9)

    singly = [one.next(bins[i : i + 1], ties[i : i + 1])[0] for i in range(250)]

    assert many.next(bins, ties) == pytest.approx(np.array(singly))
    assert (many.counts == one.counts).all()


def test_bets_go_on_from_what_was_stored():
    rng = np.random.default_rng(7)
    bets = like(5, 5, 5, 5)
    bets.next(rng.integers(0, 4, 3_000), rng.random(3_000))
    bets.next(rng.integers(0, 4, 300), rng.random(300))
    later = like(5, 5, 5, 5)
    later.resume(bets.counts.tolist(), [each.tolist() for each in bets.milestones])
    bins, ties = rng.integers(0, 4, 50), rng.random(50)

    assert later.next(bins, ties) == pytest.approx(bets.next(bins, ties))


def test_the_capital_is_that_of_shiryaevs_recursion_one_value_after_the_other():
    paid = np.random.default_rng(2).lognormal(-0.1, 0.5, (500, len(SHARES)))
    betting, capital = np.zeros(len(SHARES)), []
    for step, row in enumerate(paid):
        begun = unspent(np.array(step)) - unspent(np.array(step + 1))
        betting = (betting + begun) * row
        capital.append(betting @ SHARES + unspent(np.array(step + 1)))
    wagers = Wagers()

    assert np.concatenate([wagers.next(paid[:123]), wagers.next(paid[123:])]) == pytest.approx(capital, rel=1e-9)
    assert wagers.capital() == pytest.approx(capital[-1])


def test_capital_that_may_be_looked_at_any_time_seldom_reaches_what_alpha_forbids():
    """400 runs of 2,000: at most alpha of them in truth; 0.05 + 4 standard errors is 0.094."""
    rng = np.random.default_rng(4)

    highest = [
        Wagers().next(like(*[25] * 8).next(rng.integers(0, 8, 2_000), rng.random(2_000))).max() for _ in range(400)
    ]

    assert (np.array(highest) >= 20).mean() < 0.094


def test_a_constant_feature_never_raises_an_alarm():
    rng = np.random.default_rng(5)

    paid = like(0, 200, 0).next(np.full(5_000, 1), rng.random(5_000))

    assert Wagers().next(paid).max() < 20


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
    bets, wagers = ConformalBets((np.array(before) * 200).astype(np.int64)), Wagers()
    calm = wagers.next(bets.next(rng.choice(4, 3_000, p=before), rng.random(3_000)))

    capital = wagers.next(bets.next(rng.choice(4, 2_000, p=after), rng.random(2_000)))

    assert calm.max() < 100
    assert int(np.argmax(capital >= 100)) <= within
    assert capital.max() >= 100


def test_a_restarted_test_begins_with_nothing_but_its_stake():
    wagers = Wagers()
    wagers.next(np.full((50, len(SHARES)), 1.5))

    wagers.restart()

    assert wagers.capital() == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0, 1, 2, 3])
def test_no_value_however_often_it_comes_ruins_a_bet_or_breaks_the_arithmetic(value):
    rng = np.random.default_rng(8)
    bets, wagers = like(0, 100, 100, 0), Wagers()

    capital = np.concatenate([wagers.next(bets.next(np.full(500, value), rng.random(500))) for _ in range(4)])

    assert np.isfinite(capital).all()
    assert (capital > 0).all()


def test_a_change_early_in_a_run_is_found_though_most_of_what_has_come_is_new():
    """A tenth of the values of a rare kind after 400 normal ones: soon they are most of all that was ever seen."""
    rng = np.random.default_rng(9)
    bets, wagers = like(198, 2, 0), Wagers()
    wagers.next(bets.next(rng.choice(2, 400, p=[0.99, 0.01]), rng.random(400)))

    capital = wagers.next(bets.next(rng.choice(2, 1_000, p=[0.9, 0.1]), rng.random(1_000)))

    assert capital.max() > 1_000


def test_the_capital_not_yet_at_stake_falls_and_never_runs_out():
    left = unspent(np.array([0, 1, 100, 10_000, 10_000_000]))

    assert left[0] == 1.0
    assert (np.diff(left) < 0).all()
    assert left[-1] > 0.02


def test_all_streams_together_get_no_more_than_alpha_however_many_turn_up_late():
    budget = Budget(0.05)
    budget.found(range(10))

    shares = [budget.of(name) for name in range(5_000)]

    assert sum(shares) == pytest.approx(0.05, rel=1e-3)
    assert sum(shares) <= 0.05
    assert len(set(shares[:10])) == 1
    assert budget.of(12) == shares[12]
    assert shares[9] > shares[12] > shares[60] > 0
