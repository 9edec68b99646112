"""The lesser ways of the classifier: without the encoder, and without reading at all."""

import gc
import json
import random
import weakref

import numpy as np
import pytest

from headrace import Example, UnreadableArtifact
from headrace_documents.classification import ClassificationService, plain_text
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.judging import calibration_error
from headrace_documents.classifier.prior import Prior
from headrace_documents.classifier.tokens import StaticReader, Tokens
from headrace_documents.training import ClassifierTrainer


class Letters:
    """Stands for the encoder: knows the labels' telling words by heart, and so carries most of a head's score."""

    name, digest, width, tokens_per_s = "minilm", "letters", 4, 1000

    def read(self, characters, *, tokens=None):
        found = [word for word in characters.split() if word in {"amount", "due", "total", "dear", "regards", "visit"}]
        rows = [[1.0, float(word in {"amount", "due", "total"}), float(len(word)) / 9, 0.5] for word in found]
        places = np.array([characters.index(word) for word in found], np.int64)
        ends = places + np.array([len(word) for word in found], np.int64)
        return Tokens(np.array(rows, np.float32).reshape(-1, 4), places, ends, len(characters))


BILL = plain_text("Invoice number 17: the amount due is 240 euros, payable within 30 days.")


def test_the_ways_are_tried_from_the_best_to_the_least():
    assert [rung.name for rung in ClassificationService.ladders["classify"]] == ["fast", "prior"]


async def test_without_the_encoder_the_explanation_still_adds_up():
    service = ClassificationService()
    found = await service._fast(BILL)

    assert found.label == "invoice"
    told = found.contributions
    total = told.base + sum(each.weight for each in told.evidence) + told.rest
    assert total == pytest.approx(told.total, abs=1e-4)


async def test_when_nothing_can_be_read_the_most_frequent_label_answers_and_says_that_it_read_nothing(tmp_path):
    classes = [{"label": "letter", "examples": 3}, {"label": "invoice", "examples": 9}]
    (tmp_path / "report.json").write_text(json.dumps({"classes": classes}))
    service = ClassificationService()
    service.stand_by(tmp_path)
    found = await service._prior(BILL)

    assert (found.label, found.confidence, found.characters_read) == ("invoice", 0.75, 0)
    assert found.explanation.method == "prior"
    assert found.explanation.base == found.explanation.total
    assert list(found.explanation.evidence) == []


def test_without_a_model_all_labels_are_alike():
    assert Prior.of(["a", "b"]).shares == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize("content", ["", "{}", '{"classes": []}', '{"classes": [{"label": "a", "examples": 0}]}'])
def test_a_report_that_counts_nothing_is_refused(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UnreadableArtifact, match=r"report\.json"):
        Prior.open(tmp_path)


def test_without_the_encoder_probabilities_are_as_honest_as_with_it(tmp_path):
    draw = random.Random(0)
    words = {"invoice": ["amount", "due", "total"], "letter": ["dear", "regards", "visit"]}
    shared = ["the", "of", "paper", "house", "number", "day"]

    def texts(count):
        # Now and then a word comes from the other label, so that nobody can be quite sure.
        return [
            Example(" ".join(draw.choices(words[label] * 8 + words[other] + shared * 2, k=6)), label)
            for label, other in (("invoice", "letter"), ("letter", "invoice"))
            for _ in range(count)
        ]

    readers = {"static": StaticReader(), "minilm": Letters()}
    trained = ClassifierTrainer(("words", "static", "minilm"), descriptions={}, readers=readers).train(texts(100))
    for name, content in trained.files.items():
        (tmp_path / name).write_bytes(content)
    classifier = Classifier(Head.open(tmp_path), readers).without_encoder()
    unseen = texts(200)
    scores = np.stack([classifier.head.scores(classifier.read(each.text)) for each in unseen])
    truth = np.array([classifier.head.labels.index(each.label) for each in unseen])

    assert "minilm" not in classifier.head.weights
    # Leaving the encoder's share of the score out, and nothing else, gives 0.89 and 0.07.
    assert (scores.argmax(axis=1) == truth).mean() > 0.93
    assert calibration_error(scores, truth) < 0.05


def test_an_answer_that_waits_for_its_record_holds_no_token_vectors():
    classifier = ClassificationService().load(None)
    reading = classifier.read(BILL.characters)
    answer = classifier.classification(BILL, reading, model="m")
    vectors = weakref.ref(reading.tokens["static"].vectors)

    del reading
    gc.collect()

    assert vectors() is None
    assert len(answer.contributions.evidence) > 10
