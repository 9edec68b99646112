"""Pictures of pages as scanners and cameras make them: turned, dark, uneven, of every kind of pixel."""

import io

import numpy as np
import pytest
from extracted import check_places, extracted, normal
from PIL import Image, ImageDraw, ImageFont, ImageOps

from headrace_documents.readers.ink import evened

LINES = (
    "The harbour board met on Tuesday to hear",
    "what the engineers had found below the",
    "bridge. A second quotation will be sought",
    "before the work begins in the spring.",
)


def page(*, ink: int = 0, paper: int = 255) -> Image.Image:
    picture = Image.new("L", (1300, 700), paper)
    face = ImageFont.load_default(size=34)
    for number, line in enumerate(LINES):
        ImageDraw.Draw(picture).text((120, 120 + 52 * number), line, font=face, fill=ink)
    return picture


def saved(picture: Image.Image, kind: str = "PNG") -> bytes:
    output = io.BytesIO()
    picture.save(output, format=kind, dpi=(200, 200))
    return output.getvalue()


def assert_read(content: bytes) -> None:
    text = extracted(content, "a.png")
    check_places(text)
    assert normal(text.characters) == " ".join(LINES)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_page_turned_on_the_scanner_is_read_from_its_first_line(turn):
    assert_read(saved(page().rotate(turn, expand=True)))


@pytest.mark.parametrize("degrees", [-14, 8, 188])
def test_a_page_that_lies_askew_is_read(degrees):
    assert_read(saved(page().rotate(degrees, expand=True, fillcolor=255)))


def test_boxes_of_words_that_lean_are_around_them():
    skewed = page().rotate(10, expand=True, fillcolor=255)

    text = extracted(saved(skewed), "a.png")

    covered = np.asarray(skewed) > 128
    for word in text.each_word():
        assert word.box is not None
        x0, y0, x1, y1 = (round(side * 200 / 72) for side in word.box)
        covered[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4] = True
    assert covered.all()


def test_a_page_light_on_dark_is_read():
    assert_read(saved(page(ink=235, paper=20)))


def test_a_page_in_the_shadow_of_a_camera_is_read():
    pixels = np.asarray(page()) * np.linspace(0.4, 1.0, 1300)[None, :]

    assert_read(saved(Image.fromarray(pixels.astype(np.uint8)), "JPEG"))


@pytest.mark.parametrize("ink", [0, 255])
def test_what_is_drawn_on_a_clear_ground_is_read_whether_dark_or_light(ink):
    picture = Image.new("RGBA", (1300, 700), (ink, ink, ink, 0))
    picture.putalpha(ImageOps.invert(page()))

    assert_read(saved(picture))


def test_even_paper_is_left_as_it_is():
    picture = page(ink=90, paper=200)

    assert evened(picture) is picture


NUMBERS = [["Station", "Jan", "Feb", "Mar"], ["Ashby", "12.1", "11.8", "13.0"], ["Fold", "8.4", "7.7", "6.1"]]
NUMBERS += [["Quarry Lane", "103.2", "99.0", "87.5"]]
DUTIES = [
    ["Role", "Duty", "Review"],
    ["Chief officer", "Owns the policy and reports\nto the board each year", "Monthly"],
]
DUTIES += [["Line manager", "Sees that leavers return\nwhat was lent to them", "On change"]]


@pytest.mark.parametrize(("rows", "lefts"), [(NUMBERS, (120, 480, 680, 880)), (DUTIES, (120, 420, 980))])
def test_a_table_without_lines_is_read_row_by_row(rows, lefts):
    picture = Image.new("L", (1500, 700), 255)
    face, y = ImageFont.load_default(size=30), 120
    for row in rows:
        for left, cell in zip(lefts, row, strict=True):
            for number, line in enumerate(cell.split("\n")):
                ImageDraw.Draw(picture).text((left, y + 40 * number), line, font=face, fill=0)
        y += 18 + 40 * max(cell.count("\n") + 1 for cell in row)

    text = extracted(saved(picture), "a.png")

    check_places(text)
    assert [list(row) for table in text.tables for row in table.rows] == [
        [" ".join(cell.split()) for cell in row] for row in rows
    ]
