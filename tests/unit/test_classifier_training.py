"""Training: what is learned, what is told of it, and what is refused; with words and static vectors only, for speed."""

import json
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from headrace import Example, InvalidInput, SharedWork, Shelf, Trainer
from headrace.assembly import files_of
from headrace.monitoring.window import reference_read
from headrace.registry.registry import ModelRegistry
from headrace_documents.classification import plain_text
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.tokens import StaticReader
from headrace_documents.training import ClassifierTrainer

WORDS = {
    "invoice": [
        "invoice",
        "amount",
        "due",
        "payment",
        "VAT",
        "total",
        "net",
        "bank",
        "account",
        "terms",
        "number",
        "customer",
    ],
    "letter": [
        "dear",
        "sincerely",
        "regards",
        "thank",
        "writing",
        "pleased",
        "hope",
        "visit",
        "family",
        "answer",
        "kind",
    ],
    "manual": [
        "press",
        "button",
        "switch",
        "install",
        "warning",
        "cable",
        "screen",
        "menu",
        "device",
        "cover",
        "reset",
    ],
}
COMMON = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "that",
    "it",
    "is",
    "was",
    "for",
    "on",
    "with",
    "as",
    "at",
    "by",
    "from",
    "or",
    "an",
    "be",
    "this",
    "are",
]


def examples_of(count, *, seed=0, labels=tuple(WORDS)):
    draw = random.Random(seed)
    return [
        Example(" ".join(draw.choices(WORDS[label], k=6) + draw.choices(COMMON, k=14)), label)
        for label in labels
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def static():
    return StaticReader()


@pytest.fixture(scope="module")
def trainer(static):
    return ClassifierTrainer(features=("words", "static"), descriptions={}, readers={"static": static})


@pytest.fixture(scope="module")
def trained(trainer):
    return trainer.train(examples_of(24))


@pytest.fixture
def opened(tmp_path, static):
    def classifier(trained):
        registry = ModelRegistry(tmp_path)
        version = registry.register("m", trained.files, metrics=trained.metrics, lineage=trained.lineage)
        return Classifier(Head.open(registry.folder_of(version)), {"static": static}), version

    return classifier


def answer(classifier, characters):
    text = plain_text(characters)
    return classifier.classification(text, classifier.read(characters), model="m")


def test_it_keeps_the_promise_of_a_trainer(trainer):
    assert isinstance(trainer, Trainer)


def test_it_learns_what_the_examples_tell_apart(trained, opened):
    classifier, _ = opened(trained)
    unseen = examples_of(30, seed=1)
    right = [answer(classifier, each.text).label == each.label for each in unseen]

    assert np.mean(right) > 0.95


def test_the_same_examples_and_seed_give_the_same_digest_in_whatever_order_they_come(trainer, opened):
    examples = examples_of(10)
    shuffled = random.Random(3).sample(examples, len(examples))

    first, again = (opened(trainer.train(each, seed=5))[1].digest for each in (examples, shuffled))
    other = opened(trainer.train(examples[:-1], seed=5))[1].digest

    assert first == again != other


def test_what_it_said_of_unseen_examples_is_left_for_who_watches_it_later(trained):
    reference = json.loads(trained.files["reference.json"])
    confusion = np.array(trained.report.confusion)

    assert list(reference["categories"]["label"].values()) == confusion.sum(axis=0).tolist()
    assert sum(reference["confidence"]) == reference["examples"] == trained.metrics["examples"]


def test_what_would_have_been_seen_of_its_answers_is_left_as_a_reference_of_drift(trainer, opened):
    trained = trainer.train(examples_of(80))
    files = files_of(trained)

    told = json.loads(files["reference.json"])
    sketch = reference_read(files["reference.json"])["all"]
    assert told.items() >= json.loads(trained.files["reference.json"]).items()
    assert sketch.count == told["examples"] == 240
    assert sketch.categories["label"].counts == told["categories"]["label"]
    assert "quality" not in sketch.categories
    assert (
        sketch.numbers["confidence"].count
        == sketch.numbers["characters"].count
        == sketch.numbers["meaning_1"].count
        == 240
    )
    _, version = opened(replace(trained, files=files))
    assert version.files["reference.json"].size_bytes < 50_000


def test_too_few_examples_are_no_reference_of_drift(trained):
    assert files_of(trained) == trained.files


def test_the_figures_add_up(trained):
    report = trained.report
    confusion = np.array(report.confusion)

    assert confusion.sum() == trained.metrics["examples"] == 72
    assert trained.metrics["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum(), abs=1e-6)
    assert trained.metrics["macro_f1"] == pytest.approx(np.mean([each.f1 for each in report.classes]), abs=1e-5)
    assert [each.examples for each in report.classes] == confusion.sum(axis=1).tolist()
    assert 0 <= trained.metrics["calibration_error"] <= 1
    saved = json.loads(trained.files["report.json"])
    assert saved["confusion"] == confusion.tolist()
    assert saved["labels"] == list(report.labels)


def test_every_stage_is_told_from_its_first_step_to_its_last(trainer):
    told = []
    trainer.train(examples_of(6), on_progress=lambda *step: told.append(step))

    for stage in {stage for stage, _, _ in told}:
        steps = [(done, total) for name, done, total in told if name == stage]
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([], "hold no text"),
        ([Example("  \n", "a"), Example("", "b")], "hold no text"),
        ([Example("one bill", "invoice"), Example("two bills", "invoice")], "are all 'invoice'"),
    ],
)
def test_nothing_to_tell_apart_is_refused_with_what_to_add(trainer, examples, said):
    with pytest.raises(InvalidInput, match=said) as refused:
        trainer.train(examples)

    assert "at least two labels" in refused.value.remedy


