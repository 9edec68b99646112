"""Paging: how every list is asked for and given, the newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.errors import Malformed
from headrace.gateway.operation import Content, Parameter
from headrace.gateway.request import Request

USUAL_PAGE, MOST_A_PAGE = 50, 200
_CURSOR = re.compile(r"[a-z]+_[0-9a-f-]{36}|sha256:[0-9a-f]{64}|[0-9]{1,18}", re.ASCII)
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_A_PAGE}
PAGING = (
    Parameter("cursor", "Where to go on: `next` of the page before."),
    Parameter("limit", f"How many at most, {USUAL_PAGE} if not given.", schema=_LIMIT, example=20),
)
"""The parameters of every list, behind those of its own."""

_SHAPE = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object"}},
        "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["items", "next"],
}


class Page(NamedTuple):
    """Which part of a list is wanted: what comes after `cursor`, the beginning if None, and at most how many."""

    cursor: str | None
    limit: int


def page_in(request: Request) -> Page:
    """The page that a call asks for; raises `Malformed`."""
    limit = request.number("limit", default=USUAL_PAGE, least=1, most=MOST_A_PAGE)
    cursor = request.query.get("cursor") or None
    # Any other text would stand somewhere between the items as well, and give a page that nobody asked for.
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise Malformed(f"cursor={cursor[:80]!r} is none.", remedy="Send `next` of the page before, or begin without.")
    return Page(cursor, limit)


def page_of(item: Mapping[str, Any]) -> Content:
    """The body of a list whose items look like `item`; `next` is the cursor of the next page, null at the end."""
    return Content(_SHAPE, example={"items": [item], "next": None})
