"""Which languages a page picture is read with."""

import pytest

from headrace_documents.readers.scripts import languages_for, script_of

INSTALLED = ("deu", "eng", "fra", "osd", "rus", "spa", "ukr")


@pytest.mark.parametrize(
    ("name", "sureness", "languages"),
    [
        ("Latin", 5.0, "eng+deu+fra+spa"),
        ("Cyrillic", 5.0, "rus+ukr+eng"),
        ("Cyrillic", 0.8, "rus+eng+deu+fra"),
        ("Greek", 0.8, "eng+deu+fra+spa"),
        ("Han", 0.8, "eng+deu+fra+spa"),
        ("Han", 5.0, "eng"),
    ],
)
def test_a_page_is_read_in_the_languages_of_its_script_and_in_those_of_two_when_they_are_in_doubt(
    name, sureness, languages
):
    assert languages_for(script_of(name, sureness=sureness), INSTALLED) == languages


def test_whatever_is_installed_is_better_than_nothing():
    assert languages_for("Latin", ("ell", "osd")) == "ell"
