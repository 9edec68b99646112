"""Ruled lines of a page picture are found and erased, letters are not; words go into the cells between the lines."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from headrace_documents.readers.frames import frames_of
from headrace_documents.readers.ink import darkness_of, letter_height_of, skew_of
from headrace_documents.readers.ocr import Seen, credible
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.ruled_tables import in_cells
from headrace_documents.readers.rulings import Rulings, unruled

DPI = 200
COLUMNS, ROWS = (100, 500, 700, 900), (300, 350, 400, 450)
CELLS = [["Item", "Count", "Price"], ["Ball valve", "12", "3.50"], ["Hose", "7", "14.00"]]


def page(*, lines: bool, text: bool = True) -> Image.Image:
    picture = Image.new("L", (1200, 1000), 255)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=28)
    if text:
        for number in range(6):
            draw.text((100, 40 + 40 * number), "The mill runs minimum millimetre illumination.", font=font, fill=0)
        for top, row in zip(ROWS, CELLS, strict=False):
            for left, cell in zip(COLUMNS, row, strict=False):
                draw.text((left + 12, top + 9), cell, font=font, fill=0)
    if lines:
        for y in ROWS:
            draw.line((COLUMNS[0], y, COLUMNS[-1], y), fill=0, width=2)
        for x in COLUMNS:
            draw.line((x, ROWS[0], x, ROWS[-1]), fill=0, width=2)
    return picture


def words_of(*placed: tuple[str, int, float, float]) -> PageWords:
    boxes = [(x, y, x + 12 * len(word), y + 20) for word, _, x, y in placed]
    return PageWords(
        words=[word for word, *_ in placed],
        lines=np.array([line for _, line, *_ in placed], dtype=np.int32),
        joined=[False] * len(placed),
        boxes=np.array(boxes, dtype=np.float32),
    )


def rulings(rows=ROWS, columns=COLUMNS) -> Rulings:
    across = [(columns[0], y, columns[-1], y + 2) for y in rows]
    down = [(x, rows[0], x + 2, rows[-1]) for x in columns]
    return Rulings(np.array(across, dtype=np.float32), np.array(down, dtype=np.float32))


def test_ruled_lines_are_erased_and_every_letter_stays():
    clean, found = unruled(page(lines=True), dpi=DPI)

    assert (len(found.across), len(found.down)) == (len(ROWS), len(COLUMNS))
    lost = darkness_of(page(lines=False)) & ~darkness_of(clean)
    assert lost.sum() == 0
    left = darkness_of(clean) & ~darkness_of(page(lines=False))
    assert left.sum() == 0


def test_a_page_without_lines_is_left_as_it_is():
    picture = page(lines=False)

    clean, found = unruled(picture, dpi=DPI)

    assert clean is picture
    assert not len(found.across)
    assert not len(found.down)


def test_a_line_by_itself_is_left_for_the_layout():
    picture = page(lines=False)
    ImageDraw.Draw(picture).line((100, 480, 900, 480), fill=0, width=2)

    clean, found = unruled(picture, dpi=DPI)

    assert len(found.across) == 1
    assert clean is picture


def test_an_empty_page_has_no_lines_no_skew_and_no_letters():
    blank = Image.new("L", (800, 800), 255)

    assert unruled(blank, dpi=DPI)[0] is blank
    assert skew_of(blank) == 0.0
    assert letter_height_of(blank) is None


@pytest.mark.parametrize("degrees", [-2.3, -0.6, 0.4, 1.7])
def test_skew_is_measured(degrees):
    picture = page(lines=False).rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=255)

    assert skew_of(picture) == pytest.approx(degrees, abs=0.11)


def test_the_rows_of_a_ruled_table_are_read_across_though_its_columns_were_seen_one_by_one():
    words = words_of(
        ("Before", 0, 100, 200), ("Item", 1, 110, 310), ("Valve", 2, 110, 360), ("Hose", 3, 110, 410),
        ("Count", 4, 510, 310), ("12", 5, 510, 360), ("7", 6, 510, 410), ("After", 7, 100, 500),
    )  # fmt: skip

    passage = passage_of(in_cells(words, frames_of(rulings(), dpi=DPI)), page=1, width=1200, height=1000)

    assert passage.characters == "Before\n\nItem\tCount\nValve\t12\nHose\t7\n\nAfter"
    assert [table.rows for table in passage.tables] == [(("Item", "Count"), ("Valve", "12"), ("Hose", "7"))]
    [table] = passage.tables
    assert passage.characters[table.start : table.end] == "Item\tCount\nValve\t12\nHose\t7"


def test_a_line_parts_cells_whose_words_nearly_touch():
    words = words_of(("ab", 0, 470, 310), ("cd", 0, 503, 310), ("ef", 1, 470, 360), ("gh", 1, 503, 360))

    passage = passage_of(in_cells(words, frames_of(rulings(), dpi=DPI)), page=1, width=1200, height=1000)

    assert passage.tables[0].rows == (("ab", "cd"), ("ef", "gh"))


def test_several_lines_in_a_cell_are_one_cell():
    rows = (300, 380, 460, 540)
    words = words_of(
        ("Long", 0, 110, 310), ("7", 0, 510, 310), ("name", 1, 110, 340),
        ("Hose", 2, 110, 390), ("8", 2, 510, 390), ("Pipe", 3, 110, 470), ("9", 3, 510, 470),
    )  # fmt: skip

    passage = passage_of(in_cells(words, frames_of(rulings(rows=rows), dpi=DPI)), page=1, width=1200, height=1000)

    assert passage.tables[0].rows == (("Long name", "7"), ("Hose", "8"), ("Pipe", "9"))


def test_rows_that_no_line_parts_are_rows_all_the_same():
    words = words_of(
        ("Item", 0, 110, 310), ("Count", 0, 510, 310),
        ("Valve", 1, 110, 360), ("12", 1, 510, 360), ("Hose", 2, 110, 390), ("7", 2, 510, 390),
    )  # fmt: skip

    passage = passage_of(
        in_cells(words, frames_of(rulings(rows=(300, 350, 450)), dpi=DPI)), page=1, width=1200, height=1000
    )

    assert passage.tables[0].rows == (("Item", "Count"), ("Valve", "12"), ("Hose", "7"))


def test_a_frame_around_text_is_no_table():
    assert frames_of(rulings(rows=(100, 900), columns=(50, 1150)), dpi=DPI) == []
    assert frames_of(rulings(rows=(100, 150, 900), columns=(50, 600, 1150)), dpi=DPI) == []


def test_the_mark_of_a_list_is_left_out_and_letters_are_not():
    picture = Image.new("L", (400, 100), 255)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 38, 29, 47), fill=0)
    draw.text((220, 20), "e", font=ImageFont.load_default(size=40), fill=0)
    ink = darkness_of(picture)
    word = Seen("valve", 0, (50, 28, 120, 58), 90)
    letter = Seen("e", 0, draw.textbbox((220, 20), "e", font=ImageFont.load_default(size=40)), 40)
    beside = Seen("valve", 0, (270, 28, 340, 58), 90)

    assert credible([Seen("e", 0, (20, 38, 30, 48), 40), word], ink) == [word]
    assert credible([letter, beside], ink) == [letter, beside]


def test_a_doubtful_name_among_sure_words_is_kept_and_noise_is_not():
    ink = np.zeros((100, 400), dtype=bool)
    sure = [Seen(word, 0, (0, 0, 10, 10), 92) for word in ("met", "at", "noon")]
    name, noise = Seen("Sjöberg", 0, (0, 0, 10, 10), 12), Seen("~|", 0, (0, 0, 10, 10), 12)

    assert credible([name, *sure, noise], ink) == [name, *sure]
    assert credible([name, noise], ink) == []
