"""PPTX: slide by slide, each shape in its order, with tables, groups, charts and the speaker's notes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from lxml import etree

from headrace_documents.readers.charts import add_chart
from headrace_documents.readers.containers import member, names, opened, parsed
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading
from headrace_documents.readers.word import core_title, relations

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# Placeholders that repeat the master on every slide and are no content of it.
_FURNITURE = {"sldNum", "dt", "ftr", "hdr", "sldImg"}


def read(content: bytes, limits: Limits) -> Reading:
    """The text of a PPTX, a passage a slide."""
    with opened(content, limits) as container:
        slides = list(_slides(container, limits))
        limits.check("slides", len(slides), limits.pages)
        passages = tuple(_slide(container, slide, number, limits) for number, slide in enumerate(slides, 1))
        return Reading(passages=passages, title=core_title(container, limits), pages=len(slides))


def _slides(container: zipfile.ZipFile, limits: Limits) -> Iterator[str]:
    main = next((path for kind, path in relations(container, "", limits).values() if kind == "officeDocument"), "")
    main = main or "ppt/presentation.xml"
    targets = relations(container, main, limits)
    present = names(container)
    for each in parsed(member(container, main), limits).iter(f"{P}sldId"):
        _, path = targets.get(each.get(R_ID, ""), ("", ""))
        if path in present:
            yield path


def _slide(container: zipfile.ZipFile, part: str, number: int, limits: Limits) -> Passage:
    flow = Flow(limits)
    _add_shapes(flow, parsed(member(container, part), limits))
    present = names(container)
    # Notes are spoken about all that is shown: they come last.
    listed = sorted(relations(container, part, limits).values(), key=lambda each: each[0] == "notesSlide")
    for kind, path in listed:
        if kind == "notesSlide" and path in present:
            _add_shapes(flow, parsed(member(container, path), limits))
        elif kind == "diagramData" and path in present:
            for paragraph in parsed(member(container, path), limits).iter(f"{A}p"):
                flow.paragraph(paragraph_text(paragraph))
        elif kind == "chart" and path in present:
            add_chart(flow, parsed(member(container, path), limits))
    found = flow.passage()
    return Passage(characters=found.characters, tables=found.tables, page=number)


def _add_shapes(flow: Flow, element: etree._Element) -> None:
    for child in element:
        if child.tag == f"{P}sp":
            if not _is_furniture(child):
                flow.paragraph("\n".join(paragraph_text(each) for each in child.iter(f"{A}p")))
        elif child.tag == f"{A}tbl":
            flow.table([[_cell(cell) for cell in row.iter(f"{A}tc")] for row in child.iter(f"{A}tr")])
        elif child.tag != FALLBACK and isinstance(child.tag, str):
            _add_shapes(flow, child)


def _is_furniture(shape: etree._Element) -> bool:
    placeholder = shape.find(f"{P}nvSpPr/{P}nvPr/{P}ph")
    return placeholder is not None and placeholder.get("type") in _FURNITURE


def _cell(cell: etree._Element) -> str:
    return "\n".join(paragraph_text(paragraph) for paragraph in cell.iter(f"{A}p"))


def paragraph_text(paragraph: etree._Element) -> str:
    """The words of a paragraph of a shape, with its breaks and tabs."""
    breaks = {f"{A}br": "\n", f"{A}tab": "\t"}
    return "".join(breaks.get(each.tag, each.text or "") for each in paragraph.iter(f"{A}t", *breaks))
