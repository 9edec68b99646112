"""Blocks side by side on a page picture are read one after the other, and the rows of a table row by row."""

import io
import re

import pytest
from extracted import character_error, check_places, extracted
from PIL import Image, ImageDraw, ImageFont

from headrace_documents.readers.blocks import downward, in_blocks
from headrace_documents.readers.seen import Seen

INVOICE = """
The Salt and Cedar Catering Company of Port Adderly
BILL TO                         INVOICE #: 20418
Pinecrest Community College     DATE: April 7, 2026
Office of Faculty Affairs       P.O. NUMBER: PCC-7731
2200 Ridge Road                 EVENT: Spring Institute, April 2
Port Adderly, OR 97000          and 3, 2026
                                TERMS: Net 30
"""
ADDRESSES = """
From                         To
Northgate Millworks Ltd      Brook Street Bakery
12 Station Road              7 Mill Lane
Ambleford AM1 2XY            Oxley OX7 9PL
"""
LETTERHEAD = """
                               Wiebke Sandvoss
Hausverwaltung Grothe          Kastanienallee 5
Am Alten Rathaus 12            39000 Elbfurt
39000 Elbfurt                  Telefon: 0391 555 12
                               E-Mail: ws@example.org
"""
THREE = """
Bill to                Ship to                  Invoice no: 4711
Oxley Stores Ltd       Oxley Depot              Date: 3 May 2026
Attn. Mrs Vane         Gate 4, Dock Road        Due: 2 June 2026
7 Mill Lane            Harbour Town             Order: PO-118
Oxley OX7 9PL          HT2 1AA
"""
COLUMNS = """
The board met on Monday to hear     The repair of the sluice will cost
what the engineers had found        some forty thousand and has to be
under the bridge, and decided       paid before the end of the year,
to close the upper road             said the treasurer
"""
HEADED = """
From:                        To:
Porthaven Harbour Board      Mr R. Haldane
The Old Customs House        12 Slip Road
Quay Street                  Porthaven
"""
POSTAL = """
Porthaven Harbour Board      Mr R. Haldane
The Old Customs House        12 Slip Road
Quay Street                  Porthaven PH4 7TT
Porthaven PH4 2QD
"""
BLOCKS = [HEADED, POSTAL, INVOICE, ADDRESSES, LETTERHEAD, THREE, COLUMNS]

TOTALS = """
Subtotal                            $2,546.00
Sales tax 8.25 %                      $168.47
Total due                           $2,714.47
"""
PARTS = """
Item                Qty      Price     Amount
Ball valve B90      4       648.24   2,592.96
Relay board         11      816.13   8,977.43
Flow meter C67      64      282.01  18,048.64
"""
CAREER = """
2019 to present     Maintenance electrician, Marlesby Market
                    Responsible for 212 stalls and two cold stores
2012 to 2019        Electrician, J. Corrigan Contracts
                    First and second fix in schools and shops
2008 to 2012        Apprentice, J. Corrigan Contracts
"""
OFFICES = """
Office            Elected
President         Mrs N. Iqbal
Secretary         Mr J. Tolland
Treasurer         Miss S. Crowe
Green keeper      Mr R. Sprake
Captain           Mrs D. Yarrow
"""
LABELS = """
Present:        Mr Dunnock, Mrs Vane, Mr Sprake and
                the Revd Halloran
Apologies:      Miss Crowe
Chair:          Mr A. Pettifer
"""
HEADINGS = """
Invoice number        Date               Customer
20418                 April 7, 2026      PCC-7731
"""
HOURS = """
Monday to Friday      9.00 to 17.30
Saturday              9.00 to 12.00
Sunday                closed
Bank holidays         closed
"""
TERMS = """
sluice          a gate by which the flow of water
                is held back or let go
headrace        the channel that leads water to
                the wheel of a mill
tailrace        the channel that leads it away
                from there again
"""
DIRECTORY = """
Anna Smith          01632 960 001      Sales
Bert Jones          01632 960 002      Stores
Carla Diaz          01632 960 003      Sales
"""
BRANCHES = """
Branch          Address
North           12 Slip Road, Porthaven PH4 7TT
South           7 Mill Lane, Oxley OX7 9PL
West            Gate 4, Dock Road, Hull HU3 2JX
"""
JOURNEYS = """
From            To
London          Paris
Oxley           Hull
Porthaven       Leeds
"""
ROWS = [BRANCHES, JOURNEYS, TOTALS, PARTS, CAREER, OFFICES, LABELS, HEADINGS, HOURS, TERMS, DIRECTORY]


