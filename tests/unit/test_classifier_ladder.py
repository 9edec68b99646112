"""The lesser ways of the classifier: without the encoder, and without reading at all."""

import json

import pytest

from headrace import UnreadableArtifact
from headrace_documents.classification import ClassificationService, plain_text
from headrace_documents.classifier.prior import Prior

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
