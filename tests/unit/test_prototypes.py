"""Prototypes: how near single tokens come to those of the examples, in files and in answers."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from headrace import Example, UnreadableArtifact
from headrace_documents.classification import plain_text
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.prototypes import Bags, Prototypes, at_length_1, evenly_drawn, prototypes_of
from headrace_documents.classifier.tokens import StaticReader, Tokens
from headrace_documents.training import ClassifierTrainer

WIDTH = 8


def drawn(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def bags_of(counts, seed=0):
    return Bags.of([evenly_drawn(drawn(count, seed + place), 1000) for place, count in enumerate(counts)], width=WIDTH)


def test_a_token_is_as_near_to_a_label_as_to_the_nearest_of_its_prototypes():
    vectors, tokens = at_length_1(drawn(7)), drawn(5, seed=1)

    near = Prototypes(vectors, np.array([0, 3, 7])).nearness(tokens)

    cosines = at_length_1(tokens) @ vectors.T
    expected = np.stack([cosines[:, :3].max(axis=1), cosines[:, 3:].max(axis=1)], axis=1)
    assert near == pytest.approx(expected - expected.mean(axis=1, keepdims=True), abs=1e-6)


def test_a_label_without_prototypes_is_as_far_away_as_the_farthest():
    near = Prototypes(at_length_1(drawn(6)), np.array([0, 2, 2, 6])).nearness(drawn(4, seed=1))

    assert (near[:, 1] == near.min(axis=1)).all()
    assert (Prototypes(drawn(0), np.array([0, 0, 0])).nearness(drawn(4)) == 0).all()


def test_texts_scored_together_have_the_sums_of_what_their_tokens_add():
    # The longest is more than one product's worth, and two have no token.
    counts = [3, 0, 2500, 1, 40, 0]
    bags = bags_of(counts)
    prototypes = Prototypes(at_length_1(drawn(9)), np.array([0, 4, 9]), weight=1.7)

    scores = prototypes.scores(bags)

    starts = np.cumsum([0, *np.minimum(counts, 1000)])
    for place, (start, end) in enumerate(pairwise(starts)):
        alone = prototypes.shares(bags.vectors[start:end].astype(np.float32)).sum(axis=0)
        assert scores[place] == pytest.approx(alone, abs=1e-5)


def test_some_of_the_bags_are_those_of_the_texts_that_a_mask_keeps():
    bags = bags_of([2, 5, 0, 3])

    kept = bags[np.array([True, False, True, True])]

    assert kept.bounds.tolist() == [0, 2, 2, 5]
    assert (kept.vectors == np.concatenate([bags.vectors[:2], bags.vectors[7:]])).all()


def test_many_tokens_become_few_prototypes_which_are_the_same_each_time():
    bags, truth = bags_of([900, 900, 10]), np.array([0, 0, 2])

    found = prototypes_of(bags, truth, 3, seed=4)

    assert np.diff(found.bounds).tolist() == [128, 0, 10]
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(138), abs=1e-3)
    again = prototypes_of(bags, truth, 3, seed=4)
    assert (again.vectors == found.vectors).all()
    # They stand for the tokens better than as many of these would.
    tokens = bags.vectors[:1800].astype(np.float32)
    by_chance = tokens[np.random.default_rng(0).choice(1800, 128, replace=False)]
    assert (tokens @ found.vectors[:128].T).max(axis=1).mean() > (tokens @ by_chance.T).max(axis=1).mean() + 0.02


def test_a_head_keeps_its_prototypes_and_those_from_before_have_none(tmp_path):
    head = Head(
        labels=("a", "b"),
        base=np.zeros(2, np.float32),
        weights={"minilm": np.zeros((WIDTH, 2), np.float32)},
        prototypes={"minilm": Prototypes(at_length_1(drawn(5)), np.array([0, 2, 5]), weight=2.5)},
    )
    for name, content in head.files().items():
        (tmp_path / name).write_bytes(content)

    kept = Head.open(tmp_path).prototypes["minilm"]
    assert (kept.vectors == head.prototypes["minilm"].vectors).all()
    assert (kept.bounds.tolist(), kept.weight) == ([0, 2, 5], 2.5)
    assert head.without("minilm").prototypes == {}

    described = json.loads((tmp_path / "classifier.json").read_bytes())
    broken = described | {"prototypes": {"minilm": {"bounds": [0, 2, 6], "weight": 2.5}}}
    (tmp_path / "classifier.json").write_text(json.dumps(broken))
    with pytest.raises(UnreadableArtifact, match="prototypes"):
        Head.open(tmp_path)

    del described["prototypes"]
    (tmp_path / "classifier.json").write_text(json.dumps(described | {"format": 2}))
    assert Head.open(tmp_path).prototypes == {}


class Meanings:
    """Stands for the encoder: `known` has the direction of each word, which no letter of it tells."""

    name, digest, width, tokens_per_s = "minilm", "meanings", WIDTH, 1000

    def __init__(self) -> None:
        self.known = {}

    def read(self, characters, *, tokens=None):
        words = [word for word in characters.split() if word in self.known]
        rows = np.array([self.known[word] for word in words], np.float32).reshape(-1, WIDTH)
        starts = np.array([characters.index(word) for word in words], np.int64)
        ends = starts + np.array([len(word) for word in words], np.int64)
        return Tokens(rows, starts, ends, len(characters))


def test_what_single_tokens_say_is_learned_where_their_mean_says_nothing(tmp_path):
    draw, encoder = np.random.default_rng(2), Meanings()

    def texts(count):
        """Each of two words and a common one; two of a label cancel each other out in the mean."""
        found = []
        for label, directions in (("one", [0, 1, 2]), ("two", [3, 4, 5])):
            for _ in range(count):
                words = [str(number) for number in draw.integers(10**8, 10**9, 3)]
                telling = np.eye(WIDTH)[draw.choice(directions)]
                encoder.known |= dict(zip(words, (telling, -telling, np.eye(WIDTH)[7]), strict=True))
                found.append(Example(" ".join(words), label))
        return found

    encoder.known["one"] = np.eye(WIDTH)[6]
    readers = {"static": StaticReader(), "minilm": encoder}
    trained = ClassifierTrainer(("words", "static", "minilm"), descriptions={}, readers=readers).train(texts(40))
    for name, content in trained.files.items():
        (tmp_path / name).write_bytes(content)
    classifier = Classifier(Head.open(tmp_path), readers)
    bare = Classifier(replace(classifier.head, prototypes={}), readers)
    asked = texts(50)

    right, without = (
        np.mean([each.head.labels[each.head.scores(each.read(text.text)).argmax()] == text.label for text in asked])
        for each in (classifier, bare)
    )
    # What the label's name says is a prototype too.
    vectors, bounds = classifier.head.prototypes["minilm"].vectors, classifier.head.prototypes["minilm"].bounds
    assert (vectors[: bounds[1]] @ encoder.known["one"] == 1).any()
    assert right > 0.9
    assert without < 0.7
    text = plain_text(asked[0].text)
    found = classifier.classification(text, classifier.read(text.characters), model="m").contributions
    assert found.base + sum(each.weight for each in found.evidence) + found.rest == pytest.approx(found.total, abs=1e-4)
