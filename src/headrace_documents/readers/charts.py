"""Charts of DOCX and PPTX: their titles, and the figures that they are drawn from as a table."""

from __future__ import annotations

import re

from lxml import etree

from headrace_documents.readers.reader import Flow

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
MOST_POINTS = 10_000
LONGEST_INDEX = 9
_NOISY = re.compile(r"-?\d{1,15}\.\d{14,20}")


def add_chart(flow: Flow, root: etree._Element) -> None:
    """The title of a chart, those of its axes, and a row for each category with a column for each series."""
    for title in root.iter(f"{C}title"):
        flow.paragraph("".join(each.text or "" for each in title.iter(f"{A}t")))
    series = list(root.iter(f"{C}ser"))
    columns = [_points(each.find(f"{C}val")) or _points(each.find(f"{C}yVal")) for each in series]
    categories: dict[int, str] = {}
    for each in series:
        categories = categories or _points(each.find(f"{C}cat")) or _points(each.find(f"{C}xVal"))
    indices = sorted({*categories, *(index for column in columns for index in column)})[:MOST_POINTS]
    flow.limits.check("cells", len(indices) * (len(columns) + 1), flow.limits.cells)
    names = ["".join(each.text or "" for each in ser.iterfind(f"{C}tx//{C}v")) for ser in series]
    rows = [[categories.get(index, ""), *(column.get(index, "") for column in columns)] for index in indices]
    flow.table([["", *names], *rows] if rows else [])


def _points(values: etree._Element | None) -> dict[int, str]:
    found = {}
    for point in values.iter(f"{C}pt") if values is not None else ():
        index = point.get("idx", "")
        if index.isascii() and index.isdigit() and len(index) <= LONGEST_INDEX:
            found[int(index)] = _figure(point.findtext(f"{C}v") or "")
    return found


def _figure(text: str) -> str:
    """A figure without the digits that are no more than noise of computing, as 4.4000000000000004 has."""
    if not _NOISY.fullmatch(text):
        return text
    return repr(float(f"{float(text):.15g}"))
