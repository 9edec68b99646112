"""Labels that are known by the words of their names and descriptions alone."""

import pytest

from headrace_documents.classifier.tokens import StaticReader
from headrace_documents.classifier.zero_shot import literal_terms


@pytest.fixture(scope="module")
def static():
    return StaticReader()


def test_the_words_of_a_phrase_share_what_it_says(static):
    labels = {"bill": "invoice number, payment; date of birth", "letter": "greeting", "menu": "発票番号。料理"}

    vocabulary, says = literal_terms(labels, static)

    shares = dict(zip(vocabulary.words, says, strict=True))
    assert shares["payment"].tolist() == [1, 0, 0]
    assert shares["invoice"] == pytest.approx([0.5**0.5, 0, 0])
    assert shares["birth"] == pytest.approx([3**-0.5, 0, 0])
    # Where letters are words their pairs are the words of a phrase.
    assert shares["料 理"].tolist() == [0, 0, 1]
    assert shares["番 号"] == pytest.approx([0, 0, 3**-0.5])


def test_a_word_says_most_where_it_stands_alone(static):
    vocabulary, says = literal_terms({"bill": "number of the invoice, invoice", "letter": "greeting"}, static)

    assert says[list(vocabulary.words).index("invoice"), 0] == 1
