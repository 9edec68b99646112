"""CSV in the forms that programs write it in, and broken ones."""

import pytest
from extracted import check_places, extracted


def rows_of(content: str) -> list[tuple[str, ...]]:
    text = extracted(content.encode(), "a.csv")
    check_places(text)
    return [row for table in text.tables for row in table.rows]


@pytest.mark.parametrize(
    "content",
    ['name, note\n"Mill", "old, sound"\n', 'name,note\n"Mill","old, sound"\n', "name~note\nMill~old, sound\n"],
    ids=["blanks", "plain", "tilde"],
)
def test_cells_are_parted_however_they_are_written(content):
    assert rows_of(content) == [("name", "note"), ("Mill", "old, sound")]


def test_a_quote_after_a_backslash_is_part_of_its_cell():
    assert rows_of('name,note\n"Mill","the \\"old\\" one"\n') == [("name", "note"), ("Mill", 'the "old" one')]


def test_a_quote_that_is_never_closed_costs_its_own_line_only():
    content = 'name,note\nBarn,sound\n"Yard","two\nlines"\nGate,"ajar\nFord,deep'

    assert rows_of(content) == [
        ("name", "note"),
        ("Barn", "sound"),
        ("Yard", "two lines"),
        ("Gate", "ajar"),
        ("Ford", "deep"),
    ]


def test_times_do_not_part_cells():
    assert rows_of("from,to\n10:30:00,11:45:00\n12:00:00,12:30:00\n")[1] == ("10:30:00", "11:45:00")
