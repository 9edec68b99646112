"""PDF pages made for one trait each: columns, turns, tables, broken words, damage."""

import asyncio
from time import monotonic

import pytest
from attacks import pdf, stream
from drawn import CATALOGUE, page_pdf, shown
from extracted import check_places, extracted, service

from headrace import Context, TooLarge, Unreadable
from headrace.serving.context import within
from headrace_documents.extraction import TextExtractionService
from headrace_documents.schema import Document

WORDS = ["mill", "water", "stream", "wheel", "stone", "grain", "flour", "miller", "sluice", "race"]


def line(number: int, *, words: int = 8) -> str:
    return " ".join(f"{WORDS[(number + each) % len(WORDS)]}{number}" for each in range(words))


def test_lines_of_a_page_are_read_with_their_places():
    text = extracted(page_pdf(shown(72, 700, "The mill stands") + shown(72, 686, "by the river.")))

    check_places(text)
    assert text.characters == "The mill stands\nby the river."
    mill = next(word for word in text.each_word() if word.text == "mill")
    assert mill.page == 1
    assert 85 < mill.box[0] < mill.box[2] < 115
    assert 80 < mill.box[1] < mill.box[3] < 96


def test_a_word_over_the_edge_has_the_box_that_is_seen_and_one_beyond_it_has_none():
    text = extracted(page_pdf(shown(560, 700, "overfullness of a line") + shown(700, 650, "hidden")))

    check_places(text)
    places = {word.text: word.box for word in text.each_word()}
    assert places["overfullness"][2] == 612
    assert places["hidden"] is None


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_turned_page_is_read_in_order_with_boxes_as_it_is_shown(rotate):
    content = "".join(shown(72, 700 - 14 * number, line(number)) for number in range(12))

    text = extracted(page_pdf(content, rotate=rotate))

    check_places(text)
    assert text.characters.split() == " ".join(line(number) for number in range(12)).split()


def test_columns_drawn_line_by_line_in_any_order_are_read_one_after_the_other():
    left = [(50, 700 - 14 * number, line(number, words=5)) for number in range(20)]
    right = [(330, 700 - 14 * number, line(number + 100, words=5)) for number in range(20)]
    drawn = [each for pair in zip(reversed(left), right, strict=True) for each in pair]

    text = extracted(page_pdf("".join(shown(*each) for each in drawn)))

    expected = " ".join(each[2] for each in [*left, *right])
    assert text.characters.split() == expected.split()


def test_a_heading_across_columns_stands_above_them():
    heading = (50, 740, "A heading of many words that runs across both of the columns of the page")
    left = [(50, 700 - 14 * number, line(number, words=5)) for number in range(12)]
    right = [(330, 700 - 14 * number, line(number + 100, words=5)) for number in range(12)]
    drawn = [*left[::2], *right[::-1], heading, *left[1::2][::-1]]

    text = extracted(page_pdf("".join(shown(*each) for each in drawn)))

    expected = " ".join(each[2] for each in [heading, *left, *right])
    assert text.characters.split() == expected.split()


def test_the_drawing_order_is_kept_where_geometry_does_not_contradict_it():
    content = shown(300, 700, "Second by place, first by drawing.") + shown(72, 650, "Then this.")

    text = extracted(page_pdf(content))

    assert text.characters.split("\n\n") == ["Second by place, first by drawing.", "Then this."]


def test_a_table_becomes_rows_of_cells():
    rows = [("Item", "Quantity", "Price"), ("Ball valve B90", "4", "648.24"), ("Relay board", "11", "816.13")]
    rows += [("Flow meter C67", "64", "282.01")]
    drawn = [
        shown(x, 700 - 20 * number, cell)
        for number, row in enumerate(rows)
        for x, cell in zip((72, 220, 300), row, strict=True)
    ]

    text = extracted(page_pdf(shown(72, 740, "Below is a table of parts that were ordered.") + "".join(drawn)))

    check_places(text)
    assert [table.rows for table in text.tables] == [tuple(rows)]
    assert "Ball valve B90\t4\t648.24" in text.characters


