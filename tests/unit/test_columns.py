"""Columns go out as the list of objects that they stand for, byte for byte, whichever way they were kept."""

import msgspec
import pytest

from headrace import Columns
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


def test_what_has_no_columns_is_json_already():
    assert written({"why": [1, "é"]}) == as_json(b'{"why":[1,"\xc3\xa9"]}') == b'{"why":[1,"\xc3\xa9"]}'


def test_columns_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        list(Columns({"text": ["a", "b"], "weight": [1.0]}).rows())
