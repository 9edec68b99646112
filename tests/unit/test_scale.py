"""Scores are made as large as they deserve: by one number a text, so that what its words add stays a sum."""

import json

import numpy as np
import pytest

from headrace import UnreadableArtifact
from headrace_documents.classifier.blending import blended_unseen, caution_at, scale_of
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.judging import calibration_error, log_loss
from headrace_documents.classifier.scale import PLAIN, Scale
from headrace_documents.classifier.softmax import probabilities

LABELS, EXAMPLES = 8, 4000


@pytest.fixture
def answers():
    """Scores that are right by the softmax of their square roots, so to speak: large ones are much too sure."""
    rng = np.random.default_rng(3)
    fair = rng.normal(size=(EXAMPLES, LABELS)) * rng.uniform(0.3, 3.0, (EXAMPLES, 1))
    truth = (probabilities(fair).cumsum(axis=1) > rng.random((EXAMPLES, 1))).argmax(axis=1)
    return fair * fair.std(axis=1, keepdims=True), truth


def test_a_scale_that_was_found_gives_as_many_right_answers_as_it_is_sure_of(answers):
    scores, truth = answers
    half = EXAMPLES // 2

    scale = scale_of(scores[:half], truth[:half], caution=0.0)

    # The spread of these scores is the square of the fair one.
    assert scale.power == pytest.approx(0.5, abs=0.06)
    after = scale.applied(scores[half:])
    assert calibration_error(after, truth[half:]) < 0.03 < calibration_error(scores[half:], truth[half:])
    # One temperature for all is found where power stays 0; it cannot do as well.
    best = min(log_loss(scores[half:] / each, truth[half:]) for each in np.arange(0.5, 4.0, 0.05))
    assert log_loss(after, truth[half:]) < best


def test_caution_makes_less_sure_and_changes_no_label(answers):
    scores, truth = answers

    scale, careful = (scale_of(scores, truth, caution=each) for each in (0.0, 0.25))

    assert careful.gain == pytest.approx(scale.gain / 1.25)
    assert (careful.applied(scores).argmax(axis=1) == scores.argmax(axis=1)).all()
    assert (
        probabilities(careful.applied(scores)).max(axis=1).mean() < probabilities(scale.applied(scores)).max(1).mean()
    )


def test_with_few_examples_hardly_any_sureness_is_held_back_and_with_many_an_eighth():
    """Measured at 8, 32 and all: see the ten draws of bills and posts in benchmarks/README.md."""
    cautions = [caution_at(each) for each in (2, 8, 32, 500)]

    assert cautions == sorted(cautions)
    assert cautions[0] < 0.005
    assert 0.02 < cautions[1] < 0.04
    assert 0.09 < cautions[2] < 0.11
    assert cautions[3] == pytest.approx(0.12, abs=0.001)


def test_a_few_examples_that_all_fare_well_make_no_answer_certain():
    truth = np.arange(18) % 3
    scores = np.eye(3)[truth] * np.linspace(2.0, 4.0, 18)[:, None]

    scale = scale_of(scores, truth, caution=0.0)

    # One in eighteen to come may well be wrong; without a pull the likeliest scale has no end.
    assert probabilities(scale.applied(scores)).max() < 0.999
    assert scale.applied(scores).std() < 3 * scores.std()


def test_the_surer_of_two_texts_stays_the_surer():
    scores = np.linspace(0.01, 50, 200)[:, None] * np.array([1.0, -0.2, -0.8])

    spread = Scale(gain=1.3, power=0.9).applied(scores).std(axis=1)

    assert (np.diff(spread) > 0).all()


def test_texts_without_any_difference_between_labels_stay_so():
    assert (Scale(gain=2.0, power=0.5).applied(np.zeros((1, 4))) == 0).all()
    assert (PLAIN.applied(np.array([[1.0, -1.0]])) == [[1.0, -1.0]]).all()


def test_a_text_grows_surer_by_its_words_up_to_a_bound():
    scores, scale = np.array([1.0, -1.0]), Scale(gain=2.0, growth=0.3)

    factors = [float(scale.factors(scores, words=words)) for words in (0, 12, 1_000_000)]

    assert factors == pytest.approx([2.0, 2.0 * np.exp(0.15), 2.0 * np.exp(0.3)], rel=1e-4)


def test_a_head_keeps_by_how_much_long_texts_are_surer(tmp_path):
    scale = Scale(1.0, 0.2, growth=0.3)
    head = Head(labels=("a", "b"), base=np.array([0.5, -0.5], np.float32), weights={}, scale=scale)
    for name, content in head.files().items():
        (tmp_path / name).write_bytes(content)

    assert Head.open(tmp_path).scale == scale


def test_an_example_does_not_weigh_the_parts_that_it_is_judged_by():
    rng = np.random.default_rng(5)
    truth, folds = rng.integers(0, 4, 60), np.arange(60) % 3
    noise = {f"part {number}": rng.normal(size=(60, 4)) for number in range(12)}
    usual = dict.fromkeys(noise, 0.3)

    before = blended_unseen(noise, truth, folds, usual=usual)
    other = np.where(folds == 1, (truth + 1) % 4, truth)
    after = blended_unseen(noise, other, folds, usual=usual)

    assert (before[folds == 1] == after[folds == 1]).all()
    assert (before[folds != 1] != after[folds != 1]).any()


def test_a_head_keeps_its_scale_and_those_from_before_scales_have_none(tmp_path):
    head = Head(labels=("a", "b"), base=np.array([0.5, -0.5], np.float32), weights={}, scale=Scale(2.0, 0.5))
    for name, content in head.files().items():
        (tmp_path / name).write_bytes(content)
    assert Head.open(tmp_path).scale == Scale(2.0, 0.5)

    described = json.loads((tmp_path / "classifier.json").read_bytes())
    # Who knew no growth yet reads it as well.
    assert described["scale"] == {"gain": 2.0, "power": 0.5}
    (tmp_path / "classifier.json").write_text(json.dumps(described | {"scale": {"gain": -1.0, "power": 0.5}}))
    with pytest.raises(UnreadableArtifact, match="scaled"):
        Head.open(tmp_path)

    del described["scale"]
    (tmp_path / "classifier.json").write_text(json.dumps(described | {"format": 1}))
    assert Head.open(tmp_path).scale == PLAIN
