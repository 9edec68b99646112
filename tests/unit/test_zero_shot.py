"""Labels that are known by the words of their names and descriptions alone."""

import pytest

from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.office_labels import OFFICE_LABELS
from headrace_documents.classifier.softmax import probabilities
from headrace_documents.classifier.tokens import StaticReader
from headrace_documents.classifier.zero_shot import literal_terms, zero_shot_head


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


def test_what_many_words_say_in_the_mean_is_surer_than_what_a_few_do(static):
    classifier = Classifier(zero_shot_head(OFFICE_LABELS, [static], static), {"static": static})
    sentence = "The board met on Monday and the chair opened the meeting. "

    short, long, longer = (classifier.head.scored(classifier.read(sentence * times)) for times in (1, 10, 100))

    # All three have one mean token vector, and so the same scores up to how sure they are made.
    assert short.scores.argmax() == long.scores.argmax()
    sure = [probabilities(each.scores).max() for each in (short, long, longer)]
    assert sure[0] < sure[1] <= sure[2]
    # Half of all that length can bring is there at a dozen words, and hardly any is missing at a hundred.
    assert longer.factor / long.factor < 1.05 < long.factor / short.factor
