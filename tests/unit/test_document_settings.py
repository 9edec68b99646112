"""Bounds in the settings of the documents application that would leave nothing are refused where they are read."""

import pytest

from headrace import InvalidConfiguration
from headrace.assembly.parts import parts_of
from headrace.settings import Settings
from headrace_documents.analyzer import DocumentAnalyzer


@pytest.mark.parametrize(
    ("service", "options", "told"),
    [
        ("summarizer", {"sentences": 0}, r"\[services.summarizer\] Expected `int` >= 1 - at `\$.sentences`"),
        ("summarizer", {"characters": -5}, r"Expected `int` >= 1 - at `\$.characters`"),
        ("summarizer", {"answer_s": 0}, r"Expected `float` > 0.0 - at `\$.answer_s`"),
        ("classifier", {"evidence": -1}, r"Expected `int` >= 0 - at `\$.evidence`"),
        ("text_extractor", {"limits": {"pages": 0}}, r"Expected `int` >= 1 - at `\$.limits.pages`"),
    ],
)
def test_a_bound_that_would_leave_nothing_is_refused(service, options, told):
    with pytest.raises(InvalidConfiguration, match=told):
        parts_of([DocumentAnalyzer()], Settings(services={service: options}))


def test_bounds_may_be_left_open_where_there_is_another():
    part = parts_of([DocumentAnalyzer()], Settings(services={"summarizer": {"words": 40}}))["summarizer"]

    assert (part.options.sentences, part.options.characters, part.options.words) == (4, 900, 40)
