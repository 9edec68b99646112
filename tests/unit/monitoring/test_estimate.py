"""Accuracy without labels: right when confidences are, distrusted once labels say otherwise."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from headrace.domain.observation import Observation
from headrace.monitoring.calibration import Calibration, estimated_accuracy
from headrace.monitoring.estimate import Estimator, Labelled, Truth
from headrace.monitoring.window import Seen, WindowSketch


def answers(rng, count, *, shape=(4, 2), right=lambda confidence: confidence):
    confidence = rng.beta(*shape, count)
    return confidence, rng.random(count) < right(confidence)


def windowed(confidences):
    sketch = WindowSketch()
    for confidence in confidences:
        sketch.add(Seen.of(Observation(numbers={"confidence": float(confidence)})))
    return sketch


def overconfident(confidence):
    return confidence**3


def test_the_estimate_is_right_under_a_shift_of_inputs_though_confidences_are_not():
    rng = np.random.default_rng(1)
    calibration = Calibration.fitted(*answers(rng, 3_000, right=overconfident))
    hits = 0
    for _ in range(200):
        confidence, right = answers(rng, 300, shape=(2, 2), right=overconfident)
        found = estimated_accuracy(windowed(confidence).confidence, calibration)
        hits += found.low <= right.mean() <= found.high

    assert hits >= 180


@pytest.mark.parametrize("decisions", [1, 2, 5, 10, 20, 60])
@pytest.mark.parametrize("sure", [0.7, 0.9, 0.97, 0.995])
def test_in_small_windows_too_the_interval_holds_what_will_be_counted(decisions, sure):
    """By the binomial distribution: without half a step for what is counted, 14 % of fives at 0.97 lie outside."""
    calibration = Calibration.fitted([sure] * 20_000, [place < sure * 20_000 for place in range(20_000)])
    found = estimated_accuracy(windowed([sure] * decisions).confidence, calibration)

    right = np.arange(decisions + 1)
    is_inside = (found.low <= right / decisions) & (right / decisions <= found.high)

    assert stats.binom.pmf(right, decisions, sure)[is_inside].sum() > 0.935


def test_without_a_calibration_the_interval_says_how_little_is_known():
    rng = np.random.default_rng(2)
    window = windowed(answers(rng, 500)[0])
    fitted = Calibration.fitted(*answers(rng, 5_000))

    at_its_word, known = (estimated_accuracy(window.confidence, each) for each in (Calibration(), fitted))

    assert at_its_word.high - at_its_word.low > 3 * (known.high - known.low)
    assert estimated_accuracy({}, fitted) is None


def test_labels_that_agree_leave_the_estimate_its_trust():
    rng = np.random.default_rng(3)
    estimator = Estimator(Calibration.fitted(*answers(rng, 3_000)), is_calibrated=True)
    for confidence, right in zip(*answers(rng, 3_000), strict=True):
        estimator.learn(["all"], Labelled("a", "a" if right else "b", confidence))

    assert estimator.may_act("all")
    assert estimator.estimate("all", windowed([0.9] * 10)).is_trusted


def test_labels_that_contradict_take_the_right_to_act_from_that_segment_until_it_is_recalibrated():
    rng = np.random.default_rng(4)
    estimator = Estimator(Calibration.fitted(*answers(rng, 3_000)), is_calibrated=True)
    lost = []
    for confidence, right in zip(*answers(rng, 600, right=lambda c: c - 0.25), strict=True):
        lost += estimator.learn(["source=erp"], Labelled("a", "a" if right else "b", confidence))
    for confidence, right in zip(*answers(rng, 600), strict=True):
        estimator.learn(["source=mail"], Labelled("a", "a" if right else "b", confidence))

    assert lost == ["source=erp"]
    assert not estimator.may_act("source=erp")
    assert estimator.may_act("source=mail")
    assert "recalibrated" in estimator.estimate("source=erp", windowed([0.9])).note
    assert estimator.recalibrate(estimator.truths["source=erp"])
    assert estimator.may_act("source=erp")


def test_a_handful_of_labels_does_not_recalibrate():
    estimator = Estimator()
    estimator.learn(["all"], Labelled("a", "a", 0.9))

    assert not estimator.recalibrate(estimator.truths["all"])


def test_an_estimate_without_a_calibration_may_not_act_and_says_why():
    estimator = Estimator()

    assert not estimator.may_act("all")
    assert "No calibration" in estimator.estimate("all", windowed([0.9])).note


@pytest.mark.parametrize(
    "labels", [["a", "b", "c"], [f"{number}, {'a rather long name of a label ' * 3}" for number in range(40)]]
)
def test_the_f1_is_that_of_scikit_learn_however_many_pairs_of_labels_are_taken_for_each_other(labels):
    rng = np.random.default_rng(5)
    shares = np.arange(1, len(labels) + 1) / (len(labels) * (len(labels) + 1) / 2)
    actual, predicted = rng.choice(labels, 600), rng.choice(labels, 600, p=shares)
    truth = Truth()
    for was, said in zip(actual, predicted, strict=True):
        truth.add(Labelled(said, was, 0.5), Calibration())

    assert truth.macro_f1() == pytest.approx(f1_score(actual, predicted, average="macro"))
    assert truth.realised().value == pytest.approx((actual == predicted).mean())


def test_the_f1_of_more_labels_than_are_counted_is_not_told():
    truth = Truth()
    for number in range(300):
        truth.add(Labelled(f"label {number}", f"label {number}", 0.5), Calibration())

    assert truth.macro_f1() is None
    assert truth.realised().value == 1.0


def test_the_f1_follows_the_last_label_of_an_answer():
    truth, rng = Truth(), np.random.default_rng(6)
    predicted, first, last = rng.choice(list("abc"), (3, 200))
    for said, was in zip(predicted, first, strict=True):
        truth.add(Labelled(said, was, 0.5), Calibration())
    for said, was, now in zip(predicted, first, last, strict=True):
        truth.revise(Labelled(said, now, 0.5), was)

    assert truth.macro_f1() == pytest.approx(f1_score(last, predicted, average="macro"))


def test_the_calibration_error_of_sure_and_wrong_answers_is_their_confidence():
    truth = Truth()
    for _ in range(20):
        truth.add(Labelled("a", "b", 0.99), Calibration())

    assert truth.calibration_error() == pytest.approx(0.99)
    assert Truth().calibration_error() is None
    assert Truth().macro_f1() is None
    assert Truth().realised() is None


def test_the_calibration_error_of_answers_that_are_as_right_as_they_are_sure_is_nothing_wherever_in_a_bin_they_lie():
    truth = Truth()
    for place in range(100):
        truth.add(Labelled("a", "a" if place else "b", 0.99), Calibration())
        truth.add(Labelled("a", "a", 1.0), Calibration())

    assert truth.calibration_error() == pytest.approx(abs(99 * 0.99 + 100 + 0.99 - 199) / 200)
    assert truth.calibration_error() < 1e-9


def test_a_curve_is_fitted_to_answers_that_are_far_less_right_than_they_are_sure():
    calibration = Calibration.fitted([0.95] * 200, [number % 2 == 0 for number in range(200)])

    assert calibration.curve()[0][47] == pytest.approx(0.5, abs=0.05)


def test_the_last_label_of_an_answer_is_the_one_that_counts():
    rng = np.random.default_rng(9)
    estimator, straight = (Estimator(Calibration.fitted(*answers(rng, 3_000)), is_calibrated=True) for _ in range(2))
    told = [("a", "b", 0.9), ("b", "b", 0.7), ("a", "a", 0.55)]
    for predicted, actual, confidence in told:
        estimator.learn(["all"], Labelled(predicted, "c", confidence))
        straight.learn(["all"], Labelled(predicted, actual, confidence))

    for predicted, actual, confidence in told:
        estimator.revise(["all"], Labelled(predicted, actual, confidence), former="c")

    revised, known = (each.estimate("all", windowed([0.9] * 10)) for each in (estimator, straight))
    assert (revised.labels, revised.realised) == (known.labels, known.realised)
    assert revised.macro_f1 == known.macro_f1
    assert revised.calibration_error == pytest.approx(known.calibration_error)
    assert estimator.truths["all"].recalibrated() == straight.truths["all"].recalibrated()


def test_labels_that_were_kind_at_first_and_are_mended_cost_the_estimate_its_trust():
    rng = np.random.default_rng(10)
    estimator = Estimator(Calibration.fitted(*answers(rng, 3_000)), is_calibrated=True)
    confidences, right = answers(rng, 600, right=lambda confidence: confidence - 0.25)
    as_expected = rng.random(600) < confidences
    for confidence, is_right in zip(confidences, as_expected, strict=True):
        assert not estimator.learn(["all"], Labelled("a", "a" if is_right else "b", confidence))

    lost = []
    for confidence, before, after in zip(confidences, as_expected, right, strict=True):
        if before != after:
            former = "a" if before else "b"
            lost += estimator.revise(["all"], Labelled("a", "a" if after else "b", confidence), former=former)

    assert lost == ["all"]
    assert not estimator.may_act("all")


def test_labels_that_are_mended_to_what_was_expected_leave_the_estimate_its_trust():
    rng = np.random.default_rng(11)
    rung = 0
    for _ in range(40):
        estimator = Estimator(Calibration.fitted(*answers(rng, 3_000)), is_calibrated=True)
        confidences, right = answers(rng, 300)
        for confidence, is_right in zip(confidences, right, strict=True):
            estimator.learn(["all"], Labelled("a", "a" if is_right else "b", confidence))
            if not is_right:
                estimator.revise(["all"], Labelled("a", "c", confidence), former="b")
        rung += not estimator.may_act("all")

    assert rung == 0
