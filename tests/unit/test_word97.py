"""DOC: what its properties say of characters and paragraphs, and where its parts stand."""

import struct

import pytest
from extracted import check_places, extracted
from word97 import DELETED, HIDDEN, IN_TABLE, INNER_CELL, INNER_ROW, ROW, plain, style, word97

from headrace import TooLarge
from headrace_documents.readers.legacy_properties import Properties


def read(content: bytes):
    text = extracted(content, "a.doc")
    check_places(text)
    return text


def test_an_empty_cell_is_no_end_of_a_row():
    cells = ["Name\x07", "\x07", "Price\x07", "\x07", "\x07", "1,50 €\x07"]
    rows = [plain(cell, IN_TABLE) for cell in cells[:3]] + [plain("\x07", ROW)]
    rows += [plain(cell, IN_TABLE) for cell in cells[3:]] + [plain("\x07", ROW)]

    text = read(word97([plain("Before.\r"), *rows, plain("After.\r"), plain("Last.\r")]))

    assert text.tables[0].rows == (("Name", "", "Price"), ("", "", "1,50 €"))
    assert text.characters.split("\n\n")[-2:] == ["After.", "Last."]


def test_a_cell_of_several_paragraphs_is_one_cell():
    cells = [plain("one\r", IN_TABLE), plain("two\x07", IN_TABLE), plain("three\x07", IN_TABLE), plain("\x07", ROW)]

    text = read(word97([*cells, plain("a\x07", IN_TABLE), plain("b\x07", IN_TABLE), plain("\x07", ROW)]))

    assert text.tables[0].rows == (("one two", "three"), ("a", "b"))


def test_a_table_within_a_cell_stands_after_the_one_around_it():
    inner = [plain("n1\r", INNER_CELL), plain("n2\r", INNER_CELL), plain("\r", INNER_ROW)]
    row = [plain("outer\r", IN_TABLE), *inner, plain("end\x07", IN_TABLE), plain("beside\x07", IN_TABLE)]

    text = read(word97([*row, plain("\x07", ROW), plain("After.\r")]))

    assert [table.rows for table in text.tables] == [(("outer end", "beside"),), (("n1", "n2"),)]


def test_what_is_hidden_or_deleted_is_left_out_and_what_follows_keeps_its_place():
    runs = [("Seen \U0001f600 ", b""), ("hidden ", HIDDEN), ("gone ", DELETED), ("kept.\r", b"")]

    text = read(word97([(runs, b""), plain("Next.\r")], notes=[plain("A note.\r")]))

    assert text.characters.split("\n\n") == ["Seen \U0001f600 kept.", "Next.", "A note."]


STYLES = [
    style("Normal", b""),
    style("Secret", HIDDEN),
    style("More secret", b"", base=1),
    style("Aside", HIDDEN, base=0, is_paragraph=False),
    style("Shown again", b"\x3c\x08\x00", base=1),
]


def test_what_a_named_style_hides_is_left_out():
    aside, shown = b"\x30\x4a\x03\x00", b"\x3c\x08\x00"
    body = [
        *([("Seen ", b""), ("aside ", aside), ("on.\r", b"")], plain("Secret.\r"), plain("More secret.\r")),
        *(plain("Shown again.\r"), [("Not hidden here.\r", shown)], [("Aside of the secret.\r", aside)]),
    ]
    paragraphs = [each if isinstance(each, tuple) else (each, b"") for each in body]

    text = read(word97(paragraphs, styles=STYLES, styled={1: 1, 2: 2, 3: 4, 4: 1, 5: 1}))

    # Two styles that both hide show what they are set upon, as two that both are bold are not bold.
    assert text.characters.split("\n\n") == ["Seen on.", "Shown again.", "Not hidden here.", "Aside of the secret."]


def test_characters_unlike_their_style_are_shown_where_it_hides():
    unlike = b"\x3c\x08\x81"

    text = read(word97([([("Hidden ", b""), ("shown.\r", unlike)], b"")], styles=STYLES, styled={0: 1}))

    assert text.characters == "shown."


def test_a_damaged_list_of_styles_hides_nothing():
    text = read(word97([plain("Seen.\r"), plain("Seen too.\r")], styles=[b"\0" * 5], styled={1: 1}))

    assert text.characters.split("\n\n") == ["Seen.", "Seen too."]


def test_headers_stand_first_and_footers_last_each_once():
    section = [
        *([plain("Even head\r")], [plain("Head of the mill\r")], [plain("Even foot\r")]),
        *([plain("Foot, page \x13 PAGE \x143\x15\r")], [plain("First head\r")], [plain("First foot\r")]),
    ]
    again = [[], [plain("Head of the mill\r")], [], [plain("Other foot\r")], [], []]

    text = read(word97([plain("Body.\r")], notes=[plain("Note.\r")], furniture=[*section, *again]))

    assert text.characters.split("\n\n") == [
        *("Even head", "Head of the mill", "First head", "Body.", "Note."),
        *("Even foot", "Foot, page", "First foot", "Other foot"),
    ]


def test_what_reviewers_remarked_is_left_out():
    text = read(word97([plain("Body.\r")], notes=[plain("Note.\r")], remarks=[plain("Is this so?\r")]))

    assert text.characters.split("\n\n") == ["Body.", "Note."]


def test_a_reading_set_above_ideographs_is_left_out():
    field = '\x13EQ \\* jc2 \\* "Font:Gothic" \\* hps10 \\o\\ad(\\s\\up 9(かんじ),漢字)\x15'

    text = read(word97([plain(f"{field}を読む。\r")]))

    assert text.characters == "漢字を読む。"


def test_fields_show_their_results():
    link = '\x13 HYPERLINK "https://example.org" \x14a link\x15'

    text = read(word97([plain(f"See {link}, \x13 REF x \\h \x14part \x13 PAGEREF y \x147\x15\x15.\r")]))

    assert text.characters == "See a link, part 7."


def test_pages_of_properties_that_are_listed_again_and_again_are_read_once():
    stream = bytes(0x0102) + struct.pack("<II", 0, 8 * 300_000 + 4) + bytes(0x400)
    page = bytearray(512)
    struct.pack_into("<II", page, 0, 0x400, 0x402)
    page[-1] = 1
    table = bytes(4 * 300_001) + struct.pack("<I", 3) * 300_000

    found = Properties.read(stream.ljust(3 * 512, b"\0") + bytes(page), table)

    assert found.starts == [0x400]


def test_pieces_that_together_are_longer_than_allowed_are_refused():
    content = bytearray(word97([plain("A paragraph.\r")]))
    piece = content.index(struct.pack("<II", 0, len("A paragraph.\r")) + struct.pack("<HIH", 0, 0x800, 0))
    struct.pack_into("<I", content, piece + 4, 30_000_000)

    with pytest.raises(TooLarge, match="30,000,000 characters"):
        read(bytes(content))
