"""The statistics against known answers, SciPy, and their own promises."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, gammaln

from headrace.domain.rollout_figures import Marks, Pairs, Stratum
from headrace.rollouts import evidence
from headrace.rollouts.evidence import (
    difference_between,
    excess,
    harm,
    most_worse,
    sample_ratio,
    share_between,
    worse_by,
)

NO_PAIRS = Pairs()


def test_log_gamma_agrees_with_scipy():
    points = np.concatenate([np.linspace(0.01, 20, 500), 10.0 ** np.arange(2, 9)])

    assert evidence._log_gamma(points) == pytest.approx(gammaln(points), rel=1e-12, abs=1e-10)


def test_nothing_seen_is_no_evidence():
    assert harm([]) == pytest.approx(0)
    assert harm([Marks(0.3)]) == pytest.approx(0)
    assert sample_ratio([Stratum(0.3)]) == pytest.approx(0)
    assert excess(0, 0, limit=0.2) == pytest.approx(0)
    assert most_worse([], NO_PAIRS, level=0.05) == 1.0
    assert share_between(0, 0, level=0.05) == (0.0, 1.0)


def test_harm_is_the_mean_of_binomial_likelihood_ratios():
    null = stats.binom.pmf(7, 10, 0.3)
    shares = [0.3 * ratio / (0.3 * ratio + 0.7) for ratio in evidence.RATIOS]
    known = np.mean([stats.binom.pmf(7, 10, share) / null for share in shares])

    assert np.exp(harm([Marks(0.3, candidate=7, champion=3)])) == pytest.approx(known)


@pytest.mark.parametrize("tolerance", [1.0, 1.5])
def test_one_more_bad_key_is_a_fair_bet_at_the_edge_of_what_is_tolerated(tolerance):
    share = 0.25 * tolerance / (0.25 * tolerance + 0.75)
    for candidate, champion in product(range(5), range(5)):
        before = np.exp(harm([Marks(0.25, candidate, champion)], tolerance=tolerance))
        if_candidate = np.exp(harm([Marks(0.25, candidate + 1, champion)], tolerance=tolerance))
        if_champion = np.exp(harm([Marks(0.25, candidate, champion + 1)], tolerance=tolerance))

        assert share * if_candidate + (1 - share) * if_champion == pytest.approx(before)


@pytest.mark.parametrize("tolerance", [1.0, 1.25])
@pytest.mark.parametrize(("champion_bad", "each_badly"), [(0.2, 0.2), (0.2, 0.1), (0.2, 0.0)])
def test_a_pair_is_a_fair_bet_where_the_candidate_is_as_bad_as_is_tolerated(tolerance, champion_bad, each_badly):
    candidate_bad = tolerance * champion_bad
    chances = {
        Pairs(1, 1, 0, 0): candidate_bad - each_badly,
        Pairs(1, 0, 1, 0): champion_bad - each_badly,
        Pairs(1, 0, 0, 1): each_badly,
        Pairs(1, 0, 0, 0): 1 - candidate_bad - champion_bad + each_badly,
    }

    expected = sum(chance * np.exp(harm([], pairs, tolerance=tolerance)) for pairs, chance in chances.items())

    assert expected == pytest.approx(1.0)


def test_without_tolerance_pairs_are_the_fair_coin_of_mcnemar():
    assert harm([], Pairs(90, 12, 4, 30)) == pytest.approx(float(harm([Marks(0.5, 12, 4)])))


def test_a_candidate_that_fails_on_the_same_questions_and_some_more_is_tolerated():
    """Low confidence in 11.1 % more answers of a shadow than the champion's, 25 % more is let pass."""
    assert harm([], Pairs(10_000, only_candidate=250, only_champion=50, each_badly=1_750), tolerance=1.25) < 0
    assert harm([], Pairs(10_000, only_candidate=900, only_champion=50, each_badly=1_750), tolerance=1.25) > 20


def test_two_bad_keys_of_a_hundredth_of_the_traffic_say_a_lot():
    assert np.exp(harm([Marks(0.01, candidate=2)])) > 200


def test_the_sample_ratio_agrees_with_the_beta_binomial_distribution():
    known = np.mean(
        [
            stats.betabinom.pmf(30, 200, c * 0.1, c * 0.9) / stats.binom.pmf(30, 200, 0.1)
            for c in evidence.CONCENTRATIONS
        ]
    )

    assert np.exp(sample_ratio([Stratum(0.1, candidate=30, champion=170)])) == pytest.approx(known)


def test_strata_with_different_shares_multiply_within_each_prior():
    both = [Stratum(0.1, 5, 60), Stratum(0.5, 40, 41)]
    known = 0.0
    for c in evidence.CONCENTRATIONS:
        product_ = 1.0
        for each in both:
            prior = (c * each.share, c * (1 - each.share))
            product_ *= np.exp(betaln(prior[0] + each.candidate, prior[1] + each.champion) - betaln(*prior))
            product_ /= each.share**each.candidate * (1 - each.share) ** each.champion
        known += product_ / len(evidence.CONCENTRATIONS)

    assert np.exp(sample_ratio(both)) == pytest.approx(known)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5])
