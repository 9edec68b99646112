"""DOCX: the body in order, with content controls, text boxes, tables, notes, charts, and what is around it.

The parts are walked as XML: python-docx leaves out content controls, text boxes and notes, which forms are made of.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from lxml import etree

from headrace_documents.readers.charts import add_chart
from headrace_documents.readers.containers import member, names, opened, parsed
from headrace_documents.readers.equations import EQUATION, equation_text
from headrace_documents.readers.reader import Flow, Limits, Reading

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MC_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
TEXT_BOX = f"{W}txbxContent"
RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
FIELD_SIGN = f"{W}fldChar"
LONGEST_FIELD = 500
_PAGE_NUMBER = re.compile(r"\s*(PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)
_BREAKS = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}ptab": "\t"}
# What is deleted in tracked changes, or moved away, is not part of the document any more; the reading set above an
# ideograph is no part of its sentence.
_LEFT_OUT = {f"{W}del", f"{W}moveFrom", MC_FALLBACK, f"{W}instrText", f"{W}delText", f"{W}rPr", f"{W}pPr"}
_LEFT_OUT |= {f"{W}rt"}


def read(content: bytes, limits: Limits) -> Reading:
    """The text of a DOCX in the order of its parts: headers, body, footnotes and endnotes, footers."""
    with opened(content, limits) as container:
        main = _main_part(container, limits)
        folder = main.rpartition("/")[0]
        parts = sorted(name for name in names(container) if name.startswith(f"{folder}/") and name.endswith(".xml"))
        flow = Flow(limits)
        _add_parts(flow, container, [name for name in parts if name.startswith(f"{folder}/header")])
        body = parsed(member(container, main), limits)
        _add_blocks(flow, body)
        for kind, path in relations(container, main, limits).values():
            if kind == "chart" and path in names(container):
                add_chart(flow, parsed(member(container, path), limits))
        for kind in ("footnotes", "endnotes"):
            _add_parts(flow, container, [name for name in parts if name == f"{folder}/{kind}.xml"])
        _add_parts(flow, container, [name for name in parts if name.startswith(f"{folder}/footer")])
        return Reading(passages=(flow.passage(),), title=core_title(container, limits), pages=_pages(container, limits))


def core_title(container: zipfile.ZipFile, limits: Limits) -> str | None:
    """The title that the office program noted in the document's properties."""
    if "docProps/core.xml" not in names(container):
        return None
    root = parsed(member(container, "docProps/core.xml"), limits)
    found = root.findtext("{http://purl.org/dc/elements/1.1/}title")
    return found.strip() or None if found else None


def relations(container: zipfile.ZipFile, part: str, limits: Limits) -> dict[str, tuple[str, str]]:
    """By id, the kind and the target of the relations of a part; targets as member names."""
    folder, _, name = part.rpartition("/")
    listing = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
    if listing not in names(container):
        return {}
    found = {}
    for each in parsed(member(container, listing), limits).iter(RELATION):
        target = each.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else _normal(f"{folder}/{target}")
        found[each.get("Id", "")] = (each.get("Type", "").rpartition("/")[2], path)
    return found


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _main_part(container: zipfile.ZipFile, limits: Limits) -> str:
    for kind, target in relations(container, "", limits).values():
        if kind == "officeDocument":
            return target
    return "word/document.xml"


def _pages(container: zipfile.ZipFile, limits: Limits) -> int | None:
    if "docProps/app.xml" not in names(container):
        return None
    root = parsed(member(container, "docProps/app.xml"), limits)
    found = root.findtext("{http://schemas.openxmlformats.org/officeDocument/2006/extended-properties}Pages")
    return int(found) if found and found.isascii() and found.isdigit() and 0 < int(found) < 100_000 else None


def _add_parts(flow: Flow, container: zipfile.ZipFile, parts: list[str]) -> None:
    seen: set[str] = set()
    for part in parts:
        inner = Flow(flow.limits)
        _add_blocks(inner, _without_page_numbers(parsed(member(container, part), flow.limits)))
        passage = inner.passage()
        # A document has up to three headers a section, and most of them are the same.
        if passage.characters not in seen:
            seen.add(passage.characters)
            flow.extend(passage)