def test_a_list_with_bullets_is_no_table():
    drawn = [shown(72, 700 - 14 * n, f"{n}.") + shown(100, 700 - 14 * n, line(n)) for n in range(1, 8)]

    text = extracted(page_pdf("".join(drawn)))

    assert text.tables == ()


def test_a_page_of_text_holds_no_table():
    text = extracted(page_pdf("".join(shown(72, 700 - 14 * number, line(number, words=11)) for number in range(40))))

    assert text.tables == ()


def test_each_page_has_its_number_and_span():
    text = extracted(page_pdf(shown(72, 700, "A page with a few words on it."), count=3))

    assert [page.number for page in text.pages] == [1, 2, 3]
    assert [text.characters[page.start : page.end] for page in text.pages] == ["A page with a few words on it."] * 3
    assert text.document.pages == 3


def test_a_pdf_with_too_many_pages_is_refused_with_both_numbers():
    with pytest.raises(TooLarge, match=r"2,001 pages, and at most 2,000"):
        extracted(page_pdf(shown(72, 700, "text"), count=2001))


def test_an_encrypted_pdf_is_refused_with_the_remedy():
    content = page_pdf(shown(72, 700, "secret"))
    key = b"/Encrypt<</Filter/Standard/V 1/R 2/P -1/O<%b>/U<%b>>>/ID[<00><00>]" % (b"11" * 32, b"22" * 32)
    locked = content.replace(b"/Root 1 0 R", b"/Root 1 0 R" + key)

    with pytest.raises(Unreadable, match=r"encrypted.*without a password"):
        extracted(locked, "a.pdf")


def test_a_pdf_that_is_locked_for_certificates_is_called_encrypted():
    content = page_pdf(shown(72, 700, "secret"))
    key = b"/Encrypt<</Filter/Adobe.PubSec/V 4/SubFilter/adbe.pkcs7.s5>>/ID[<00><00>]"

    with pytest.raises(Unreadable, match=r"encrypted.*without a password"):
        extracted(content.replace(b"/Root 1 0 R", b"/Root 1 0 R" + key), "a.pdf")


def test_a_pdf_cut_off_is_mended_or_refused_by_name():
    content = page_pdf(shown(72, 700, "The mill stands by the river."), count=2)

    text = extracted(content[: content.rfind(b"xref")])

    assert "The mill stands by the river." in text.characters


def test_a_pdf_of_nothing_but_its_signature_is_refused():
    with pytest.raises(Unreadable, match="damaged"):
        extracted(b"%PDF-1.7\n" + bytes(100))


def test_a_blank_page_says_that_no_text_was_found():
    text = extracted(page_pdf(""))

    assert text.characters == ""
    assert "no_text_found" in {finding.code for finding in text.findings}


def scanned_pdf() -> bytes:
    """A page that shows nothing but a picture."""
    kind = b"/Type/XObject/Subtype/Image/Width 100/Height 100/ColorSpace/DeviceGray/BitsPerComponent 8"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</XObject<</I 5 0 R>>>>/Contents 4 0 R>>"
    pages = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
    return pdf([CATALOGUE, pages, page, stream(b"500 0 0 500 50 50 cm /I Do"), stream(bytes(100 * 100), kind)])


def answered(method: str, content: bytes, context: Context):
    with within(context):
        run = TextExtractionService.methods[method].run
        return asyncio.run(run(service(), Document(content, "a.pdf")))


def test_the_way_without_ocr_leaves_pictures_out_and_says_so():
    text = answered("_extract_without_ocr", scanned_pdf(), Context())

    assert "page_not_read" in {finding.code for finding in text.findings}


def test_a_time_too_short_for_ocr_is_told_as_degraded():
    context = Context(deadline=monotonic() + 2.0)

    text = answered("extract", scanned_pdf(), context)

    assert "page_not_read" in {finding.code for finding in text.findings}
    assert [(each.service, each.reason, each.used) for each in context.degraded] == [
        ("text_extractor", "deadline", "without_ocr")
    ]


def test_text_alone_is_not_degraded_by_a_short_time():
    context = Context(deadline=monotonic() + 2.0)

    text = answered("extract", page_pdf(shown(72, 700, "The mill stands by the river.")), context)

    assert text.characters == "The mill stands by the river."
    assert context.degraded == []
