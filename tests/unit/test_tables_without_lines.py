"""Tables that nothing but white space tells, and what only looks like one."""

import pytest
from drawn import page_pdf, shown
from extracted import check_places, extracted

LEFTS = (72, 200, 300, 400)


def table_of(rows: list[list[str]], *, top: int = 600, pitch: int = 18) -> str:
    return "".join(
        shown(left, top - pitch * at, cell)
        for at, row in enumerate(rows)
        for left, cell in zip(LEFTS, row, strict=True)
        if cell
    )


@pytest.mark.parametrize(
    "heads",
    [
        [["", "Spring", "Summer", "Autumn"]],
        [["Region", "Sales", "", "Costs"], ["", "Spring", "Summer", "Total"]],
    ],
    ids=["no-name-of-rows", "one-over-two-columns"],
)
def test_the_heads_of_a_table_may_leave_columns_empty(heads):
    rows = [*heads, ["North and East", "12.5", "13.1", "8.0"], ["South", "9.9", "10.4", "7.25"]]

    text = extracted(page_pdf(shown(72, 640, "The figures of the year are these.") + table_of(rows)))

    check_places(text)
    assert [table.rows for table in text.tables] == [tuple(map(tuple, rows))]


def test_heads_at_the_left_of_columns_of_figures_belong_to_them():
    heads = [(72, "Item"), (162, "Ordered"), (242, "Quantity"), (322, "Price of one")]
    content = "".join(shown(left, 600, head) for left, head in heads)
    rows = [
        ("Pump", "01.02.2024", "122", "533.38"),
        ("Valve", "10.02.2024", "4", "1543.50"),
        ("Pipe", "3.3.2024", "30", "8.10"),
    ]
    for at, row in enumerate(rows, 1):
        content += shown(72, 600 - 14 * at, row[0])
        for right, cell in zip((240, 320, 400), row[1:], strict=True):
            content += shown(round(right - sum(2.78 if each == "." else 5.56 for each in cell), 2), 600 - 14 * at, cell)

    text = extracted(page_pdf(content))

    assert [table.rows for table in text.tables] == [(tuple(head for _, head in heads), *rows)]


def test_the_last_row_may_go_on_in_its_first_cell_alone():
    rows = [
        ["Region", "Spring", "Summer", "Autumn"],
        ["North", "12.5", "13.1", "8.0"],
        ["A region with", "1", "2", "3"],
    ]
    content = table_of(rows[:2], pitch=20) + shown(72, 560, "A region with") + shown(72, 549, "a long name")
    content += "".join(shown(left, 560, cell) for left, cell in zip(LEFTS[1:], rows[2][1:], strict=True))

    text = extracted(page_pdf(content + shown(72, 520, "It was agreed by the board in the spring.")))

    assert text.tables[0].rows[2] == ("A region with a long name", "1", "2", "3")
    assert text.characters.endswith("It was agreed by the board in the spring.")


@pytest.mark.parametrize("count", [2, 3])
def test_lines_stretched_to_the_width_of_their_column_are_no_table(count):
    lines = [
        ([72, 148, 217, 277], ["Forecast", "contract", "meeting", "warranty"]),
        ([72, 147, 219, 283], ["conference", "harbour", "committee", "liability"]),
        ([72, 147, 218, 281], ["Forecast", "harbour", "meeting", "delivery"]),
    ][:count]
    lines += [([72, 116, 171, 230, 289], ["invoice", "shipment.", "Declaration", "delivery", "was so"])]
    ends = 322.0
    content = ""
    for at, (lefts, words) in enumerate(lines):
        for left, word in zip(lefts, words, strict=True):
            x = ends - width_of(word) if word == words[-1] else left
            content += shown(round(x, 2), 600 - 12 * at, word)

    text = extracted(page_pdf(content))

    assert text.tables == ()
    assert text.characters.startswith("Forecast contract meeting warranty\nconference")


def width_of(word: str) -> float:
    """How wide a word is in Helvetica of ten points."""
    narrow, wide = (
        {"i": 2.22, "l": 2.22, "t": 2.78, "f": 2.78, "r": 3.33, "s": 5.0, "y": 5.0, "c": 5.0},
        {"w": 7.22, "m": 8.33},
    )
    return sum({**narrow, **wide, " ": 2.78}.get(letter, 5.56) for letter in word)


def test_a_table_of_contents_with_rows_of_dots_is_no_table():
    dots = " . . . . . . . . . . . . ."
    content = shown(72, 600, f"1.1    Leadership{dots}    2") + shown(72, 586, f"1.2    Releases{dots} .    13")

    text = extracted(page_pdf(content))

    assert text.tables == ()
    assert text.characters == f"1.1 Leadership{dots} 2\n1.2 Releases{dots} . 13"
