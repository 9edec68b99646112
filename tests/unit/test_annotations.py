"""What was put on a PDF page after it was made, such as the values of a form, is read where it stands."""

import io

import pytest
from attacks import stream
from drawn import FONT, page_pdf, shown
from extracted import check_places, extracted
from PIL import Image

from headrace_documents.readers.annotations import MOST
from headrace_documents.readers.pictures import page_picture
from headrace_documents.readers.reader import Limits


def appearance(text: str, width: int, height: int = 14) -> bytes:
    """A form that shows `text`."""
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 %d %d]/Resources%b" % (width, height, FONT)
    return stream(f"BT /F1 10 Tf 2 4 Td ({text}) Tj ET".encode(), entries)


def annotated(labels: str, *placed: tuple[str, int, int, str], more: bytes = b"") -> bytes:
    """A page with annotations `(kind, x, y, text)` on it."""
    objects = []
    for kind, x, y, _text in placed:
        head = b"<</Type/Annot/Subtype/%b/F 4/Rect[%d %d %d %d]" % (kind.encode(), x, y - 4, x + 200, y + 10)
        objects.append(head + b"/AP<</N %d 0 R>>%b>>" % (5 + len(placed) + len(objects), more))
    shapes = [appearance(text, 200) for *_, text in placed]
    return page_pdf(labels, annotations=(*objects, *shapes))


def test_the_values_of_a_form_stand_beside_their_labels():
    labels = shown(72, 700, "Full name:") + shown(72, 670, "Town:") + shown(72, 640, "Signed at the counter.")

    text = extracted(annotated(labels, ("Widget", 150, 700, "Marta Dunn"), ("Widget", 150, 670, "Ashby Fold")))

    check_places(text)
    assert text.characters.split() == [
        "Full",
        "name:",
        "Marta",
        "Dunn",
        "Town:",
        "Ashby",
        "Fold",
        "Signed",
        "at",
        "the",
        "counter.",
    ]
    marta = next(word for word in text.each_word() if word.text == "Marta")
    assert 150 < marta.box[0] < 154
    assert 80 < marta.box[1] < 92


def test_a_value_stands_inside_the_line_whose_gap_it_fills():
    labels = shown(72, 700, "Between") + shown(250, 700, "and the board:")

    text = extracted(annotated(labels, ("Widget", 130, 700, "the harbour")))

    assert text.characters.split() == ["Between", "the", "harbour", "and", "the", "board:"]


def test_a_value_without_a_label_in_its_row_stands_below_the_one_above():
    labels = shown(72, 700, "Remarks") + shown(72, 640, "Signature")

    text = extracted(annotated(labels, ("Widget", 72, 680, "none so far")))

    assert text.characters.split() == ["Remarks", "none", "so", "far", "Signature"]


@pytest.mark.parametrize("kind", ["FreeText", "Stamp"])
def test_remarks_typed_onto_a_page_are_read(kind):
    labels = shown(72, 700, "The board met on Tuesday.") + shown(72, 640, "It will meet again.")

    text = extracted(annotated(labels, (kind, 72, 670, "Approved by the treasurer")))

    check_places(text)
    assert text.characters.split("\n\n") == [
        "The board met on Tuesday.",
        "Approved by the treasurer",
        "It will meet again.",
    ]


def test_hidden_fields_are_left_out():
    hidden = b"<</Type/Annot/Subtype/Widget/F 2/Rect[150 696 350 710]/AP<</N 6 0 R>>>>"

    text = extracted(page_pdf(shown(72, 700, "Full name:"), annotations=(hidden, appearance("secret", 200))))

    assert text.characters == "Full name:"


def test_the_picture_of_a_page_shows_its_filled_fields():
    content = annotated(shown(72, 700, "Full name:"), ("Widget", 150, 700, "Marta Dunn"))
    blank = page_pdf(shown(72, 700, "Full name:"))

    pictures = [page_picture(each, "application/pdf", page=1, dpi=72, limits=Limits()) for each in (content, blank)]

    field = (150, 80, 220, 98)
    inked = [Image.open(io.BytesIO(picture)).convert("L").crop(field).getextrema()[0] < 128 for picture in pictures]
    assert inked == [True, False]


def test_a_page_with_more_remarks_than_any_reader_makes_is_read_without_them():
    remark = b"<</Type/Annot/Subtype/FreeText/F 4/Rect[72 600 272 614]/AP<</N %d 0 R>>>>" % (5 + MOST + 1)

    text = extracted(page_pdf(shown(72, 700, "Label"), annotations=(*[remark] * (MOST + 1), appearance("x", 200))))

    assert text.characters == "Label"


def test_a_blank_page_whose_fields_show_nothing_is_blank():
    empty = (b"<</Type/Annot/Subtype/Widget/F 4/Rect[72 600 272 614]/AP<</N 6 0 R>>>>", appearance("", 200))

    text = extracted(page_pdf("", annotations=empty))

    assert text.characters == ""
    assert "no_text_found" in {finding.code for finding in text.findings}
