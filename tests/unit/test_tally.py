"""Tallies: quantiles from buckets, and means with their sequence."""

import numpy as np
import pytest

from headrace.domain.tally import Measure, Tally, added, bucket_of, mean_between, quantile_ms


def test_quantiles_are_right_to_within_a_bucket():
    random = np.random.default_rng(3)
    durations = random.lognormal(3, 1, 5000)
    tallies = added(*({Measure("a", bucket_of(float(each))): Tally(1)} for each in durations))

    for at in (0.5, 0.95, 0.99):
        assert quantile_ms(tallies, ["a"], at=at) == pytest.approx(np.quantile(durations, at), rel=0.22)
    assert quantile_ms(tallies, ["b"], at=0.5) is None


def test_the_longest_answers_share_the_last_bucket():
    assert bucket_of(1e9) == bucket_of(1e8)
    assert bucket_of(0.0) != bucket_of(1.0)


def test_means_stay_within_their_sequence_at_all_times():
    random = np.random.default_rng(4)
    missed = 0
    for _ in range(300):
        values = random.beta(2, 5, 1000)
        totals, squares = np.cumsum(values), np.cumsum(values**2)
        for count in range(20, 1001, 20):
            low, high = mean_between(Tally(count, totals[count - 1], squares[count - 1]), level=0.1)
            if not low <= 2 / 7 <= high:
                missed += 1
                break

    assert missed / 300 <= 0.1 + 3 * np.sqrt(0.09 / 300)
    assert mean_between(Tally(3, 1.0, 1.0), level=0.1) is None
    assert Tally().mean is None


def test_values_that_are_all_the_same_give_no_interval_without_width():
    same = added(*({Measure("a", "x"): Tally.of(0.9)} for _ in range(30)))[Measure("a", "x")]

    assert mean_between(same, level=0.1) is None
    assert mean_between(Tally(30), level=0.1) is None
    assert mean_between(same.plus(Tally.of(0.8)), level=0.1) is not None
