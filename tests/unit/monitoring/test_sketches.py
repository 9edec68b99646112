"""Sketches add up, whatever the order, and stay small."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitoring.heavy_counts import MOST, OTHERS, HeavyCounts, HeavySums, weighed
from headrace.monitoring.quantile_sketch import (
    ACCURACY,
    MOST_BUCKETS,
    QuantileSketch,
    bucket_of,
    copied,
    sketch_of,
    value_of,
)

NUMBERS = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=200)


@given(st.floats(1e-8, 1e200) | st.floats(-1e200, -1e-8))
def test_the_bucket_of_a_number_stands_for_it_within_the_accuracy(value):
    assert value_of(bucket_of(value)) == pytest.approx(value, rel=ACCURACY * 1.001)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_buckets_keep_the_order_of_numbers(a, b):
    assert bucket_of(min(a, b)) <= bucket_of(max(a, b))


def test_quantiles_of_ten_thousand_numbers_are_within_the_accuracy():
    values = np.random.default_rng(1).lognormal(3, 1, 10_000)

    found = sketch_of(values).quantiles((0.01, 0.5, 0.95, 0.999))

    assert found == pytest.approx(np.quantile(values, (0.01, 0.5, 0.95, 0.999)), rel=2 * ACCURACY)


@given(NUMBERS, NUMBERS)
def test_merged_sketches_are_the_sketch_of_all(left, right):
    merged = sketch_of(left)
    merged.merge(sketch_of(right))
    whole = sketch_of([*left, *right])

    assert merged.buckets == whole.buckets
    assert (merged.count, merged.least, merged.most) == (whole.count, whole.least, whole.most)
    assert merged.mean == pytest.approx(whole.mean, abs=1e-6)


def test_numbers_of_all_sizes_take_bounded_room_and_lose_only_next_to_zero():
    values = np.random.default_rng(2).choice([-1, 1], 20_000) * 10 ** np.random.default_rng(3).uniform(-9, 9, 20_000)

    sketch = sketch_of(values)

    assert len(sketch.buckets) <= MOST_BUCKETS
    assert sketch.count == 20_000
    assert sketch.quantiles((0.99,))[0] == pytest.approx(np.quantile(values, 0.99), rel=0.05)


def test_nan_is_counted_apart_and_infinity_is_a_large_number():
    sketch = sketch_of([1.0, math.nan, math.inf, -math.inf])

    assert (sketch.count, sketch.missing) == (3, 1)
    assert math.isfinite(sketch.mean)
    assert sketch.quantiles((0.5,)) == pytest.approx([1.0], rel=1.01 * ACCURACY / (1 - ACCURACY))


def test_an_empty_sketch_knows_no_quantiles():
    empty = QuantileSketch()

    assert math.isnan(empty.mean)
    assert math.isnan(empty.quantiles((0.5,))[0])
    assert copied(empty) == empty


def test_heavy_names_keep_their_counts_and_totals_stay_exact():
    names = [f"rare {i}" for i in range(5_000)] + ["invoice"] * 3_000 + ["letter"] * 2_000
    np.random.default_rng(4).shuffle(names)

    counts = HeavyCounts()
    for name in names:
        counts.add(name)

    assert len(counts.counts) <= 2 * MOST
    assert counts.total == 10_000
    assert 3_000 - counts.lost <= counts.counts["invoice"] <= 3_000
    assert counts.shares()["letter"] == pytest.approx(0.2, abs=0.01)
    assert sum(counts.shares().values()) == pytest.approx(1.0)
    assert OTHERS in counts.shares()


def test_sums_by_term_add_up_to_the_total_though_most_terms_are_dropped():
    weights = np.random.default_rng(5).normal(size=5_000)
    left, right = HeavySums(), HeavySums()
    for place, weight in enumerate(weights):
        (left if place % 2 else right).add(weighed({f"term {place}": float(weight)}))
    left.add(weighed({"nonsense": math.nan}))

    left.merge(right)

    assert left.total == pytest.approx(weights.sum())
    assert len(left.sums) <= 8 * MOST
