"""Probabilities as they are told: in six places, adding up to 1, in the order of what they are rounded from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_documents.classifier.softmax import probabilities, told


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=200))
def test_what_is_told_adds_up_to_one_and_changes_no_order(scores):
    shares = np.sort(probabilities(np.array(scores)))[::-1]

    found = told(shares)

    assert sum(found) == pytest.approx(1.0, abs=1e-12)
    assert found == sorted(found, reverse=True)
    assert np.abs(np.array(found) - shares).max() <= 1e-6


def test_of_labels_that_are_alike_the_first_gets_what_is_left():
    assert told(np.full(3, 1 / 3)) == [0.333334, 0.333333, 0.333333]
