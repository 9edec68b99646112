"""Effect sizes against known answers and SciPy, their intervals, and explanations that add up."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from headrace.domain.observation import Observation
from headrace.monitoring.drift import (
    category_shift,
    explained_by_segments,
    explained_by_terms,
    jensen_shannon,
    label_that_moved,
    most_telling,
    number_shift,
    population_stability,
    shifts,
    wasserstein,
)
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.quantile_sketch import sketch_of
from headrace.monitoring.window import Seen, WindowSketch


def counted(**names: int):
    counts = HeavyCounts()
    for name, times in names.items():
        counts.add(name, times)
    return counts


def sketched(observations):
    segments = {}
    for observation in observations:
        seen = Seen.of(observation)
        for segment in seen.segments:
            segments.setdefault(segment, WindowSketch()).add(seen)
    return segments


def test_stability_has_the_value_that_can_be_worked_out_by_hand():
    by_hand = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.6 - 0.5) * math.log(0.6 / 0.5)

    found = population_stability(np.array([50_000, 50_000]), np.array([40_000, 60_000]))

    assert found.value == pytest.approx(by_hand, abs=1e-4)
    assert found.low < by_hand < found.high


def test_divergence_is_that_of_scipy():
    before, after = np.array([100_000, 200_000, 300_000]), np.array([300_000, 200_000, 100_000])

    found = jensen_shannon(before, after)

    assert found.value == pytest.approx(distance.jensenshannon(before, after, base=2) ** 2, abs=1e-4)


def test_distance_is_that_of_scipy_within_the_accuracy_of_buckets():
    rng = np.random.default_rng(1)
    before, after = rng.gamma(3, 2, 5_000), rng.gamma(4, 2, 5_000)

    found = wasserstein(sketch_of(before), sketch_of(after))

    assert found == pytest.approx(stats.wasserstein_distance(before, after) / before.std(), rel=0.05)


@pytest.mark.parametrize("moved", [0.0, 0.4])
def test_intervals_hold_the_truth_about_as_often_as_they_say(moved):
    rng = np.random.default_rng(2)
    p = np.full(10, 0.1)
    q = np.linspace(0.1 - moved * 0.2, 0.1 + moved * 0.2, 10)
    truth = float(np.sum((q - p) * np.log(q / p)))

    found = [population_stability(rng.multinomial(800, p), rng.multinomial(500, q)) for _ in range(400)]

    assert np.mean([each.low <= truth <= each.high for each in found]) > 0.9
    assert np.mean([each.value for each in found]) == pytest.approx(truth, abs=0.02)


def test_an_effect_on_a_number_is_told_in_words():
    effect = number_shift("characters", "all", sketch_of([500.0] * 90 + [900.0] * 10), sketch_of([60.0] * 100)).effect()

    assert effect.words.startswith("median 503 → 60")
    assert effect.psi.low > 0.2
    assert (effect.reference_decisions, effect.decisions) == (100, 100)


def test_numbers_that_went_missing_are_an_effect():
    before, after = sketch_of([1.0] * 100), sketch_of([1.0] * 60 + [math.nan] * 40)

    effect = number_shift("score", "all", before, after).effect()

    assert "not a number 0% → 40%" in effect.words
    assert effect.psi.low > 0.2


def test_a_new_label_is_told_in_words():
    effect = category_shift(
        "label", "source=erp", counted(invoice=60, letter=40), counted(invoice=30, contract=70)
    ).effect()

    assert effect.words.startswith("contract new: 70.0%")
    assert "letter 40.0% → 0.0%" in effect.words


def test_tiny_windows_and_constant_features_say_nothing():
    reference = sketched([Observation(numbers={"size": 3.0})] * 100)["all"]

    assert shifts(reference, sketched([Observation(numbers={"size": 9.0})] * 5)["all"], "all") == []
    constant = most_telling(shifts(reference, reference, "all"), limit=9)
    assert all(effect.psi.low == 0 for effect in constant)


def test_the_largest_effect_comes_first():
    rng = np.random.default_rng(3)

    def seen(mean):
        return [Observation(numbers={"a": rng.normal(), "b": rng.normal(mean)}) for _ in range(300)]

    found = most_telling(shifts(sketched(seen(0))["all"], sketched(seen(2))["all"], "all"), limit=9)

    assert found[0].feature == "b"
    assert found[0].psi.low > 0.5
    assert found[0].wasserstein == pytest.approx(2.0, abs=0.25)


def test_what_terms_explain_adds_up_to_the_change_of_the_score():
    rng = np.random.default_rng(4)

    def scored(shift):
        weights = {f"w{i}": float(rng.normal()) for i in range(20)} | {"amount due": float(rng.normal(shift))}
        return Observation(contributions=weights)

    before = sketched([scored(0.0) for _ in range(200)])["all"]
    after = sketched([scored(3.0) for _ in range(200)])["all"]

    found = explained_by_terms(before, after)

    assert found.causes[0].name == "amount due"
    assert sum(cause.change for cause in found.causes) == pytest.approx(found.after - found.before, abs=1e-9)
    assert sum(cause.share for cause in found.causes) == pytest.approx(1.0)


def test_what_segments_explain_adds_up_to_the_change_of_a_label():
    def seen(source, label, times):
        return [Observation(categories={"label": label}, tags={"source": source} if source else {})] * times

    before = sketched(seen("erp", "invoice", 80) + seen("erp", "letter", 20) + seen("", "letter", 100))
    after = sketched(seen("erp", "invoice", 20) + seen("erp", "letter", 80) + seen("mail", "letter", 100))

    label = label_that_moved(before["all"], after["all"])
    found = explained_by_segments(before, after, "source", label)

    assert label == "invoice"
    assert found.causes[0].name == "source=erp"
    assert found.after - found.before == pytest.approx(-0.3)
    assert sum(cause.change for cause in found.causes) == pytest.approx(-0.3)


def test_segments_explain_nothing_where_there_are_no_labels():
    unlabelled = sketched([Observation(tags={"source": "erp"})] * 50)

    assert label_that_moved(unlabelled["all"], unlabelled["all"]) is None
    assert explained_by_segments(unlabelled, unlabelled, "source", "invoice") is None
    assert explained_by_terms(unlabelled["all"], unlabelled["all"]) is None