def _without_page_numbers(root: etree._Element) -> etree._Element:
    """`root` with nothing in fields that count pages: such a number stands for no page in particular."""
    open_fields: list[str] = []
    for element in root.iter(FIELD_SIGN, f"{W}instrText", f"{W}fldSimple", f"{W}t"):
        kind = element.get(f"{W}fldCharType")
        if kind == "begin":
            open_fields.append("")
        elif kind == "end":
            open_fields = open_fields[:-1]
        elif element.tag == f"{W}instrText" and open_fields:
            open_fields[-1] = (open_fields[-1] + (element.text or ""))[:LONGEST_FIELD]
        elif element.tag == f"{W}fldSimple" and _PAGE_NUMBER.match(element.get(f"{W}instr", "")):
            for text in element.iter(f"{W}t"):
                text.text = ""
        elif element.tag == f"{W}t" and any(map(_PAGE_NUMBER.match, open_fields)):
            element.text = ""
    return root


def _add_blocks(flow: Flow, root: etree._Element) -> None:
    for block in _blocks(root):
        if block.tag == f"{W}tbl":
            _add_table(flow, block)
        else:
            flow.paragraph(_text(block))
            for box in _boxes(block):
                _add_blocks(flow, box)


def _blocks(parent: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables below `parent` in order, also within content controls and other wrappers."""
    for child in parent:
        if child.tag in {f"{W}p", f"{W}tbl"}:
            yield child
        elif child.tag not in _LEFT_OUT:
            yield from _blocks(child)


def _boxes(paragraph: etree._Element) -> Iterator[etree._Element]:
    for child in paragraph:
        if child.tag == TEXT_BOX:
            yield child
        elif child.tag not in _LEFT_OUT and child.tag != f"{W}p":
            yield from _boxes(child)


def _text(element: etree._Element) -> str:
    pieces: list[str] = []
    _gather(element, pieces)
    return "".join(pieces)


def _gather(element: etree._Element, pieces: list[str]) -> None:
    for child in element:
        tag = child.tag
        if tag == f"{W}t":
            pieces.append(child.text or "")
        elif tag == EQUATION:
            pieces.append(equation_text(child))
        elif tag in _BREAKS:
            pieces.append(_BREAKS[tag])
        elif tag == f"{W}sym":
            pieces.append(_symbol(child))
        elif tag not in _LEFT_OUT and tag != TEXT_BOX and isinstance(tag, str) and not _is_hidden(child):
            _gather(child, pieces)


def _is_hidden(run: etree._Element) -> bool:
    """Whether a run is set as hidden text, which Word neither shows nor prints."""
    found = run.find(f"{W}rPr/{W}vanish") if run.tag == f"{W}r" else None
    return found is not None and found.get(f"{W}val", "1") not in {"0", "false", "off"}


def _symbol(element: etree._Element) -> str:
    try:
        code = int(element.get(f"{W}char", ""), 16)
    except ValueError:
        return ""
    # Symbol fonts live in a private area, where nothing has a meaning outside the font.
    return "" if 0xE000 <= code <= 0xF8FF or code > 0x10FFFF else chr(code)


def _add_table(flow: Flow, table: etree._Element) -> None:
    rows = []
    nested: list[etree._Element] = []
    for row in _children(table, f"{W}tr"):
        cells = []
        for cell in _children(row, f"{W}tc"):
            inner = list(_blocks(cell))
            cells.append("\n".join(_text(block) for block in inner if block.tag == f"{W}p"))
            nested += [block for block in inner if block.tag == f"{W}tbl"]
            for block in inner:
                cells[-1] += "".join(f"\n{_text_of_box(box)}" for box in _boxes(block))
            cells += [""] * (_span(cell) - 1)
        rows.append(cells)
    flow.table(rows)
    for inner_table in nested:
        _add_table(flow, inner_table)


def _text_of_box(box: etree._Element) -> str:
    return "\n".join(_text(block) for block in _blocks(box))


def _children(parent: etree._Element, tag: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, also within content controls."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag in {f"{W}sdt", f"{W}sdtContent", f"{W}ins", f"{W}customXml", f"{W}moveTo"}:
            yield from _children(child, tag)


def _span(cell: etree._Element) -> int:
    found = cell.find(f"{W}tcPr/{W}gridSpan")
    value = found.get(f"{W}val", "1") if found is not None else "1"
    return min(int(value), 1000) if value.isascii() and value.isdigit() else 1