def seen(layout: str) -> list[list[Seen]]:
    """The words of a layout of which each sign is 10 pixels wide and each line 30 high."""
    lines = []
    for number, row in enumerate(layout.strip("\n").split("\n")):
        line, at = [], 0
        for piece in row.split(" "):
            if piece:
                box = (10 * at, 30 * number, 10 * (at + len(piece)), 30 * number + 20)
                line.append(Seen(piece, number, box, 90.0))
            at += len(piece) + 1
        lines.append(line)
    return lines


def texts(lines: list[list[Seen]]) -> list[str]:
    return [" ".join(word.text for word in line) for line in lines]


def columns(layout: str, *starts: int) -> list[str]:
    """The lines of the columns that begin at `starts`, one column after the other."""
    rows = layout.strip("\n").split("\n")
    ends = [*starts[1:], 200]
    cut = (row[start:end] for start, end in zip(starts, ends, strict=True) for row in rows)
    return [" ".join(piece.split()) for piece in cut if piece.strip()]


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (INVOICE, [INVOICE.split("\n")[1], *columns("\n".join(INVOICE.split("\n")[2:]), 0, 32)]),
        (ADDRESSES, columns(ADDRESSES, 0, 29)),
        (LETTERHEAD, columns(LETTERHEAD, 0, 31)),
        (THREE, columns(THREE, 0, 23, 48)),
        (COLUMNS, columns(COLUMNS, 0, 36)),
        (HEADED, columns(HEADED, 0, 29)),
        (POSTAL, columns(POSTAL, 0, 29)),
    ],
)
def test_blocks_side_by_side_are_read_one_after_the_other(layout, expected):
    assert texts(in_blocks(seen(layout))) == expected


@pytest.mark.parametrize("layout", ROWS)
def test_what_belongs_to_one_row_is_read_in_it(layout):
    assert texts(in_blocks(seen(layout))) == texts(seen(layout))


@pytest.mark.parametrize("layout", [*BLOCKS, *ROWS])
def test_no_word_is_lost_or_told_twice(layout):
    words = [word for line in seen(layout) for word in line]

    found = [word for line in in_blocks(seen(layout)) for word in line]

    assert sorted(found, key=lambda word: word.box) == sorted(words, key=lambda word: word.box)


def test_lines_that_came_apart_already_stay_as_they_came():
    left, right = seen("One line\nand another"), seen("Beside it\nand below")
    moved = [
        [Seen(w.text, w.line, (w.box[0] + 300, w.box[1], w.box[2] + 300, w.box[3]), 90.0) for w in r] for r in right
    ]

    assert in_blocks([*left, *moved]) == [*left, *moved]


def test_right_to_left_lines_are_left_alone():
    lines = seen("אבג דה          חשבנית: 12\nרחב 5 תל          תאריך: 3 במאי\n")

    assert in_blocks(lines) == lines


@pytest.mark.parametrize("layout", [INVOICE, ADDRESSES, LETTERHEAD])
def test_a_scan_with_blocks_side_by_side_is_read_block_by_block(layout):
    picture = Image.new("L", (1700, 1100), 255)
    face = ImageFont.load_default(size=34)
    for row, line in enumerate(layout.strip("\n").split("\n")):
        for block in re.finditer(r"\S+(?: \S+)*", line):
            place = (120 + 24 * block.start(), 120 + 52 * row)
            ImageDraw.Draw(picture).text(place, block[0], font=face, fill=0)
    output = io.BytesIO()
    picture.save(output, format="PNG", dpi=(200, 200))

    text = extracted(output.getvalue(), "a.png")

    check_places(text)
    assert character_error(" ".join(texts(in_blocks(seen(layout)))), text.characters) < 0.03


def test_a_line_that_was_read_too_late_is_put_where_it_stands():
    lines = seen("The first line of a page\nThe second line of it\nThe third line of it\nThe fourth line")
    lines.insert(4, lines.pop(1))

    found = downward(lines)

    assert [line[1].text for line in found] == ["first", "second", "third", "fourth"]


def test_columns_that_were_read_one_after_the_other_stay_so():
    left, right = seen("One line\nand another\nand a third"), seen("Beside it\nand below")
    moved = [
        [Seen(w.text, w.line, (w.box[0] + 300, w.box[1], w.box[2] + 300, w.box[3]), 90.0) for w in r] for r in right
    ]

    assert downward([*left, *moved]) == [*left, *moved]


def test_a_block_beside_the_head_of_a_letter_is_read_before_the_letter():
    page = "From:\nHarbour Board\n\n\n\n\n\nDear Mr Haldane,\nThank you for it."
    lines = [line for line in seen(page) if line]
    beside = [[Seen("Haldane", 0, (800, 0, 870, 20), 90.0)], [Seen("Porthaven", 0, (800, 30, 890, 50), 90.0)]]

    found = downward([*lines, *beside])

    assert texts(found) == ["From:", "Harbour Board", "Haldane", "Porthaven", "Dear Mr Haldane,", "Thank you for it."]
