"""ODT and ODP: the body in order, with lists, tables, frames, notes, and the speaker's notes of slides."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED, member, names, opened, parsed
from headrace_documents.readers.mathml import MATH, formula_text
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading

OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
DC = "{http://purl.org/dc/elements/1.1/}"
META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
CHART = "{urn:oasis:names:tc:opendocument:xmlns:chart:1.0}"
LINK = "{http://www.w3.org/1999/xlink}href"
_LEFT_OUT = {f"{TEXT}tracked-changes", f"{OFFICE}annotation", f"{TEXT}sequence-decls", f"{TEXT}bookmark"}
_LEFT_OUT |= {f"{TEXT}ruby-text", f"{SVG}title", f"{SVG}desc", f"{DRAW}glue-point", f"{DRAW}image-map"}
_PARAGRAPHS = {f"{TEXT}p", f"{TEXT}h"}
_CELLS = {f"{TABLE}table-cell", f"{TABLE}covered-table-cell"}
_OBJECT, _NOTE, _ANCHORED = f"{DRAW}object", f"{TEXT}note", f"{DRAW}a"
_FURNITURE = {"page-number", "header", "footer", "date-time"}
"""Kinds of frames that repeat the master on every slide and are no content of it."""
MANY = 1000


def read(content: bytes, limits: Limits) -> Reading:
    """The text of an ODT as one passage, or of an ODP as a passage a slide."""
    if not content.startswith(b"PK"):
        # The content, the properties and the styles are one and the same of a document that is one XML file.
        root = parsed(content, limits)
        return _reading(root, root, _Body(limits, root, root, _inside))
    with opened(content, limits) as container:
        if "META-INF/manifest.xml" in names(container) and b"encryption-data" in member(
            container, "META-INF/manifest.xml"
        ):
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        root = parsed(member(container, "content.xml"), limits)
        meta, styles = (
            parsed(member(container, name), limits) if name in names(container) else None
            for name in ("meta.xml", "styles.xml")
        )
        return _reading(root, meta, _Body(limits, root, styles, lambda each: _embedded(each, container, limits)))


def title_of(meta: etree._Element) -> str | None:
    """The title that the office program noted in the document's properties."""
    return (meta.findtext(f".//{OFFICE}meta/{DC}title") or "").strip() or None


def _reading(root: etree._Element, meta: etree._Element | None, walk: _Body) -> Reading:
    body = root.find(f"{OFFICE}body")
    if body is None:
        raise Unreadable("It has no body.", remedy="Save it anew.")
    title = None if meta is None else title_of(meta)
    slides = body.findall(f"{OFFICE}presentation/{DRAW}page") or body.findall(f"{OFFICE}drawing/{DRAW}page")
    if slides:
        walk.limits.check("slides", len(slides), walk.limits.pages)
        passages = tuple(_slide(slide, number, walk) for number, slide in enumerate(slides, 1))
        return Reading(passages=passages, title=title, pages=len(slides))
    flow = Flow(walk.limits)
    walk.add_furniture(flow, "header")
    walk.add_blocks(flow, body)
    walk.add_furniture(flow, "footer")
    return Reading(passages=(flow.passage(),), title=title, pages=_pages(meta))


def _inside(element: etree._Element) -> etree._Element | None:
    """What an object holds that stands in the same file."""
    return next((child for child in element if isinstance(child.tag, str)), None)


def _embedded(element: etree._Element, container: zipfile.ZipFile, limits: Limits) -> etree._Element | None:
    """What an object holds, which is a document of its own in the same container."""
    name = element.get(LINK, "").removeprefix("./").rstrip("/") + "/content.xml"
    return parsed(member(container, name), limits) if name in names(container) else _inside(element)


def _pages(meta: etree._Element | None) -> int | None:
    statistic = meta.find(f".//{META}document-statistic") if meta is not None else None
    value = statistic.get(f"{META}page-count", "") if statistic is not None else ""
    return int(value) if value.isascii() and value.isdigit() and 0 < int(value) < 100_000 else None


def _slide(slide: etree._Element, number: int, walk: _Body) -> Passage:
    flow = Flow(walk.limits)
    walk.add_blocks(flow, slide)
    found = flow.passage()
    return Passage(characters=found.characters, tables=found.tables, page=number)


