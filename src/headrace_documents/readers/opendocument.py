"""ODT and ODP: the body in order, with lists, tables, frames, notes, and the speaker's notes of slides."""

from __future__ import annotations

from lxml import etree

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED, member, names, opened, parsed
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading

OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
DC = "{http://purl.org/dc/elements/1.1/}"
META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_LEFT_OUT = {f"{TEXT}tracked-changes", f"{OFFICE}annotation", f"{TEXT}sequence-decls", f"{TEXT}bookmark"}
_LEFT_OUT |= {f"{TEXT}ruby-text", f"{TEXT}hidden-text"}
_PARAGRAPHS = {f"{TEXT}p", f"{TEXT}h"}
MANY = 1000


def read(content: bytes, limits: Limits) -> Reading:
    """The text of an ODT as one passage, or of an ODP as a passage a slide."""
    root, meta, styles = _parts(content, limits)
    body = root.find(f"{OFFICE}body")
    if body is None:
        raise Unreadable("It has no body.", remedy="Save it anew.")
    title = meta.findtext(f".//{DC}title") if meta is not None else None
    slides = body.findall(f"{OFFICE}presentation/{DRAW}page") or body.findall(f"{OFFICE}drawing/{DRAW}page")
    if slides:
        limits.check("slides", len(slides), limits.pages)
        passages = tuple(_slide(slide, number, limits) for number, slide in enumerate(slides, 1))
        return Reading(passages=passages, title=title or None, pages=len(slides))
    flow = Flow(limits)
    _add_furniture(flow, styles, f"{STYLE}header")
    _add_blocks(flow, body)
    _add_furniture(flow, styles, f"{STYLE}footer")
    return Reading(passages=(flow.passage(),), title=title or None, pages=_pages(meta))


def _parts(content: bytes, limits: Limits) -> tuple[etree._Element, etree._Element | None, etree._Element | None]:
    """The content, the properties and the styles, which are one and the same of a document that is one XML file."""
    if not content.startswith(b"PK"):
        root = parsed(content, limits)
        return root, root, root
    with opened(content, limits) as container:
        if b"encryption-data" in (
            member(container, "META-INF/manifest.xml") if "META-INF/manifest.xml" in names(container) else b""
        ):
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        root = parsed(member(container, "content.xml"), limits)
        meta = parsed(member(container, "meta.xml"), limits) if "meta.xml" in names(container) else None
        styles = parsed(member(container, "styles.xml"), limits) if "styles.xml" in names(container) else None
    return root, meta, styles


def _pages(meta: etree._Element | None) -> int | None:
    statistic = meta.find(f".//{META}document-statistic") if meta is not None else None
    value = statistic.get(f"{META}page-count", "") if statistic is not None else ""
    return int(value) if value.isascii() and value.isdigit() and 0 < int(value) < 100_000 else None


def _add_furniture(flow: Flow, styles: etree._Element | None, tag: str) -> None:
    """Headers or footers; the number of a page, which stands for no page in particular, is left out."""
    for each in styles.iter(tag) if styles is not None else ():
        for number in list(each.iter(f"{TEXT}page-number", f"{TEXT}page-count")):
            number.text = None
        _add_blocks(flow, each)


def _slide(slide: etree._Element, number: int, limits: Limits) -> Passage:
    flow = Flow(limits)
    _add_blocks(flow, slide)
    found = flow.passage()
    return Passage(characters=found.characters, tables=found.tables, page=number)


def _add_blocks(flow: Flow, parent: etree._Element) -> None:
    for child in parent:
        if child.tag in _PARAGRAPHS:
            flow.paragraph(_text(child))
            for frame in _frames(child):
                _add_blocks(flow, frame)
        elif child.tag == f"{TABLE}table":
            # Sheets alone have names that are shown.
            flow.paragraph(child.get(f"{TABLE}name", "") if parent.tag == f"{OFFICE}spreadsheet" else "")
            _add_table(flow, child)
        elif child.tag not in _LEFT_OUT and isinstance(child.tag, str):
            _add_blocks(flow, child)


def _frames(paragraph: etree._Element) -> list[etree._Element]:
    """Text boxes and notes that are anchored in a paragraph: they stand after it."""
    tags = (f"{DRAW}text-box", f"{TEXT}note-body")
    return [each for each in paragraph.iter(*tags) if not any(_is_frame(above) for above in each.iterancestors())]


def _is_frame(element: etree._Element) -> bool:
    return element.tag in {f"{DRAW}text-box", f"{TEXT}note-body"}


def _text(paragraph: etree._Element) -> str:
    pieces: list[str] = []
    _gather(paragraph, pieces)
    return "".join(pieces)


def _gather(element: etree._Element, pieces: list[str]) -> None:
    pieces.append(_collapsed(element.text))
    for child in element:
        tag = child.tag
        if tag == f"{TEXT}s":
            count = child.get(f"{TEXT}c", "1")
            pieces.append(" " * (min(int(count), MANY) if count.isascii() and count.isdigit() else 1))
        elif tag == f"{TEXT}tab":
            pieces.append("\t")
        elif tag == f"{TEXT}line-break":
            pieces.append("\n")
        elif tag not in _LEFT_OUT and not _is_frame(child) and tag != f"{TEXT}note" and isinstance(tag, str):
            _gather(child, pieces)
        pieces.append(_collapsed(child.tail))


def _collapsed(text: str | None) -> str:
    """White space as ODF means it: line breaks of the XML are spaces."""
    return (text or "").replace("\n", " ").replace("\t", " ")


def _add_table(flow: Flow, table: etree._Element) -> None:
    rows: list[list[str]] = []
    for row in table.iter(f"{TABLE}table-row"):
        if next(row.iterancestors(f"{TABLE}table")) is not table:
            continue
        cells: list[str] = []
        for cell in row:
            if cell.tag in {f"{TABLE}table-cell", f"{TABLE}covered-table-cell"}:
                text = "\n".join(_text(each) for each in cell.iter(*_PARAGRAPHS))
                repeated = cell.get(f"{TABLE}number-columns-repeated", "1")
                times = min(int(repeated), MANY) if repeated.isascii() and repeated.isdigit() else 1
                # An empty cell repeated a thousand times is how the rest of a sheet is written.
                cells += [text] * (times if text or times < MANY else 1)
        flow.limits.check("cells", sum(len(each) for each in rows) + len(cells), flow.limits.cells)
        rows.append(cells)
    flow.table(rows)
