"""HTML and EPUB: the main text of a page without its navigation, tables as rows."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from headrace import Unreadable
from headrace_documents.readers.containers import member, names, opened, parsed
from headrace_documents.readers.encodings import decoded, decoded_as
from headrace_documents.readers.mathml import DEEPEST, TOKENS, joined
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading

_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z!/?]")
# Elements that part lines: all others, also unknown ones, stand in the middle of a line.
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "button", "caption", "center", "col", "colgroup", "dd"),
    *("details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu"),
    *("nav", "noframes", "ol", "optgroup", "option", "p", "plaintext", "pre", "search", "section", "summary", "table"),
    *("tbody", "td", "tfoot", "th", "thead", "tr", "ul", "xmp"),
}
_SILENT = {"script", "style", "noscript", "template", "head", "svg", "iframe", "object"}
# Elements that are read as a whole: breaks, formulas, tables, and what stands in the fields of a form.
_WHOLE = {"br", "math", "table", "select", "textarea"}
# The reading set above an ideograph is no part of its sentence.
_SILENT |= {"rt", "rp", "rtc", "annotation", "annotation-xml"}
_ANNOTATION = re.compile(r"<(annotation(?:-xml)?)\b[^<>]{0,500}>[^<]{0,8000}</\1\s*>", re.IGNORECASE)
_READING = re.compile(
    r"<(rt|rp)\b[^<>]{0,500}>(?:(?!</?r(?:uby|t|p|b)\b).){0,500}(?:</\1\s*>)?", re.IGNORECASE | re.DOTALL
)
_PARTS = {"p", "div", "section", "article", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "blockquote", "pre"}
_VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
}
_XHTML = re.compile(
    r"""<\?xml\s|<(\w+:)?html\b[^<>]{0,1000}xmlns\s*=\s*["']http://www\.w3\.org/1999/xhtml""", re.IGNORECASE
)
_CLOSES_ITSELF = re.compile(r"<([A-Za-z][\w.:-]{0,60})((?:\s[^<>]{0,8000})?)/>")
_QUOTED = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_NOT_SHOWN = re.compile(r"\b(display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
# What frames the text of a page: a page with none of it is all text.
_FRAME = re.compile(
    r"<(nav|aside|footer|header|menu)\b|\b(role|id|class)\s*=\s*[\"'][^\"'>]{0,80}"
    r"\b(nav|navigation|navbar|menu|sidebar|footer|banner|cookie|breadcrumbs?|advert\w*|promo|toolbar)\b",
    re.IGNORECASE,
)
_RIGHTS = {"META-INF/rights.xml", "META-INF/license.lcpl"}
MARKUP = 200_000
ATTRIBUTES = 2_000
LEVELS = 10_000
COLUMNS = 256
_LONG_TAG = re.compile(r"<[a-zA-Z][^<>]{8000,}")
_ATTRIBUTE = re.compile(r"\s[^\s\"'<>/=]+")
LEAST_SHARE = 0.3
LONG_LINE = 40


def read(content: bytes, limits: Limits) -> Reading:
    """The text of an HTML page."""
    text = decoded_page(content)
    _check(text, limits)
    text = _ANNOTATION.sub("", _READING.sub("", _unclosed(text)))
    tree = HTMLTree.parse(text)
    return Reading(passages=(_passage(tree, text, limits),), title=_title(tree))


def read_epub(content: bytes, limits: Limits) -> Reading:
    """The chapters of an EPUB in the order of its spine, a passage each."""
    with opened(content, limits) as container:
        # Fonts alone may be encrypted as well; with terms of use beside them the chapters are.
        if "META-INF/encryption.xml" in names(container) and names(container) & _RIGHTS:
            raise Unreadable("It is protected by digital rights management.", remedy="Send an unprotected copy.")
        package = _package(container, limits)
        root = parsed(member(container, package), limits)
        folder = package.rpartition("/")[0]
        opf = "{http://www.idpf.org/2007/opf}"
        items = {each.get("id", ""): each for each in root.iter(f"{opf}item")}
        passages, seen = [], set()
        for each in root.iter(f"{opf}itemref"):
            item = items.get(each.get("idref", ""))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            name = _path(folder, item.get("href", ""))
            # A chapter may be listed again, also by the places within it.
            if name in names(container) and name not in seen:
                seen.add(name)
                chapter = _unclosed(decoded_page(member(container, name)))
                passages.append(_whole(HTMLTree.parse(chapter), limits))
        limits.check("chapters", len(passages), limits.members)
        title = root.findtext(".//{http://purl.org/dc/elements/1.1/}title")
    return Reading(passages=tuple(passages), title=(title or "").strip() or None)


def _title(tree: HTMLTree) -> str | None:
    """What the page calls itself, or else its first heading."""
    title = str(tree.title or "")
    if not title.strip() and tree.document is not None:
        heading = tree.document.query_selector("h1")
        title = "" if heading is None else str(heading.text or "")
    return " ".join(title.split()) or None


def text_of(markup: str, limits: Limits) -> Passage:
    """The text of markup that came inside something else, such as a mail: all of it, for a mail has no navigation."""
    return _whole(HTMLTree.parse(markup), limits)


def decoded_page(content: bytes) -> str:
    """By byte order mark, then by what the page says if its bytes agree, then by its bytes."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"} or content[:3] == b"\xef\xbb\xbf":
        return decoded(content)
    declared = _META.search(content[:4096]) or _XML.search(content[:200])
    text = decoded_as(content, declared[1].decode("ascii")) if declared else None
    return decoded(content) if text is None else text


def _unclosed(text: str) -> str:
    """XHTML as HTML: an element that closes itself, such as `<title/>`, would hold all that comes after it."""
    if not _XHTML.search(text[:2048]):
        return text
    text = _QUOTED.sub(lambda quoted: html.escape(quoted[1]), text)
    return _CLOSES_ITSELF.sub(lambda tag: tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>", text)


def _check(text: str, limits: Limits) -> None:
    limits.check_fixed("tags", len(_TAG.findall(text)), MARKUP * 5)
    for tag in _LONG_TAG.finditer(text):
        # A picture inside the page is one long attribute; what the parser compares with one another is their number.
        limits.check_fixed("attributes in one tag", len(_ATTRIBUTE.findall(tag[0])), ATTRIBUTES)


def _passage(tree: HTMLTree, markup: str, limits: Limits) -> Passage:
    """The main content of a page that has a frame around it, such as a menu; the whole of a page that has none."""
    is_framed = _FRAME.search(markup) is not None
    # Fields of a page with a menu are there to search and to sort; those of any other are a form.
    whole = _whole(tree, limits, shows_fields=not is_framed)
    if not is_framed:
        return whole
    main = [_letters(line) for line in extract_plain_text(markup, main_content=True, alt_texts=False).split("\n")]
    if sum(map(len, main)) < LEAST_SHARE * len(_letters(whole.characters)):
        return whole
    return _narrowed(whole, main, limits)


def _letters(text: str) -> str:
    """`text` without white space and marks: renderers differ in those."""
    return "".join(character for character in text if character.isalnum())


def _narrowed(whole: Passage, main: list[str], limits: Limits) -> Passage:
    """The lines of the whole that the main content has, so that tables stay rows and lines stay lines."""
    lines, text = set(main), "".join(main)
    flow = Flow(limits)
    for block in whole.blocks():
        if isinstance(block, str):
            flow.paragraph("\n".join(line for line in block.split("\n") if _is_in(_letters(line), lines, text)))
            continue
        cells = [_letters(cell) for row in block.rows for cell in row if cell]
        if sum(cell in text for cell in cells) * 2 >= len(cells):
            flow.table([list(row) for row in block.rows])
    return flow.passage()


def _is_in(line: str, lines: set[str], text: str) -> bool:
    """Whether a line is part of the main content; short ones, such as names in a menu, only as a line of their own."""
    return line in lines or (len(line) >= LONG_LINE and line in text)


class _Walk:
    """Gathers the text of a tree block by block."""

    def __init__(self, limits: Limits, *, shows_fields: bool) -> None:
        self.flow = Flow(limits)
        self._shows_fields = shows_fields
        self._line: list[str] = []

    def visit(self, root: object) -> Flow:
        """The flow of all below `root`. Iterative: a page may nest deeper than Python may recurse."""
        stack: list[tuple[object, bool, bool, int]] = [(root, False, False, 0)]
        while stack:
            node, is_leaving, is_preformatted, level = stack.pop()
            tag = getattr(node, "tag", "")
            if is_leaving:
                self._part(tag)
                continue
            if tag == "#text":
                text = getattr(node, "value", "") or ""
                self._line.append(text if is_preformatted else re.sub(r"\s+", " ", text))
                continue
            if tag in _SILENT or tag == "#comment" or _is_hidden(node):
                continue
            if tag in _WHOLE and self._add_whole(node, tag):
                continue
            if tag in _BLOCKS:
                self._part(tag)
                stack.append((node, True, is_preformatted, level))
            self.flow.limits.check_fixed("levels of nested elements", level, LEVELS)
            children = _children(node)
            stack += [(child, False, is_preformatted or tag == "pre", level + 1) for child in reversed(children)]
        self._part("div")
        return self.flow

    def _add_whole(self, node: object, tag: str) -> bool:
        """Adds an element that is not walked through; whether it is one, for tables may be layout."""
        if tag in {"br", "math"}:
            self._line.append("\n" if tag == "br" else _formula(node))
        elif tag == "table":
            if not _is_data(node):
                return False
            self._part("div")
            for caption in _children(node):
                if getattr(caption, "tag", "") == "caption":
                    self.flow.paragraph(_cell(caption))
            self.flow.table(_rows(node))
        elif self._shows_fields and tag == "select":
            self._line.append(f" {_chosen(node)} ")
        elif self._shows_fields:
            self._part("div")
            self.flow.paragraph(str(getattr(node, "text", "") or ""))
        return True

    def _part(self, tag: str) -> None:
        """Ends the line; block elements end the paragraph."""
        text = "".join(self._line)
        if tag in {"li", "dt", "dd", "tr", "option", "figcaption", "caption"} and text.strip():
            self._line.append("\n")
            return
        if text.strip() or tag in _PARTS or tag:
            self.flow.paragraph("\n".join(line.strip() for line in text.split("\n") if line.strip()))
            self._line.clear()


def _whole(tree: HTMLTree, limits: Limits, *, shows_fields: bool = True) -> Passage:
    return _Walk(limits, shows_fields=shows_fields).visit(tree.body or tree.document).passage()


def _chosen(field: object) -> str:
    """The options of a list that are chosen, or else the one that it shows."""
    options = list(_below(field, "option"))
    chosen = [each for each in options if each.hasattr("selected")]  # type: ignore[attr-defined]
    return ", ".join(map(_cell, chosen or options[:1]))


def _is_data(table: object) -> bool:
    """Whether a table holds data: one that holds tables, or one column only, is layout."""
    if any(True for _ in _below(table, "table")):
        return False
    rows = _rows(table)
    return len(rows) > 1 and max((len(row) for row in rows), default=0) > 1


def _is_hidden(node: object) -> bool:
    """Whether the style of an element says that it is not shown, as what mails tell their previews alone.

    The attribute `hidden` says less: pages hide with it what they show once somebody asks.
    """
    getter = getattr(node, "getattr", None)
    if getter is None or not getattr(node, "attrs", None):
        return False
    return _NOT_SHOWN.search(getter("style") or "") is not None


def _children(node: object) -> list[object]:
    """The children of a node from sibling to sibling: the tree's own list of them takes the square of their number."""
    found = []
    child = getattr(node, "first_child", None)
    while child is not None:
        found.append(child)
        child = child.next
    return found


def _below(element: object, tag: str) -> Iterator[object]:
    """All elements of one kind below another, in order; the tree's own search takes the square of their number."""
    stack = _children(element)[::-1]
    while stack:
        node = stack.pop()
        if getattr(node, "tag", "") == tag:
            yield node
        stack += _children(node)[::-1]


def _rows(table: object) -> list[list[str]]:
    """The cells of a table; places that a cell spans besides its own are empty."""
    rows: list[list[str]] = []
    hanging: dict[int, int] = {}
    for row in _below(table, "tr"):
        cells: list[str] = []
        for cell in _children(row):
            if getattr(cell, "tag", "") not in {"td", "th"}:
                continue
            _hang(cells, hanging)
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            if down > 1:
                hanging |= dict.fromkeys(range(len(cells), min(len(cells) + across, COLUMNS)), down - 1)
            cells += [_cell(cell)] + [""] * min(across - 1, max(0, COLUMNS - len(cells)))
        _hang(cells, hanging)
        rows.append(cells)
    return [row for row in rows if row]


def _hang(cells: list[str], hanging: dict[int, int]) -> None:
    """Fills the places that a cell of a row above reaches down into."""
    while (left := hanging.get(len(cells), 0)) > 0:
        hanging[len(cells)] = left - 1
        cells.append("")


def _span(cell: object, name: str) -> int:
    value = cell.getattr(name, "1") or "1"  # type: ignore[attr-defined]
    return max(1, min(int(value), 1000)) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _cell(cell: object) -> str:
    """The text of a cell, its blocks parted by blanks."""
    pieces: list[str] = []
    stack = [cell]
    while stack:
        node = stack.pop()
        tag = getattr(node, "tag", "")
        if tag == "#text":
            pieces.append(getattr(node, "value", "") or "")
            continue
        if tag in _SILENT or tag == "#comment" or _is_hidden(node):
            continue
        if tag in {"math", "select"}:
            pieces.append(_formula(node) if tag == "math" else f" {_chosen(node)} ")
            continue
        if tag == "br" or tag in _BLOCKS:
            pieces.append(" ")
        stack += reversed(_children(node))
    return " ".join("".join(pieces).split())


def _formula(node: object, depth: int = 0) -> str:
    """A formula in MathML on one line."""
    tag = getattr(node, "tag", "")
    if tag in TOKENS or depth > DEEPEST:
        return " ".join(str(getattr(node, "text", "") or "").split())
    # Words stand in tokens alone: all text between elements is white.
    children = (child for child in _children(node) if getattr(child, "tag", "") not in {*_SILENT, "#comment", "#text"})
    return joined(tag, [_formula(child, depth + 1) for child in children])


def _package(container: object, limits: Limits) -> str:
    root = parsed(member(container, "META-INF/container.xml"), limits)  # type: ignore[arg-type]
    for each in root.iter("{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"):
        return str(each.get("full-path", ""))
    raise Unreadable("The EPUB does not name its package.", remedy="Save it anew.")


def _path(folder: str, href: str) -> str:
    parts: list[str] = []
    for part in f"{folder}/{unquote(href.partition('#')[0])}".split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)
