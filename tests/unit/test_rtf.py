"""RTF as the programs of many years wrote it: code pages by font, tables, notes, fields, what is not shown."""

import pytest
from extracted import check_places, extracted


def read(body: str, head: str = r"\ansi\ansicpg1252\uc1"):
    text = extracted((r"{\rtf1" + head + " " + body + "}").encode("latin-1"), "a.rtf")
    check_places(text)
    return text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (r"caf\'e9 \u8364\'80\uc0\u8364 5", "café €€5"),
        (r"\u-10179?\u-8704? smile", "\U0001f600 smile"),
        (r"a\emdash b\~c\_d\-e \{x\}\\ \lquote q\rquote", "a\u2014b c-de {x}\\ \u2018q\u2019"),
        (r"one\line two\tab three", "one\ntwo\tthree"),
        (r"shown {\v hidden }{\deleted gone }too", "shown too"),
        (r"{\*\unknown x}{\pict 0011}{\object{\*\objdata 00}{\result kept}}", ""),
        (r"{\field{\*\fldinst HYPERLINK x}{\fldrslt a link}} here", "a link here"),
        (r"{\listtext\'95\tab}item\par{\listtext 2.\tab}next", "item\n\n2.\tnext"),
        (r"{\bin4 a{}b}after", "after"),
        (r"{\field{\*\fldinst {EQ \\* jc2 \\o\\ad(\\s\\up 9(gr),base)}}{\fldrslt {}}} of it", "base of it"),
        ("first\\\nsecond", "first\n\nsecond"),
    ],
)
def test_signs_and_groups(body, expected):
    assert read(body).characters == expected


def test_bytes_are_in_the_code_page_of_their_font():
    fonts = r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial;}{\f2\fcharset128 Gothic;}{\f3\fcharset2 Symbol;}}"

    text = read(fonts + r"\f0 \'e9 {\f1 \'cf\'f0\'e8\'e2\'e5\'f2} {\f2 \'93\'8c\'8b\'9e} {\f3\'b7} \'e9")

    assert text.characters == "é Привет 東京 \u2022 é"


def test_a_cell_of_several_paragraphs_is_one_cell():
    rows = r"{\trowd\cellx1\cellx2{{\pard\intbl a\par}\cell}{{\pard\intbl b\par}\cell}\intbl\row}"
    rows += r"{\trowd\cellx1\cellx2{\pard\intbl c\par d\cell e\cell}\row}"

    text = read(rf"\pard before\par {rows}\pard after\par")

    assert text.characters == "before\n\na\tb\nc d\te\n\nafter"
    assert [table.rows for table in text.tables] == [(("a", "b"), ("c d", "e"))]


def test_a_table_within_a_cell_stands_after_the_one_around_it():
    inner = r"\pard\intbl\itap2 x\nestcell{\nonesttables\par}y\nestcell{\*\nesttableprops\trowd\nestrow}"

    text = read(rf"\trowd\cellx1\cellx2\pard\intbl a\cell {inner}\pard\intbl\itap1 b\cell\row\pard after\par")

    assert [table.rows for table in text.tables] == [(("a", "b"),), (("x", "y"),)]


def test_what_stands_before_a_table_within_a_cell_is_of_the_outer_cell():
    inner = r"\pard\intbl\itap2 x\nestcell y1\par y2\nestcell{\*\nesttableprops\trowd\nestrow}"

    text = read(rf"\trowd\cellx1\cellx2\pard\intbl before\par {inner}\pard\intbl after\cell b\cell\row\pard end\par")

    assert [table.rows for table in text.tables] == [(("before after", "b"),), (("x", "y1 y2"),)]


def test_headers_come_first_and_notes_and_footers_last_without_the_number_of_the_page():
    head = r"{\header Board {\field{\*\fldinst PAGE}{\fldrslt 3}}\par}{\headerf Board \par}{\footer Secret\par}"

    text = read(head + r"A word{\super 1}{\footnote {\super 1} About it.} more.\par")

    assert text.characters == "Board\n\nA word1 more.\n\n1 About it.\n\nSecret"


def test_the_title_is_in_the_code_page_of_the_document():
    info = r"{\info{\title \'cf\'ee\'f0\'f2}{\author x}{\*\company y}}"

    text = read(info + "body", r"\ansi\ansicpg1251")

    assert text.document.title == "Порт"
    assert text.characters == "body"


def test_text_boxes_are_read_once():
    shape = r"{\shp{\*\shpinst{\sp{\sn a}{\sv b}}{\shptxt in a box\par}}{\shprslt in a box again\par}}"

    assert read(shape + "body").characters.split("\n\n") == ["in a box", "body"]
