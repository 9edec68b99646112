"""Tables without lines on page pictures, where the boxes of words are those of their ink."""

import re

import numpy as np

from headrace_documents.readers.page_text import PageWords
from headrace_documents.readers.wrapped_tables import wrapped_frames

ADVANCE, INK, BEARING, PITCH = 12, 13, 1.5, 24
"""Of a typewriter's letter: its width, the height of its ink, the white at its sides; and that of the lines."""


def typed(lines):
    """The words of a typed page, with the boxes of their ink."""
    words, numbers, boxes = [], [], []
    for number, line in enumerate(lines):
        for word in re.finditer(r"\S+", line):
            words.append(word[0])
            numbers.append(number)
            x0, x1, y0 = word.start() * ADVANCE + BEARING, word.end() * ADVANCE - BEARING, 100 + number * PITCH
            boxes.append((x0, y0, x1, y0 + INK))
    return PageWords(words, np.array(numbers, np.int32), [False] * len(words), np.array(boxes, np.float32))


def test_the_spaces_of_a_typewriter_part_no_cells():
    lines = [
        "SUBTOTAL:                       $2,546.00",
        "SALES TAX 8.25 % ON:$2,042.00:    $168.47",
        "TOTAL DUE MAY 7, 2026:          $2,714.47",
    ]

    parted = [edge for frame in wrapped_frames(typed(lines), is_seen=True) for edge in frame.columns[1:-1]]

    assert all(edge > 30 * ADVANCE for edge in parted)


def test_columns_of_single_words_are_parted_though_no_gap_is_between_words():
    lines = ["Month   Rain   Sun", "April     61   173", "May       48   190", "June      52   204"]

    (frame,) = wrapped_frames(typed(lines), is_seen=True)

    assert len(frame.columns) == 4
