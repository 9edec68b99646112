"""Terms find what a dict would find."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace_documents.classifier import terms as terms_module
from headrace_documents.classifier.terms import Terms

STRINGS = st.lists(st.text(max_size=6), unique=True, max_size=60)


@given(STRINGS, STRINGS)
def test_each_string_is_found_where_it_stands_and_no_other_is(known, others):
    columns = {term: column for column, term in enumerate(known)}
    wanted = [*others, *known]

    found = Terms(known).find(wanted)

    assert found.tolist() == [columns.get(term, -1) for term in wanted]
    assert list(Terms(known)) == known


@given(STRINGS, STRINGS)
def test_strings_of_one_hash_are_told_apart(known, others):
    columns = {term: column for column, term in enumerate(known)}
    wanted = [*others, *known]
    usual = terms_module._hashes
    terms_module._hashes = lambda terms: np.array([len(term) % 2 for term in terms], np.int64)
    try:
        found = Terms(known).find(wanted)
    finally:
        terms_module._hashes = usual

    assert found.tolist() == [columns.get(term, -1) for term in wanted]
