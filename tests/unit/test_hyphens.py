"""Words broken at the end of a line: their hyphen goes where the break put it there, and stays where it is theirs."""

import pytest
from drawn import page_pdf, shown
from extracted import check_places, extracted

from headrace_documents.readers.hyphens import is_broken, with_compounds


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("re\u2010", "cords", True),
        ("Lade\xad", "schluss", True),
        ("Smith\u2010", "Jones", False),
        ("a\u2010", "b", False),
        ("12\u2010", "inch", False),
        ("plain", "words", False),
    ],
)
def test_a_true_hyphen_before_a_small_letter_breaks_a_word(before, after, expected):
    assert is_broken(before, after) is expected


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [
        (["the", "post", "incident", "review,", "post-incident"], 2, "post-"),
        (["the", "post", "incident", "review"], 2, "post"),
        (["in", "forma", "tion", "and", "formation", "forma-tion"], 2, "forma"),
        (["Mrs", "Okonkwo", "Baines"], 2, "Okonkwo-"),
        (["form", "HB", "31"], 2, "HB-"),
    ],
)
def test_a_hyphen_that_belongs_to_a_word_stays(words, at, expected):
    found = with_compounds(words, [index == at for index in range(len(words))])

    assert found[at - 1] == expected


def test_a_compound_broken_on_a_page_is_read_with_its_hyphen():
    content = shown(72, 700, "A post-incident review is held. Each post-") + shown(72, 688, "incident review is short.")

    text = extracted(page_pdf(content))

    check_places(text)
    assert text.characters == "A post-incident review is held. Each post-incident review is short."
