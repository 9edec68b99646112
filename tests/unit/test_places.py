"""Many places looked up at once are the places looked up one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace_documents.schema import DocumentInfo, Text, Words

INFO = DocumentInfo(None, "text/plain", 1, "", None, 1, None, ocr=False, title=None)


@st.composite
def texts(draw):
    """Words of one to five characters with gaps, on pages or not, with boxes or not."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=12))
    starts, ends, at = [], [], 0
    for size, gap in sizes:
        starts.append(at)
        ends.append(at + size)
        at += size + gap
    numbers = st.floats(0, 500, width=32)
    boxes = [draw(st.one_of(st.just([np.nan] * 4), st.lists(numbers, min_size=4, max_size=4))) for _ in sizes]
    pages = sorted(draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes))))
    words = Words(
        np.array(starts, np.int32), np.array(ends, np.int32), np.array(pages, np.int32), np.array(boxes, np.float32)
    )
    return Text("x" * at, words, INFO)


@given(texts(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12))
def test_many_places_are_those_of_each(text, spans):
    starts = np.array([start for start, _ in spans], np.int64)
    ends = np.array([start + size for start, size in spans], np.int64)

    assert list(text.places(starts, ends)) == [text.place(start, start + size) for start, size in spans]
