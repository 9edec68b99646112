"""Tables of PDF pages whose cells have several lines: by their ruled lines, or by how their lines stand."""

import pytest
from drawn import page_pdf, shown
from extracted import check_places, extracted

ROWS = [
    [["Role"], ["Duty"], ["Review"]],
    [["Chief officer"], ["Owns the policy and reports", "to the board each quarter"], ["Quarterly"]],
    [["Line manager"], ["Sees that leavers return", "what was lent to them"], ["On change"]],
    [["All staff"], ["Lock screens"], ["Yearly"]],
]
LEFTS = (72, 160, 330, 420)
TOP, PITCH, PADDING = 700, 12, 6


def drawn(*, ruled: bool, padding: int = PADDING) -> str:
    """The rows drawn cell by cell, between two sentences."""
    content, y = shown(72, TOP + 30, "The table says who has to do what, and how often it is looked at."), TOP
    for row in ROWS:
        height = PITCH * max(map(len, row)) + padding
        for left, right, cell in zip(LEFTS, LEFTS[1:], row, strict=False):
            content += "".join(shown(left + 3, y - 10 - PITCH * at, text) for at, text in enumerate(cell))
            if ruled:
                content += f"{left} {y - height} {right - left} {height} re S\n"
        y -= height
    return content + shown(72, y - 30, "It was agreed by the board in the spring of the year before last.")


def flat() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(" ".join(cell) for cell in row) for row in ROWS)


@pytest.mark.parametrize("ruled", [True, False])
def test_a_cell_of_several_lines_is_one_cell(ruled):
    text = extracted(page_pdf(drawn(ruled=ruled)))

    check_places(text)
    assert [table.rows for table in text.tables] == [flat()]
    assert text.characters.startswith("The table says")
    assert text.characters.endswith("before last.")


def test_a_line_goes_on_where_there_was_no_room_though_all_lines_are_as_close():
    text = extracted(page_pdf(drawn(ruled=False, padding=0)))

    assert flat()[1] in text.tables[0].rows


def test_lines_drawn_as_thin_boxes_rule_a_table_as_well():
    sides = "".join(f"{x} 612 0.5 88 re f\n" for x in LEFTS)
    levels = "".join(f"72 {y} 348 0.5 re f\n" for y in (700, 682, 652, 612))
    cells = shown(75, 690, "Role") + shown(163, 690, "Duty") + shown(333, 690, "Review")
    cells += (
        shown(75, 672, "Chief") + shown(75, 660, "officer") + shown(163, 672, "Owns it") + shown(333, 672, "Monthly")
    )
    cells += shown(75, 640, "Staff") + shown(163, 640, "Lock") + shown(163, 628, "screens") + shown(333, 640, "Yearly")

    text = extracted(page_pdf(sides + levels + cells))

    assert [table.rows for table in text.tables] == [
        (("Role", "Duty", "Review"), ("Chief officer", "Owns it", "Monthly"), ("Staff", "Lock screens", "Yearly"))
    ]


def test_columns_of_text_with_space_between_paragraphs_are_no_table():
    column = [
        ["The board met on Monday to hear what", "the engineers had found below the", "bridge on the upper road."],
        ["It was decided to close the road and", "to ask the county for the money that", "is needed for repair."],
        ["The treasurer will write to the owners", "of all boats that lie in the basin, who", "must move them in May."],
    ]
    content = ""
    for left in (72, 330):
        y = 700
        for paragraph in column:
            content += "".join(shown(left, y - PITCH * at, text) for at, text in enumerate(paragraph))
            y -= PITCH * 3 + 8

    text = extracted(page_pdf(content))

    assert text.tables == ()
    assert text.characters.split() == " ".join(" ".join(each) for each in column * 2).split()


def test_two_lines_stretched_to_their_column_are_no_table():
    content = shown(72, 700, "Lease") + shown(170, 700, "of business") + shown(280, 700, "premises in")
    content += shown(72, 688, "Ashby Fold")
    content += shown(72, 670, "Between the company") + shown(190, 670, "limited,") + shown(280, 670, "Quay Street")
    content += shown(72, 658, "seventeen, and the tenant who is named below it.")

    assert extracted(page_pdf(content)).tables == ()


def test_numbered_paragraphs_are_no_table():
    content, y = "", 700
    for number in range(1, 5):
        content += shown(72, y, f"{number}.") + shown(100, y, "The tenant pays what is due")
        content += shown(100, y - 12, "on the first day of a month.")
        y -= 32

    assert extracted(page_pdf(content)).tables == ()


