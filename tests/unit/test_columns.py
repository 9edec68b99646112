"""Columns go out as the list of objects that they stand for, byte for byte, whichever way they were kept."""

from array import array

import msgspec
import pytest

from headrace import Columns, Excerpts
from headrace.domain.columns import as_json, written

ROWS = [
    {"text": "due", "weight": 0.1, "start": 3, "page": 1, "boxes": [[1.5, 2.0, 3.25, 4.0]]},
    {"text": "naïve\u2028", "weight": -1e-17, "start": 70_000},
    {"text": "", "weight": float("nan"), "start": 0, "page": 2, "boxes": []},
]


def columns_of(rows):
    return {name: [row.get(name) for row in rows] for name in ("text", "weight", "start", "page", "boxes")}


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []])
def test_columns_become_the_json_of_their_rows(rows):
    told = {"label": "invoice", "base": -0.41, "evidence": Columns(columns_of(rows)), "rest": None}

    kept = written(told)

    assert kept[:1] != b"{"
    assert as_json(kept) == msgspec.json.encode(told | {"evidence": rows})


def test_arrays_and_excerpts_become_the_json_of_the_rows_that_count_the_largest_first():
    text = "due on the 1st, due now"
    columns = Columns(
        {
            "text": Excerpts(text, "start", "end"),
            "weight": memoryview(array("d", [0.5, 0.0, -0.75, -0.5])),
            "start": memoryview(array("i", [0, 4, 11, 16])),
            "end": memoryview(array("i", [3, 6, 14, 19])),
            "page": [1, None, 2, None],
        },
        largest_first="weight",
    )

    kept = written({"label": "invoice", "evidence": columns})

    rows = [
        {"text": "1st", "weight": -0.75, "start": 11, "end": 14, "page": 2},
        {"text": "due", "weight": 0.5, "start": 0, "end": 3, "page": 1},
        {"text": "due", "weight": -0.5, "start": 16, "end": 19},
    ]
    assert as_json(kept, text) == msgspec.json.encode({"label": "invoice", "evidence": rows})
    assert list(columns.rows()) == rows


def test_columns_that_an_older_version_kept_are_read():
    kept = b"\x01" + msgspec.msgpack.encode([("label", b'"rye"'), ("evidence", {"text": ["due"], "weight": [0.5]})])

    assert as_json(kept) == b'{"label":"rye","evidence":[{"text":"due","weight":0.5}]}'


def test_what_has_no_columns_is_json_already():
    assert written({"why": [1, "é"]}) == as_json(b'{"why":[1,"\xc3\xa9"]}') == b'{"why":[1,"\xc3\xa9"]}'


def test_columns_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        list(Columns({"text": ["a", "b"], "weight": [1.0]}).rows())
