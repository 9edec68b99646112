"""Text boxes, other shapes with words, and the titles of charts on the sheets of an XLSX, which lie above its cells."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from lxml import etree

from headrace_documents.readers.containers import member, names, parsed
from headrace_documents.readers.reader import Limits
from headrace_documents.readers.slides import FALLBACK, R_ID, paragraph_text
from headrace_documents.readers.word import relations

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
TITLE = "{http://schemas.openxmlformats.org/drawingml/2006/chart}title"
DRAWINGS = "xl/drawings/"


def boxes_by_sheet(container: zipfile.ZipFile, limits: Limits) -> dict[str, list[str]]:
    """The words of the boxes of each sheet by its name, from top to bottom and from left to right."""
    present = names(container)
    if not any(name.startswith(DRAWINGS) and name.endswith(".xml") for name in present):
        return {}
    main = next((path for kind, path in relations(container, "", limits).values() if kind == "officeDocument"), "")
    if main not in present:
        return {}
    targets = relations(container, main, limits)
    found: dict[str, list[str]] = {}
    for sheet in parsed(member(container, main), limits).iter(f"{S}sheet"):
        _, part = targets.get(sheet.get(R_ID, ""), ("", ""))
        drawings = [path for kind, path in relations(container, part, limits).values() if kind == "drawing"]
        for path in drawings:
            if path in present:
                drawing = parsed(member(container, path), limits)
                own = found.setdefault(sheet.get("name", ""), [])
                own += _boxes(drawing)
                own += _titles(container, path, limits)
    return found


def _titles(container: zipfile.ZipFile, drawing: str, limits: Limits) -> list[str]:
    """The titles of the charts of a drawing and of their axes: their figures are those of cells."""
    paths = [path for kind, path in relations(container, drawing, limits).values() if kind == "chart"]
    charts = [parsed(member(container, path), limits) for path in paths if path in names(container)]
    titles = (
        "".join(each.text or "" for each in title.iter(f"{A}t")) for chart in charts for title in chart.iter(TITLE)
    )
    return [title for title in titles if title.strip()]


def _boxes(drawing: etree._Element) -> list[str]:
    anchors = sorted(drawing, key=_corner)
    texts = ("\n".join(map(paragraph_text, body.iter(f"{A}p"))) for anchor in anchors for body in _bodies(anchor))
    return [text for text in texts if text.strip()]


def _bodies(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if child.tag == f"{XDR}txBody":
            yield child
        elif child.tag != FALLBACK:
            yield from _bodies(child)


def _corner(anchor: etree._Element) -> tuple[int, int]:
    """The row and the column in which a shape begins; one that is placed otherwise comes last."""
    row, column = (anchor.findtext(f"{XDR}from/{XDR}{side}") or "" for side in ("row", "col"))
    is_known = row.isascii() and row.isdigit() and column.isascii() and column.isdigit() and len(row + column) < 20
    return (int(row), int(column)) if is_known else (1 << 31, 0)