def test_rows_in_groups_stay_rows():
    rows = [("Region", "Vans", "Sales"), ("North", "4", "1,204"), ("South", "3", "988"), ("West", "2", "640")]
    rows += [("Home", "9", "2,832"), ("Isles", "1", "120"), ("Abroad", "5", "1,011")]
    content = ""
    for number, row in enumerate(rows):
        y = 700 - 13 * number - 12 * (number > 3)
        content += "".join(shown(left, y, cell) for left, cell in zip((72, 200, 300), row, strict=True))

    text = extracted(page_pdf(content))

    assert [row for table in text.tables for row in table.rows] == rows


def test_the_blocks_of_an_invoice_are_no_rows_of_its_table():
    blocks = [(72, ["Nordlicht Marine Supply", "3 Harbour Street", "Kiel 24103"])]
    blocks += [(430, ["Invoice: NL-118", "Date: 4 March", "Due: 3 April"])]
    content = "".join(shown(x, 740 - 12 * at, line) for x, lines in blocks for at, line in enumerate(lines))
    bill = ["Bill to:", "Porthaven Harbour Board", "Quay Street, Porthaven"]
    content += "".join(shown(72, 692 - 12 * at, line) for at, line in enumerate(bill))
    rows = [("Description", "Qty", "Price", "Amount"), ("Mooring chain, galvanised", "40", "18.50", "740.00")]
    rows += [("Shackle", "12", "6.25", "75.00"), ("", "", "Total", "815.00")]
    for number, row in enumerate(rows):
        for right, cell in zip((72, 400, 460, 540), row, strict=True):
            left = right if right == 72 else right - 5.2 * len(cell)
            content += shown(left, 630 - 19 * number, cell) if cell else ""

    text = extracted(page_pdf(content))

    assert tuple(rows) in [table.rows for table in text.tables]
    assert "Bill to:\nPorthaven Harbour Board\nQuay Street, Porthaven" in text.characters


PARAGRAPH = [
    "The treasurer will write to",
    "the owners of all boats that",
    "lie in the basin, who must",
    "move them in May.",
]
STOCK = [("Part", "Count", "Price"), ("Shackle", "12", "6.25"), ("Chain", "40", "18.50"), ("Buoy", "3", "44.00")]


def stock(left: float, top: float, *, width: float = 80, rows=STOCK) -> str:
    """A ruled table of one line a cell, each cell drawn as a box."""
    content = ""
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            x, y = left + width * column, top - 20 * (number + 1)
            content += f"{x} {y} {width} 20 re S\n" + shown(x + 4, y + 6, cell)
    return content


def box(left: float, top: float, width: float, height: float) -> str:
    """A box with a paragraph in it."""
    lines = "".join(shown(left + 4, top - 14 - PITCH * at, line) for at, line in enumerate(PARAGRAPH))
    return f"{left} {top - height} {width} {height} re S\n" + lines


@pytest.mark.parametrize("place", [(72, 620, 240, 60), (72, 760, 240, 60), (312, 700, 160, 80), (312, 700, 160, 120)])
def test_a_box_of_text_that_touches_a_table_is_no_part_of_it(place):
    text = extracted(page_pdf(stock(72, 700) + box(*place)))

    check_places(text)
    assert [table.rows for table in text.tables] == [tuple(STOCK)]
    assert "\n".join(PARAGRAPH) in text.characters


def test_text_beside_a_table_and_below_a_box_that_touches_it_is_no_part_of_it():
    rows = [*STOCK, *[("Rope", str(number), "5.00") for number in range(6)]]
    below = shown(316, 560, "Below the box stands more.")

    text = extracted(page_pdf(stock(72, 700, rows=rows) + box(312, 700, 160, 80) + below))

    assert [table.rows for table in text.tables] == [tuple(rows)]
    assert "\n".join(PARAGRAPH) in text.characters


def test_tables_that_touch_are_two():
    offices = [("Harbour", "Master"), ("Kiel", "Jansen"), ("Wick", "Moir")]

    text = extracted(page_pdf(stock(72, 700) + stock(72, 620, width=120, rows=offices)))

    assert [table.rows for table in text.tables] == [tuple(STOCK), tuple(offices)]


def test_the_words_of_a_cell_over_several_rows_stand_in_the_first():
    content = "72 680 120 20 re S\n192 680 80 20 re S\n72 600 120 80 re S\n"
    content += shown(76, 686, "Region") + shown(196, 686, "Town")
    lines = ("The northern", "coast with all", "of its islands")
    content += "".join(shown(76, 664 - 24 * at, line) for at, line in enumerate(lines))
    for at, town in enumerate(("Wick", "Thurso", "Tain", "Alness")):
        content += f"192 {660 - 20 * at} 80 20 re S\n" + shown(196, 666 - 20 * at, town)

    text = extracted(page_pdf(content))

    coast = "The northern coast with all of its islands"
    rows = (("Region", "Town"), (coast, "Wick"), ("", "Thurso"), ("", "Tain"), ("", "Alness"))
    assert [table.rows for table in text.tables] == [rows]
