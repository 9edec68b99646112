"""Lines that run downwards, and numbers within words that run from the right."""

import numpy as np
import pytest
from attacks import pdf, stream
from drawn import CATALOGUE, shown
from extracted import check_places, extracted

from headrace_documents.readers.layout import runs_down
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import cleaned
from headrace_documents.readers.right_to_left import _Glyph, _logical, _words


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


@pytest.mark.parametrize(
    ("seen", "written"),
    [
        (".2024 יאמב", "במאי 2024."),
        ("ףוס (למנה לש) הדעוה", "הועדה (של הנמל) סוף"),
        ("ףוס )למנה לש( הדעוה", "הועדה (של הנמל) סוף"),
        (".Python תפש", "שפת Python."),
    ],
)
def test_marks_beside_numbers_and_brackets_are_read_as_written(seen, written):
    places = [(each, 10.0 * at, 10.0 * at + 9) for at, each in enumerate(seen) if each != " "]
    glyphs = [_Glyph(each, x0, 0.0, x1, 9.0, 0.0, at, x0, x1) for at, (each, x0, x1) in enumerate(places)]
    below = [_Glyph("ב", 10.0 * len(seen) - 10, -40.0, 10.0 * len(seen) - 1, -31.0, -40.0, 99, 0.0, 0.0)]

    assert " ".join(_words(glyphs + below).words[:-1]) == written


def test_a_mark_read_from_the_other_end_of_its_row_does_not_widen_the_box_of_its_word():
    seen = "הווחא חורב תישפנ."
    places = [(each, 10.0 * at, 10.0 * at + 9) for at, each in enumerate(seen) if each != " "]
    glyphs = [_Glyph(each, x0, 0.0, x1, 9.0, 0.0, at, x0, x1) for at, (each, x0, x1) in enumerate(places)]
    below = [_Glyph("ב", 0.0, -40.0, 9.0, -31.0, -40.0, 99, 0.0, 9.0)]

    found = _words(glyphs + below)

    assert found.words[:-1] == ["נפשית", "ברוח", "אחווה."]
    assert found.boxes[2].tolist() == [0.0, 0.0, 49.0, 9.0]


def test_soft_hyphens_are_not_read():
    assert cleaned("Lade\u00adschluss") == "Ladeschluss"


def test_lines_from_the_right_on_a_page_from_the_left_are_read_by_their_glyphs():
    """The second font shows Arabic from feh on, a mark above as m, and lam and alef as one glyph, z."""
    mapped = b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <61> <6a> <0641> endbfrange "
    mapped += b"2 beginbfchar <7a> <06440627> <6d> <064B> endbfchar"
    fonts = b"<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    fonts += b"/F2<</Type/Font/Subtype/Type1/BaseFont/Courier/ToUnicode 5 0 R>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font%b>>/Contents 3 0 R>>" % fonts
    english = "The board of the harbour met again on Tuesday evening."
    lines = "".join(shown(72, y, english) for y in (700, 686, 672, 600, 586))
    # As seen from left to right, the mark above the ligature of the second word.
    arabic = "".join(shown(x, y, seen) for x, y, seen in ((480, 640, "dcba"), (440, 640, "czb"), (447, 642, "m")))
    arabic += "".join(shown(x, 640, seen) for x, seen in ((404, "feda"), (374, "cba")))
    content = stream((lines + arabic.replace("F1", "F2")).encode())

    text = extracted(pdf([CATALOGUE, b"<</Type/Pages/Count 1/Kids[4 0 R]>>", content, page, stream(mapped)]))

    check_places(text)
    a, b, c, d, e, f = (chr(0x641 + number) for number in range(6))
    assert f"{a}{b}{c}{d} {b}\u0644\u0627\u064b{c} {a}{d}{e}{f} {a}{b}{c}" in text.characters.split("\n")


def test_a_mark_at_the_left_of_lines_that_begin_there_tells_that_they_run_from_the_right():
    seen = ".2024 יאמב"
    places = [(each, 10.0 * at, 10.0 * at + 9) for at, each in enumerate(seen) if each != " "]
    glyphs = [_Glyph(each, x0, 0.0, x1, 9.0, 0.0, at, x0, x1) for at, (each, x0, x1) in enumerate(places)]
    below = [_Glyph("ב", 0.0, -40.0, 9.0, -31.0, -40.0, 99, 0.0, 9.0)]

    assert " ".join(_words(glyphs + below).words[:-1]) == "במאי 2024."


def test_bullets_of_symbol_fonts_are_those_of_unicode():
    assert cleaned("\uf0b7 one \uf0a7 two") == "• one ▪ two"
