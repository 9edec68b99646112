"""Explanations are arithmetic: whatever the text, base, contributions and rest add up to the score."""

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import Columns, Example
from headrace.domain.columns import as_json, written
from headrace_documents.classification import plain_text
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.contributions import columns_of, kept_columns
from headrace_documents.classifier.encoder import EncoderReader, encoder_is_available
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.office_labels import OFFICE_LABELS
from headrace_documents.classifier.tokens import StaticReader
from headrace_documents.classifier.zero_shot import zero_shot_head
from headrace_documents.training import ClassifierTrainer

ODD = [
    "İstanbul",
    "ﬁnance",
    "e\u0301tude",
    "請求書",
    "👩‍👩‍👧",
    "\u202eabc",
    "a" * 300,
    "x\x00y",
    "١٢٣",
    "don't",
    "…",
    "\u00ad",
]
texts = st.lists(st.one_of(st.text(max_size=12), st.sampled_from([*ODD, "invoice", "due", "\n", "$ 5.00"]))).map(
    " ".join
)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    readers = {"static": StaticReader()}
    if encoder_is_available():
        readers["minilm"] = EncoderReader(tmp_path_factory.mktemp("cache"))
    examples = [
        Example(f"{label} {n} {words[n * 9 :][:60]}", label) for label, words in OFFICE_LABELS.items() for n in range(4)
    ]
    trained = ClassifierTrainer(features=("words", *readers), readers=readers).train(examples)
    folder = tmp_path_factory.mktemp("model")
    for name, content in trained.files.items():
        (folder / name).write_bytes(content)
    zero = zero_shot_head(OFFICE_LABELS, [readers["static"]], readers["static"])
    return [Classifier(Head.open(folder), readers), Classifier(zero, readers)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(characters=texts)
def test_base_contributions_and_rest_add_up_to_the_score_of_the_label(classifiers, characters):
    for classifier in classifiers:
        reading = classifier.read(characters)
        scores = classifier.head.scores(reading)
        found = classifier.classification(plain_text(characters), reading, model="m", evidence=5)
        assert found.explanation.total == pytest.approx(float(scores.max()), abs=1e-6)
        for told in (found.explanation, found.contributions):
            total = told.base + sum(each.weight for each in told.evidence) + told.rest
            assert total == pytest.approx(told.total, abs=1e-4)
            for each in told.evidence:
                assert characters[each.start : each.end] == each.text
                assert each.text.strip()
        evidence = found.contributions.evidence
        kept = as_json(written({"evidence": kept_columns(evidence)}), characters)
        assert kept == msgspec.json.encode({"evidence": list(Columns(columns_of(evidence)).rows())})
        assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
        assert found.probabilities[found.label] == max(found.probabilities.values()) == found.confidence


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(characters=texts)
def test_the_probabilities_are_the_softmax_of_all_scores(classifiers, characters):
    for classifier in classifiers:
        reading = classifier.read(characters)
        scores = classifier.head.scores(reading)
        raised = np.exp(scores - scores.max())
        found = classifier.classification(plain_text(characters), reading, model="m")
        for label, share in zip(classifier.head.labels, raised / raised.sum(), strict=True):
            assert found.probabilities[label] == pytest.approx(share, abs=1e-5)
