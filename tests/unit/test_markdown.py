"""Markdown is read without its marks, and what only looks like marks stays."""

import pytest
from extracted import check_places, extracted


def read(source: str):
    text = extracted(source.encode(), "a.md")
    check_places(text)
    return text


def test_front_matter_gives_the_title_and_is_not_read():
    text = read('---\ntitle: "Board minutes"\ntags: [a, b]\n---\n\n# First\n\nText.\n')

    assert text.document.title == "Board minutes"
    assert text.characters == "First\n\nText."


def test_underlined_headings():
    text = read("Board\n=====\n\nOne.\n\nCosts\n-----\nTwo.\n")

    assert text.document.title == "Board"
    assert text.characters == "Board\n\nOne.\n\nCosts\n\nTwo."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"a \<1 &lt;2 &copy; \*not\* AT&T", "a <1 <2 © *not* AT&T"),
        ("- [x] done\n- [ ] to do\n* star", "done\nto do\nstar"),
        ('![Alt](i.png "t") and [link](http://e.x/a_(b)) <https://a.b>', "Alt and link https://a.b"),
        ("<b>bold</b> ~~gone~~ ***both*** snake_case_name 1 < 2", "bold gone both snake_case_name 1 < 2"),
        ("before <!-- a\n\ncomment --> after", "before  after"),
        ("<!-- it never ends", "<!-- it never ends"),
        ("`*as* it is` and ``two``", "*as* it is and two"),
        ("A note.[^1]\n\n[^1]: About it.\n[ref]: http://x.y", "A note.1\n\n1: About it."),
        ("```python\nx = '*y*'\n\n# z\n```\nafter", "x = '*y*'\n\n# z\n\nafter"),
        ("~~~\n```\n~~~\nend", "```\n\nend"),
        ("Hard\\\nbreak", "Hard\nbreak"),
    ],
)
def test_marks_are_taken_away(source, expected):
    assert read(source).characters == expected


def test_bars_in_cells_stay():
    text = read("| a | b \\| c |\n|:-|--:|\n| 1 | `x` |\n|  | 2 |\n")

    assert text.tables[0].rows == (("a", "b | c"), ("1", "x"), ("", "2"))