@pytest.mark.parametrize(
    ("champion_bad", "difference"), [(0.1, 0.0), (0.1, 0.05), (0.3, -0.1), (0.6, -0.5), (1.0, -0.9)]
)
def test_the_bets_behind_a_bound_are_fair_at_the_true_difference(share, champion_bad, difference):
    candidate_bad = champion_bad + difference
    gains = {
        (1, 0, 0, 0): share * (1 - candidate_bad),
        (1, 0, 1, 0): share * candidate_bad,
        (0, 1, 0, 0): (1 - share) * (1 - champion_bad),
        (0, 1, 0, 1): (1 - share) * champion_bad,
    }

    expected = sum(
        chance * np.exp(worse_by([Stratum(share, *counts)], NO_PAIRS, difference=np.array([difference])))[0]
        for counts, chance in gains.items()
    )

    assert expected == pytest.approx(1.0)


def test_the_bets_on_pairs_are_fair_at_the_true_difference_however_much_better_the_candidate_is():
    chances = {Pairs(1, 1, 0): 0.05, Pairs(1, 0, 1): 0.85, Pairs(1, 0, 0): 0.1}

    expected = sum(
        chance * np.exp(worse_by([], pairs, difference=np.array([-0.8])))[0] for pairs, chance in chances.items()
    )

    assert expected == pytest.approx(1.0)


def test_the_evidence_grows_with_the_difference_it_is_against():
    strata = [Stratum(0.1, 50, 400, 4, 30), Stratum(0.5, 300, 310, 20, 19)]

    values = worse_by(strata, Pairs(100, 3, 5), difference=np.linspace(-1, 1, 401))

    assert np.isfinite(values).all()
    assert (np.diff(values) >= -1e-9).all()


def test_bounds_hold_at_all_times_at_once():
    """400 walks of 2,000 keys, looked at after every 50: the truth may be left at any time by 10 %, and 3 sigma."""
    random = np.random.default_rng(5)
    missed = 0
    for _ in range(400):
        is_candidate = random.random(2000) < 0.3
        bad = random.random(2000) < np.where(is_candidate, 0.15, 0.10)
        for end in range(50, 2001, 50):
            here, there = is_candidate[:end], ~is_candidate[:end]
            stratum = Stratum(
                0.3, int(here.sum()), int(there.sum()), int(bad[:end][here].sum()), int(bad[:end][there].sum())
            )
            if worse_by([stratum], NO_PAIRS, difference=np.array([0.05]))[0] >= np.log(1 / 0.1):
                missed += 1
                break

    assert missed / 400 <= 0.1 + 3 * np.sqrt(0.09 / 400)


def test_bounds_close_in_on_the_difference():
    wide = difference_between([Stratum(0.5, 100, 100, 10, 10)], NO_PAIRS, level=0.1)
    narrow = difference_between([Stratum(0.5, 20_000, 20_000, 2000, 2000)], NO_PAIRS, level=0.1)

    assert wide[0] < narrow[0] < 0 < narrow[1] < wide[1]
    assert narrow[1] - narrow[0] < 0.03


def test_bounds_are_the_same_seen_from_the_other_side():
    low, high = difference_between([Stratum(0.2, 100, 400, 7, 20)], Pairs(50, 2, 1), level=0.1)
    mirrored = difference_between([Stratum(0.8, 400, 100, 20, 7)], Pairs(50, 1, 2), level=0.1)

    assert mirrored == pytest.approx((-high, -low))


def test_pairs_without_a_difference_bound_it_closely():
    _, worst = difference_between([], Pairs(both=500), level=0.1)

    assert 0 < worst < 0.02


def test_a_share_lies_within_its_bounds_and_they_contain_the_exact_interval():
    low, high = share_between(12, 100, level=0.05)
    exact = stats.binomtest(12, 100).proportion_ci(0.95, method="exact")

    assert low < exact.low
    assert exact.high < high
    assert share_between(0, 100, level=0.05)[0] == 0.0
    assert share_between(100, 100, level=0.05)[1] == 1.0


def test_more_disagreement_than_allowed_is_found_and_less_is_not():
    assert np.exp(excess(60, 100, limit=0.3)) > 1000
    assert np.exp(excess(20, 100, limit=0.3)) < 1


def test_looking_after_every_bad_key_raises_few_false_alarms():
    random = np.random.default_rng(1)
    is_candidate = random.random((2000, 400)) < 0.5

    found = harm([Marks(0.5, np.cumsum(is_candidate, axis=1), np.cumsum(~is_candidate, axis=1))])

    alarms = (found >= np.log(1 / 0.05)).any(axis=1).mean()
    assert alarms <= 0.05
    assert alarms > 0.005, "a test that never alarms is not looking"
