"""RTF (specification 1.9.1): headers, body with text boxes and tables, notes, footers; each font has its code page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from headrace_documents.readers.fields import base_of
from headrace_documents.readers.reader import Flow, Limits, Reading, cut_off

_GROUP = re.compile(rb"[{}]")
_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])"
    r"|(?P<brace>[{}])|(?P<end>[\r\n\x00]+)|(?P<text>[^\\{}\r\n\x00]+)|(?P<rest>.)",
    re.DOTALL,
)
_CODE_PAGES = dict([
    *((77, "mac_roman"), (128, "cp932"), (129, "cp949"), (130, "johab"), (134, "gbk"), (136, "cp950"), (161, "cp1253")),
    *((162, "cp1254"), (163, "cp1258"), (177, "cp1255"), (178, "cp1256"), (186, "cp1257"), (204, "cp1251")),
    *((222, "cp874"), (238, "cp1250"), (254, "cp437"), (255, "cp850")),
])  # fmt: skip
_SYMBOL = 2
_SIGNS = dict([
    *(("emdash", "\u2014"), ("endash", "\u2013"), ("lquote", "\u2018"), ("rquote", "\u2019"), ("bullet", "\u2022")),
    *(("ldblquote", "\u201c"), ("rdblquote", "\u201d"), ("emspace", " "), ("enspace", " "), ("qmspace", " ")),
    *(("tab", "\t"), ("line", "\n"), ("lbr", "\n"), ("softline", "\n")),
])  # fmt: skip
_BREAKS = {"par", "sect", "page", "column", "pagebb"}
# Groups that hold no text of the document; unknown ones that begin with `\*` are passed over as well.
_SKIPPED = {
    *(
        "colortbl",
        "stylesheet",
        "pict",
        "object",
        "filetbl",
        "listtable",
        "listoverridetable",
        "revtbl",
        "sp",
        "sn",
        "sv",
    ),
    *("shprslt", "nonesttables", "xe", "tc", "rxe", "txe", "pntxta", "pntxtb", "generator", "themedata", "datastore"),
    *("colorschememapping", "latentstyles", "bkmkstart", "bkmkend", "atnid", "atnauthor", "atrfstart", "atrfend"),
    *("annotation", "userprops", "docvar", "template", "mmath", "objdata", "nextfile", "upr"),
}
_ENTERED = {"shpinst", "nesttableprops", "shptxt", "shpgrp", "pn"}
_MARKERS = {"listtext", "pntext"}
_HEADERS = {"header", "headerl", "headerr", "headerf"}
_FOOTERS = {"footer", "footerl", "footerr", "footerf"}
_NOTES = {"footnote"}
LONGEST_FIELD = 500
# The number of a page in a header stands for no page in particular.
_PAGE_NUMBER = re.compile(r"\s*(PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)


def read_rtf(content: bytes, limits: Limits) -> Reading:
    """The text of an RTF in the order of its parts."""
    depth = deepest = 0
    for brace in _GROUP.finditer(content):
        depth += 1 if brace[0] == b"{" else -1
        deepest = max(deepest, depth)
    limits.check("nested groups", deepest, limits.groups)
    parser = _Parser(limits)
    parser.run(content.decode("latin-1"))
    findings = () if content.rstrip(b"\x00 \t\r\n").endswith(b"}") else (cut_off(),)
    title = " ".join(parser.title.split())
    return Reading(passages=(parser.whole().passage(),), title=title or None, findings=findings)


@dataclass(slots=True)
class _Part:
    """One stream of paragraphs and tables: the body, a header, a note; `pieces` are of what is at hand."""

    flow: Flow
    pieces: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    inner_cells: list[str] = field(default_factory=list)
    inner_rows: list[list[str]] = field(default_factory=list)
    outer: int = 0
    """How many of the pieces are of the outer cell, before a table within it."""

    def text(self, first: int = 0) -> str:
        """What was gathered from piece `first` on, which is then gone; halves of surrogate pairs are put together."""
        found = "".join(self.pieces[first:])
        del self.pieces[first:]
        self.outer = min(self.outer, first)
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def end_paragraph(self, *, in_table: bool, is_inner: bool) -> None:
        """A paragraph of the text, or a line of a cell."""
        if in_table or self.cells:
            self.pieces.append("\n")
            self.outer = self.outer if is_inner else len(self.pieces)
            return
        text = self.text()
        if text.strip():
            self.end_table()
            self.flow.paragraph(text)

    def end_cell(self) -> None:
        """A cell of the outer table."""
        self.cells.append(self.text())

    def end_row(self) -> None:
        """A row of the outer table."""
        if self.cells:
            self.rows.append(self.cells)
        self.cells = []

    def end_inner_cell(self) -> None:
        """A cell of a table within a cell."""
        self.inner_cells.append(self.text(self.outer))

    def end_inner_row(self) -> None:
        """A row of a table within a cell."""
        if self.inner_cells:
            self.inner_rows.append(self.inner_cells)
        self.inner_cells = []

    def end_table(self) -> None:
        """The tables that are open, those within cells after the one that they are in."""
        self.end_row()
        self.flow.table(self.rows)
        self.flow.table(self.inner_rows)
        self.rows, self.inner_rows = [], []

    def end(self) -> None:
        """All that is left."""
        text = "" if self.cells else self.text()
        self.end_table()
        self.flow.paragraph(text)


@dataclass(frozen=True, slots=True)
class _State:
    """What holds until the end of a group."""

    part: _Part
    is_skipped: bool = False
    is_hidden: bool = False
    in_table: bool = False
    level: int = 1
    """That of the table: 1 unless it stands within a cell."""
    in_fonts: bool = False
    in_info: bool = False
    in_title: bool = False
    in_field: bool = False
    in_marker: bool = False
    font: int = -1
    after_unicode: int = 1
    """How many signs after a Unicode one stand in for it."""


class _Parser:
    """Walks the tokens of a document; iterative, for depth is the sender's choice."""

    def __init__(self, limits: Limits) -> None:
        self.title = ""
        self._limits = limits
        self._body = _Part(Flow(limits))
        self._state = _State(self._body)
        self._stack: list[_State] = []
        self._headers: list[_Part] = []
        self._notes: list[_Part] = []
        self._footers: list[_Part] = []
        self._code_page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._bytes = bytearray()
        self._pending = 0
        self._is_starred = False
        self._size = 0
        self._field = ""

    def run(self, source: str) -> None:
        """Reads all of `source`, whose characters are bytes."""
        position, end = 0, len(source)
        handlers: dict[str | None, Callable[[re.Match[str]], None]] = {
            "hex": self._on_hex,
            "sign": self._on_sign,
            "brace": self._on_brace,
            "text": self._on_text,
        }
        while position < end:
            token = _TOKEN.match(source, position)
            if token is None:
                break
            position = token.end()
            kind = token.lastgroup
            if kind in {"word", "number"}:
                number = int(token["number"]) if token["number"] else None
                if token["word"] == "bin":
                    position += max(0, number or 0)
                self._flush()
                self._on_word(token["word"], number)
            elif kind in handlers:
                handlers[kind](token)
        self._flush()

    def whole(self) -> Flow:
        """All parts in one flow, each header and footer once."""
        flow = Flow(self._limits)
        for parts in (self._headers, [self._body], self._notes, self._footers):
            seen: set[str] = set()
            for part in parts:
                part.end()
                found = part.flow.passage()
                if part is not self._body and found.characters in seen:
                    continue
                seen.add(found.characters)
                flow.extend(found)
        return flow

    def _on_hex(self, token: re.Match[str]) -> None:
        if self._pending:
            self._pending -= 1
        else:
            self._bytes.append(int(token["hex"], 16))

    def _on_text(self, token: re.Match[str]) -> None:
        text = token["text"]
        if self._pending:
            kept = text[self._pending :]
            self._pending -= len(text) - len(kept)
            text = kept
        self._bytes += text.encode("latin-1")

    def _on_brace(self, token: re.Match[str]) -> None:
        self._flush()
        self._pending, self._is_starred = 0, False
        if token["brace"] == "{":
            self._stack.append(self._state)
        elif self._stack:
            was_field, self._state = self._state.in_field, self._stack.pop()
            if was_field and not self._state.in_field:
                # A field that draws what it shows has no result.
                self._put(base_of(self._field))

    def _on_sign(self, token: re.Match[str]) -> None:
        sign = token["sign"]
        if sign == "*":
            self._is_starred = True
        elif sign in "\\{}":
            self._bytes += sign.encode()
        elif sign in "\r\n":
            self._on_word("par", None)
        elif sign in "~_":
            self._flush()
            self._put(" " if sign == "~" else "-")

    def _on_word(self, word: str, number: int | None) -> None:
        state, part = self._state, self._state.part
        if word == "u" and number is not None:
            self._put(chr(number & 0xFFFF))
            self._pending = state.after_unicode
            return
        self._pending = 0
        if self._opens(word):
            return
        if word in _SIGNS:
            self._put(_SIGNS[word])
        elif state.is_skipped:
            pass
        elif word in _BREAKS:
            self._flush()
            part.end_paragraph(in_table=state.in_table, is_inner=state.level > 1)
        elif word == "cell":
            part.end_cell()
        elif word == "row":
            part.end_row()
        elif word == "nestcell":
            part.end_inner_cell()
        elif word == "nestrow":
            part.end_inner_row()
        else:
            self._set(word, number)

    def _set(self, word: str, number: int | None) -> None:
        """What a control word changes until the end of its group."""
        state = self._state
        if word == "f" and number is not None:
            self._state = replace(state, font=number)
        elif word in {"v", "deleted"}:
            self._state = replace(state, is_hidden=number != 0)
        elif word == "plain":
            self._state = replace(state, is_hidden=False)
        elif word in {"intbl", "pard"}:
            level = state.level if word == "intbl" else 1
            self._state = replace(state, in_table=word == "intbl", level=level)
        elif word == "itap":
            self._state = replace(state, level=number or 0)
        elif word == "uc":
            self._state = replace(state, after_unicode=min(max(number or 0, 0), 16))
        else:
            self._set_code_page(word, number)

    def _set_code_page(self, word: str, number: int | None) -> None:
        """The code page of the document, or of the font that is being described."""
        if word == "ansicpg" and number:
            self._code_page = _known(number) or "cp1252"
        elif word in {"mac", "pca"}:
            self._code_page = "mac_roman" if word == "mac" else "cp850"
        elif self._state.in_fonts and word == "fcharset":
            self._fonts[self._state.font] = "symbol" if number == _SYMBOL else _CODE_PAGES.get(number or 0, "")
        elif self._state.in_fonts and word == "cpg" and number:
            self._fonts[self._state.font] = _known(number) or ""

    def _opens(self, word: str) -> bool:
        """Whether a word says what its group is for, and that was taken up."""
        is_starred, self._is_starred = self._is_starred, False
        state = self._state
        kinds = ((_HEADERS, self._headers), (_FOOTERS, self._footers), (_NOTES, self._notes))
        if word == "fonttbl":
            self._state = replace(state, in_fonts=True)
        elif word == "info":
            self._state = replace(state, in_info=True)
        elif word == "title" and state.in_info:
            self._state = replace(state, in_title=True)
        elif word == "fldinst":
            self._state, self._field = replace(state, in_field=True), ""
        elif word in _MARKERS:
            self._state = replace(state, in_marker=True)
        elif (found := next((parts for names, parts in kinds if word in names), None)) is not None:
            part = _Part(Flow(self._limits))
            found.append(part)
            self._state = replace(state, part=part, in_table=False)
        elif word == "fldrslt":
            is_number = state.part is not self._body and _PAGE_NUMBER.match(self._field) is not None
            self._state = replace(state, is_skipped=state.is_skipped or is_number)
        elif word in _SKIPPED or (is_starred and word not in _ENTERED):
            self._state = replace(state, is_skipped=True)
        else:
            return word in _ENTERED
        return True

    def _flush(self) -> None:
        """The bytes gathered so far as text in the code page of the font."""
        if not self._bytes:
            return
        code_page = self._fonts.get(self._state.font) or self._code_page
        if code_page == "symbol":
            # What a font of symbols shows is known of its disc alone.
            text = "".join("\u2022" if byte == 0xB7 else chr(byte) if byte < 0x80 else "" for byte in self._bytes)
        else:
            text = self._bytes.decode(code_page, errors="replace")
        self._bytes.clear()
        self._put(text)

    def _put(self, text: str) -> None:
        state = self._state
        if state.in_title:
            self.title = (self.title + text)[:1000]
        elif state.in_field:
            self._field = (self._field + text)[:LONGEST_FIELD]
        elif state.in_marker and not any(map(str.isalnum, "".join(state.part.pieces[-1:]) + text)):
            # The disc before the item of a list is no text.
            return
        elif not (state.is_skipped or state.is_hidden or state.in_fonts or state.in_info):
            self._size += len(text)
            self._limits.check("characters", self._size, self._limits.characters)
            state.part.pieces.append(text)


def _known(number: int) -> str | None:
    """The name of a code page by its number in Windows."""
    code_page = {65001: "utf-8", 10000: "mac_roman"}.get(number, f"cp{number}")
    try:
        "".encode(code_page)
    except LookupError:
        return None
    return code_page
