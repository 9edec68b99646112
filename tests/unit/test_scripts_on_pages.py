"""Lines that run downwards, and numbers within words that run from the right."""

import numpy as np
import pytest

from headrace_documents.readers.layout import runs_down
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import cleaned
from headrace_documents.readers.right_to_left import _Glyph, _logical


def test_vertical_lines_are_known_by_their_shape_and_script():
    down = np.array([[500.0, 100, 514, 480], [480.0, 100, 494, 480]])
    across = np.array([[50.0, 100, 480, 114], [50.0, 80, 480, 94]])

    assert runs_down(["港湾委員会", "は火曜日に"], [0, 1], down)
    assert not runs_down(["港湾委員会", "は火曜日に"], [0, 1], across)
    assert not runs_down(["harbour", "board"], [0, 1], down)


def test_vertical_lines_are_read_from_the_right():
    words = PageWords(
        words=["港湾委員会", "は火曜日に", "協議した"],
        lines=np.array([0, 1, 2], dtype=np.int32),
        joined=[False] * 3,
        boxes=np.array([[500, 50, 514, 200], [480, 50, 494, 200], [460, 50, 474, 170]], dtype=np.float32),
        turn=90,
    )

    assert passage_of(words, page=1, width=600, height=800).characters.split() == words.words


@pytest.mark.parametrize(("seen", "written"), [("1.4-ב", "ב-1.4"), ("31/3/2-ב", "ב-31/3/2"), (".םולש", "שלום.")])
def test_a_number_in_a_word_from_the_right_keeps_its_order(seen, written):
    places = [(each, 10.0 * at, 10.0 * at + 9) for at, each in enumerate(seen)]
    glyphs = [_Glyph(each, x0, 0.0, x1, 9.0, 0.0, at, x0, x1) for at, (each, x0, x1) in enumerate(places)]

    assert _logical(glyphs) == written


def test_soft_hyphens_are_not_read():
    assert cleaned("Lade\u00adschluss") == "Ladeschluss"