def test_one_example_a_label_is_enough_to_learn_from_and_is_warned_about(trainer, opened):
    few = [each for label in WORDS for each in examples_of(1, labels=(label,))]
    trained = trainer.train(few)

    assert any("Fewer than 5 examples" in note for note in trained.report.notes)
    assert answer(opened(trained)[0], few[0].text).label == few[0].label


def test_a_rare_label_among_many_is_found(trainer, opened):
    examples = examples_of(60, labels=("invoice", "letter")) + examples_of(4, labels=("manual",))
    classifier, _ = opened(trainer.train(examples))
    unseen = examples_of(20, seed=9, labels=("manual",))

    assert np.mean([answer(classifier, each.text).label == "manual" for each in unseen]) > 0.7


def test_many_labels_of_few_short_texts(trainer, opened):
    draw = random.Random(0)
    names = {f"kind_{number}": [f"w{number}x{i}" for i in range(6)] for number in range(60)}
    examples = [Example(" ".join(draw.choices(words, k=5)), label) for label, words in names.items() for _ in range(4)]
    classifier, _ = opened(trainer.train(examples))

    assert np.mean([answer(classifier, " ".join(words[:4])).label == label for label, words in names.items()]) > 0.9


def test_labels_in_other_scripts_and_texts_in_any_are_kept_as_they_are(trainer, opened):
    examples = [
        *(Example(f"请 付款 发票 金额 {n}", "发票") for n in range(6)),
        *(Example(f"Уважаемый господин, письмо номер {n}", "письмо") for n in range(6)),
        *(Example(f"السلام عليكم اجتماع محضر {n}", "محضر") for n in range(6)),
    ]
    classifier, _ = opened(trainer.train(examples))

    assert [answer(classifier, each.text).label for each in examples[::6]] == ["发票", "письмо", "محضر"]


def test_doubles_and_blanks_are_told(trainer):
    examples = [*examples_of(6), *examples_of(6)[:2], Example(" ", "letter")]
    notes = " ".join(trainer.train(examples).report.notes)

    assert "1 examples without any text were left out" in notes
    assert "2 examples were the same as another" in notes


def test_a_budget_too_short_for_the_encoder_leaves_it_out_and_says_so(static):
    class Encoder:
        name, digest, width, tokens_per_s = "minilm", "none", 384, 1

        def read(self, characters, *, tokens=None):
            raise AssertionError("it must not be asked")

    trainer = ClassifierTrainer(descriptions={}, readers={"static": static, "minilm": Encoder()})
    trained = trainer.train(examples_of(40), budget_s=0.01)

    assert "minilm" not in trained.lineage["features"]
    assert any("minilm was left out" in note for note in trained.report.notes)


def test_the_list_leaves_words_that_name_nothing_to_the_rest_and_says_no_word_twice(trained, opened):
    classifier, _ = opened(trained)
    found = answer(classifier, "The invoice is due and the total amount of the payment is 100 to the bank account.")
    listed = [each.text.casefold() for each in found.explanation.evidence]

    assert {"invoice", "due", "amount"} & {word for text in listed for word in text.split()}
    assert not {"the", "is", "and", "of", "to", "100", "."} & set(listed)
    spans = sorted((each.start, each.end) for each in found.explanation.evidence)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert {"the", "is"} <= {each.text.casefold() for each in found.contributions.evidence}


def test_a_text_of_nothing_but_joining_words_still_has_evidence(trained, opened):
    classifier, _ = opened(trained)
    found = answer(classifier, "the of and to")

    assert {each.text for each in found.explanation.evidence} & {"the", "of", "and", "to"}


def test_heads_of_the_same_terms_share_them_and_read_a_text_once(trained, tmp_path, static):
    registry, shelf = ModelRegistry(tmp_path), Shelf()
    versions = [registry.register("m", trained.files, lineage={"copy": copy}) for copy in "ab"]
    first, second = (Head.open(registry.folder_of(version), shelf=shelf) for version in versions)
    work = SharedWork()

    readings = [Classifier(head, {"static": static}).read("amount due", work=work) for head in (first, second)]

    assert first is not second
    assert first.vocabularies["words"] is second.vocabularies["words"]
    assert readings[0].entries["words"] is readings[1].entries["words"]
