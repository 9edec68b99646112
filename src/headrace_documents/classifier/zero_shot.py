"""A head for labels that are described in words, without a single example."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from headrace import InvalidConfiguration
from headrace_documents.classifier.head import TERMS, Floats, Head
from headrace_documents.classifier.scale import Scale
from headrace_documents.classifier.surface import surface_of
from headrace_documents.classifier.tokens import TokenReader
from headrace_documents.classifier.words import Vocabulary, pairs_of

# How much nearness of meaning counts, and how much a word of the description itself. Beside the encoder, which knows
# both, the others count less: chosen on training texts of newsgroups, bills, banking77 and clinc150, as that which is
# nowhere worse than the better of the two kinds of vectors alone.
_NEARNESS = {"static": 10.0}
_LITERAL = 2.5
_NEARNESS_BESIDE = {"static": 3.0, "minilm": 14.0}
_LITERAL_BESIDE = 0.1
# Their sum, made about as sure as it is right. The first eight words of posts and news need a fifth more caution than
# the first fifty, with the same labels; from there on length tells little. Chosen as that which leaves the error of
# calibration of seven sets the least, in the mean of their squares. How vague labels are differs more from set to set
# than that, and nothing in their names tells it.
_SCALE = Scale(power=0.4, growth=0.3)
_SCALE_BESIDE = Scale(power=0.2, growth=0.3)
_RARE_SHARE = 0.34
# What parts the phrases of a description.
_PHRASES = re.compile(r"[,;:.()\n\u3001\u3002\uff0c\uff1b\uff1a\u060c\u061b]")


def zero_shot_head(labels: Mapping[str, str], readers: Sequence[TokenReader], table: TokenReader) -> Head:
    """A head that scores a text by its nearness to each description, and by words that it shares with few of them.

    `table` is the static reader, which tells words that mean something from those that only join others.

    Raises:
        InvalidConfiguration: there are fewer than two labels.
    """
    if len(labels) < 2:
        raise InvalidConfiguration(
            f"A classifier needs at least two labels and has {len(labels)}.",
            remedy='Describe them under [services.classifier] labels = { invoice = "a bill that asks for payment" }.',
        )
    vocabulary, literal = literal_terms(labels, table)
    has_encoder = any(reader.name == "minilm" for reader in readers)
    counts, literally, scale = (
        (_NEARNESS_BESIDE, _LITERAL_BESIDE, _SCALE_BESIDE) if has_encoder else (_NEARNESS, _LITERAL, _SCALE)
    )
    weights: dict[str, Floats] = {TERMS: centred(literal * literally)}
    for reader in readers:
        weights[reader.name] = centred(nearness(list(labels.values()), reader) * counts.get(reader.name, 10.0))
    return Head(
        labels=tuple(labels),
        base=np.zeros(len(labels), np.float32),
        weights=weights,
        vocabularies={TERMS: vocabulary},
        readers={reader.name: reader.digest for reader in readers},
        scale=scale,
    )


def nearness(descriptions: Sequence[str], reader: TokenReader) -> Floats:
    """Weights (width, labels) that give the cosine between a text's mean token vector and each description's."""
    return np.stack([reader.read(description).pooled() for description in descriptions], axis=1).astype(np.float32)


def label_in_words(label: str) -> str:
    """`support_mail` as `support mail`, `rec.sport.hockey` as `rec sport hockey`, `NotFound` as `Not Found`."""
    spread = "".join(
        f" {sign}" if sign.isupper() and place and label[place - 1].islower() else sign
        for place, sign in enumerate(label)
    )
    return " ".join("".join(sign if sign.isalnum() else " " for sign in spread).split()) or label


def centred(weights: Floats) -> Floats:
    """The same for every label taken off all of them changes no probability, and leaves what tells labels apart."""
    moved: Floats = (weights - weights.mean(axis=1, keepdims=True)).astype(np.float32)
    return moved


def literal_terms(labels: Mapping[str, str], table: TokenReader) -> tuple[Vocabulary, Floats]:
    """Words that at most a third of the descriptions hold, by how rare they are, and (words, labels) what each says.

    The longer a word's vector in the static table, the more it means: those of "the" and "in" are short. The words of
    a phrase share what it says: a "number" is less of an invoice than an "invoice number" is.
    """
    kinds = [_shares([label_in_words(label), *_PHRASES.split(words)]) for label, words in labels.items()]
    frequency = Counter(word for kind in kinds for word in kind)
    most = max(1.0, len(labels) * _RARE_SHARE)
    words = sorted(word for word, times in frequency.items() if times <= most)
    rarity = [float(np.log(1 + len(labels) / frequency[word])) for word in words]
    idf = np.array([rare * _meaning(word, table) for rare, word in zip(rarity, words, strict=True)], np.float32)
    holds = np.array([[kind.get(word, 0.0) for kind in kinds] for word in words], np.float32).reshape(-1, len(labels))
    return Vocabulary(words, [], idf), holds


def _meaning(word: str, table: TokenReader) -> float:
    """From 0 for words that only join others to 1 for those that name something."""
    return float(np.clip((table.read(word).length() - 5) / 10, 0.02, 1.0))


def _shares(phrases: Sequence[str]) -> dict[str, float]:
    """What each word of the phrases has of the phrase where it has most, 1 where it stands alone."""
    shares: dict[str, float] = {}
    for phrase in phrases:
        terms = _terms(phrase)
        share = float(max(len(terms), 1) ** -0.5)
        for term in terms:
            shares[term] = max(shares.get(term, 0.0), share)
    return shares


def _terms(phrase: str) -> set[str]:
    """Its words of two letters and more; where letters are words, as in Chinese, its pairs of them."""
    surface = surface_of(phrase)
    pairs = {
        (surface.keys[a], surface.keys[b])
        for a, b, first, _ in pairs_of(surface).tolist()
        if surface.ends[first] == surface.starts[first + 1]
    }
    return {key for key in surface.keys if len(key) > 1} | {f"{a} {b}" for a, b in pairs}