def _hidden_styles(*lists: etree._Element | None) -> frozenset[tuple[str, str]]:
    """The families and names of styles whose words are not shown, by themselves or as their parent's are not."""
    parents: dict[tuple[str, str], tuple[str, str]] = {}
    displays: dict[tuple[str, str], str] = {}
    for style in (each for listed in lists if listed is not None for each in listed.iterchildren(f"{STYLE}style")):
        family = style.get(f"{STYLE}family", "")
        name = (family, style.get(f"{STYLE}name", ""))
        parents[name] = (family, style.get(f"{STYLE}parent-style-name", ""))
        properties = style.find(f"{STYLE}text-properties")
        if properties is not None and (display := properties.get(f"{TEXT}display")):
            displays[name] = display
    hidden = set()
    for name in parents if "none" in displays.values() else ():
        above, seen = name, set()
        while above not in displays and above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        if displays.get(above) == "none":
            hidden.add(name)
    return frozenset(hidden)


@dataclass(slots=True)
class _Body:
    """Walks the elements of a document; `content_of` gives the root of what an object in it holds."""

    limits: Limits
    content: etree._Element
    styles: etree._Element | None
    content_of: Callable[[etree._Element], etree._Element | None]
    hidden: frozenset[tuple[str, str]] = field(init=False)
    objects: int = 0

    def __post_init__(self) -> None:
        self.hidden = self._hidden_in(self.content)

    def _hidden_in(self, root: etree._Element) -> frozenset[tuple[str, str]]:
        """Styles by name are of the whole document, those that programs make as they go are of one part of it."""
        named = None if self.styles is None else self.styles.find(f"{OFFICE}styles")
        return _hidden_styles(named, root.find(f"{OFFICE}automatic-styles"))

    def add_furniture(self, flow: Flow, kind: str) -> None:
        """Headers or footers, each once; the number of a page, which stands for no page in particular, is left out."""
        if self.styles is None:
            return
        self.hidden = self._hidden_in(self.styles)
        seen: set[str] = set()
        tags = [f"{STYLE}{kind}{which}" for which in ("-first", "", "-left")]
        for each in self.styles.iter(*tags):
            if each.get(f"{STYLE}display") == "false":
                continue
            for number in list(each.iter(f"{TEXT}page-number", f"{TEXT}page-count")):
                number.text = None
            inner = Flow(self.limits)
            self.add_blocks(inner, each)
            passage = inner.passage()
            if passage.characters not in seen:
                seen.add(passage.characters)
                flow.extend(passage)
        self.hidden = self._hidden_in(self.content)

    def add_blocks(self, flow: Flow, parent: etree._Element) -> None:
        """All below `parent`, block by block."""
        for child in parent:
            if not isinstance(child.tag, str) or child.tag in _LEFT_OUT or self._is_hidden(child):
                continue
            if child.tag in _PARAGRAPHS:
                flow.paragraph(self._text(child))
                for frame in _frames(child):
                    self.add_blocks(flow, frame)
            elif child.tag == f"{TABLE}table":
                # Sheets alone have names that are shown, and end in columns without anything.
                is_sheet = parent.tag == f"{OFFICE}spreadsheet"
                flow.paragraph(child.get(f"{TABLE}name", "") if is_sheet else "")
                self._add_table(flow, child, is_sheet=is_sheet)
            elif child.tag == _OBJECT:
                self._add_object(flow, child)
            else:
                self.add_blocks(flow, child)

    def _add_object(self, flow: Flow, element: etree._Element) -> None:
        """A chart as its title and the figures that it is drawn from, a formula, or sheets."""
        root = self._content_of(element)
        if root is None:
            return
        if root.tag.startswith(MATH):
            # One that is anchored in a paragraph stands in its line.
            if next(element.iterancestors(*_PARAGRAPHS), None) is None:
                flow.paragraph(formula_text(root))
            return
        chart = next(root.iter(f"{CHART}chart"), None)
        if chart is None:
            for table in root.iter(f"{TABLE}table"):
                self._add_table(flow, table, is_sheet=True)
            return
        for title in chart.iter(f"{CHART}title", f"{CHART}subtitle"):
            flow.paragraph(" ".join(self._text(each) for each in title.iter(*_PARAGRAPHS)))
        for table in chart.iterchildren(f"{TABLE}table"):
            self._add_table(flow, table)

    def _content_of(self, element: etree._Element) -> etree._Element | None:
        self.objects += 1
        self.limits.check("embedded objects", self.objects, self.limits.members)
        return self.content_of(element)

    def _is_hidden(self, element: etree._Element) -> bool:
        """Whether an element is set as hidden, which is neither shown nor printed, or is furniture of a slide."""
        if element.tag == f"{TEXT}section":
            return element.get(f"{TEXT}display") == "none"
        if element.tag == f"{TEXT}hidden-text":
            return element.get(f"{TEXT}is-hidden") != "false"
        if element.tag == f"{DRAW}frame":
            return element.get(f"{PRESENTATION}class") in _FURNITURE
        if element.tag not in _PARAGRAPHS and element.tag != f"{TEXT}span":
            return False
        family = "text" if element.tag == f"{TEXT}span" else "paragraph"
        if (family, element.get(f"{TEXT}style-name", "")) in self.hidden:
            return True
        marks = element.iterchildren(f"{TEXT}hidden-paragraph")
        return any(mark.get(f"{TEXT}is-hidden") == "true" for mark in marks)

    def _text(self, paragraph: etree._Element) -> str:
        pieces: list[str] = []
        self._gather(paragraph, pieces)
        return "".join(pieces)

    def _gather(self, element: etree._Element, pieces: list[str]) -> None:
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
            elif tag == f"{DRAW}frame":
                pieces += map(self._formula, child.iterchildren(_OBJECT))
            elif _is_inline(child) and not self._is_hidden(child):
                self._gather(child, pieces)
            pieces.append(_collapsed(child.tail))

    def _formula(self, element: etree._Element) -> str:
        root = self._content_of(element)
        return formula_text(root) if root is not None and root.tag.startswith(MATH) else ""

    def _add_table(self, flow: Flow, table: etree._Element, *, is_sheet: bool = False) -> None:
        """The rows of a table, and after it those of the tables in its cells."""
        rows: list[list[str]] = []
        nested: list[etree._Element] = []
        for row in table.iter(f"{TABLE}table-row"):
            if next(row.iterancestors(f"{TABLE}table")) is not table:
                continue
            cells: list[str] = []
            for cell in row:
                if cell.tag in _CELLS:
                    text = "\n".join(self._lines(cell, nested))
                    repeated = cell.get(f"{TABLE}number-columns-repeated", "1")
                    times = min(int(repeated), MANY) if repeated.isascii() and repeated.isdigit() else 1
                    # An empty cell repeated a thousand times is how the rest of a sheet is written.
                    cells += [text] * (times if text or times < MANY else 1)
            flow.limits.check("cells", sum(len(each) for each in rows) + len(cells), flow.limits.cells)
            rows.append(cells)
        width = max((index + 1 for row in rows for index, cell in enumerate(row) if cell), default=0)
        flow.table([row[:width] for row in rows] if is_sheet else rows)
        for inner in nested:
            self._add_table(flow, inner)

    def _lines(self, parent: etree._Element, nested: list[etree._Element]) -> Iterator[str]:
        """The paragraphs of a cell, and of what is anchored in it; tables go to `nested`."""
        for child in parent:
            if not isinstance(child.tag, str) or child.tag in _LEFT_OUT or self._is_hidden(child):
                continue
            if child.tag == f"{TABLE}table":
                nested.append(child)
            elif child.tag in _PARAGRAPHS:
                yield self._text(child)
                for frame in _frames(child):
                    yield from self._lines(frame, nested)
            else:
                yield from self._lines(child, nested)


def _is_inline(element: etree._Element) -> bool:
    """Whether an element within a paragraph is part of its line; notes, frames and shapes stand after it."""
    tag = element.tag
    if not isinstance(tag, str) or tag in _LEFT_OUT or tag == _NOTE:
        return False
    return tag == _ANCHORED or not tag.startswith(DRAW)


def _frames(element: etree._Element) -> Iterator[etree._Element]:
    """Frames, shapes and notes that are anchored in a paragraph, in their order, without those within them."""
    for child in element:
        if child.tag == _NOTE:
            yield from child.iterchildren(f"{TEXT}note-body")
        elif _is_inline(child):
            yield from _frames(child)
        elif isinstance(child.tag, str) and child.tag not in _LEFT_OUT:
            yield child


def _collapsed(text: str | None) -> str:
    """White space as ODF means it: line breaks of the XML are spaces."""
    return (text or "").replace("\n", " ").replace("\t", " ")
