"""Pictures of pages as scanners and cameras make them: turned, dark, uneven, of every kind of pixel."""

import io

import pytest
from extracted import check_places, extracted, normal
from PIL import Image, ImageDraw, ImageFont

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
