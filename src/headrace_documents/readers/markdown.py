"""Markdown without its marks: headings, emphasis, links, lists, front matter; tables as rows; code as it stands."""

from __future__ import annotations

import html
import re

from headrace_documents.readers.encodings import decoded
from headrace_documents.readers.reader import Flow, Limits, Reading, cleaned

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"^ {0,3}([-*_])( *\1){2,} *$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+) *$")
_TABLE_RULE = re.compile(r"^ {0,3}\|?[ :]*-{1,}[-| :]*$")
_REFERENCE = re.compile(r"^ {0,3}\[(?!\^)[^\[\]]{1,200}\]:\s+\S")
_NOTE = re.compile(r"^ {0,3}\[\^([^\[\]]{1,100})\]:\s*")
_FRONT = re.compile(r"\A(-{3}|\+{3})[ \t]*\n(.{0,20000}?)\n\1[ \t]*(\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"""^title\s*[:=]\s*(["']?)(.{1,500}?)\1\s*$""", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)([^\n]{1,1000}?)(?<!`)\1(?!`)")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_CELL = re.compile(r"(?<!\\)\|")
# Every pattern is bounded and cannot cross its own first sign: a line without an end is read in one pass.
_MARKS = (
    (re.compile(r"^ {0,3}#{1,6}(?:\s+(.*?))?\s*#*\s*$"), r"\1"),
    (re.compile(r"^ {0,3}(?:> ?)+"), ""),
    (re.compile(r"^(\s*)(?:[-*+]|\d{1,9}[.)])\s+\[[ xX]\]\s+"), r"\1"),
    (re.compile(r"^(\s*)[-*+]\s+"), r"\1"),
    (re.compile(r"!\[([^\[\]]{0,500})\]\([^()\[\]]{0,2000}(?:\([^()\[\]]{0,500}\)[^()\[\]]{0,500})?\)"), r"\1"),
    (re.compile(r"\[([^\[\]]{1,500})\]\([^()\[\]]{0,2000}(?:\([^()\[\]]{0,500}\)[^()\[\]]{0,500})?\)"), r"\1"),
    (re.compile(r"\[([^\[\]]{1,500})\]\[[^\[\]]{0,200}\]"), r"\1"),
    (re.compile(r"\[\^([^\[\]]{1,100})\]"), r"\1"),
    (re.compile(r"<((?:https?|mailto):[^<>\s]{1,2000})>"), r"\1"),
    (re.compile(r"</?[A-Za-z][A-Za-z0-9-]{0,30}(?:\s[^<>]{0,2000})?/?>"), ""),
    (re.compile(r"\*\*(?=\S)([^*\n]{1,1000})(?<=\S)\*\*"), r"\1"),
    (re.compile(r"__(?=\S)([^_\n]{1,1000})(?<=\S)__"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,1000})(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]{1,1000})(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"~~(?=\S)([^~\n]{1,1000})(?<=\S)~~"), r"\1"),
)


def read_markdown(content: bytes, limits: Limits) -> Reading:
    """The text of a Markdown document; its title is that of its front matter, or else its first heading."""
    text = _uncommented(cleaned(decoded(content)).removeprefix("\ufeff"))
    front = _FRONT.match(text)
    named = _FRONT_TITLE.search(front[2]) if front else None
    writer = _Writer(limits)
    for line in [*text[front.end() if front else 0 :].split("\n"), ""]:
        writer.add(line)
    writer.end_block()
    title = named[2].strip() if named else writer.title
    return Reading(passages=(writer.flow.passage(),), title=title or None)


def _uncommented(text: str) -> str:
    """`text` without comments; one that does not end is none."""
    pieces, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin)) >= 0:
        pieces.append(text[at:begin])
        at = end + 3
    return "".join(pieces) + text[at:]


class _Writer:
    """Gathers lines into blocks."""

    def __init__(self, limits: Limits) -> None:
        self.flow = Flow(limits)
        self.title: str | None = None
        self._block: list[str] = []
        self._fence = ""

    def add(self, line: str) -> None:
        """The next line."""
        fence = _FENCE.match(line)
        if fence and (not self._fence or fence[1].startswith(self._fence)):
            self.end_block(is_code=bool(self._fence))
            self._fence = "" if self._fence else fence[1]
        elif self._fence:
            self._block.append(line)
        elif self._block and _UNDERLINE.match(line) and not _begins_item(self._block[-1]):
            self._heading()
        elif not line.strip() or _RULE.match(line):
            self.end_block()
        elif re.match(r" {0,3}#{1,6}(\s|$)", line):
            self.end_block()
            self._block.append(line)
            self._heading()
        elif not _REFERENCE.match(line):
            self._block.append(_NOTE.sub(r"\1: ", line))

    def end_block(self, *, is_code: bool = False) -> None:
        """The lines at hand as a table or a paragraph."""
        block = self._block
        self._block = []
        if is_code:
            self.flow.paragraph("\n".join(block))
        elif len(block) > 1 and _TABLE_RULE.match(block[1]) and "|" in block[0]:
            self.flow.table([_cells(line) for line in (block[0], *block[2:])])
        elif block:
            self.flow.paragraph("\n".join(map(_unmarked, block)))

    def _heading(self) -> None:
        heading = "\n".join(map(_unmarked, self._block))
        self._block = []
        self.title = self.title or " ".join(heading.split())
        self.flow.paragraph(heading)


def _begins_item(line: str) -> bool:
    return re.match(r"^\s*([-*+]|\d{1,9}[.)])\s", line) is not None


def _cells(line: str) -> list[str]:
    inside = line.strip().removeprefix("|")
    inside = inside[:-1] if inside.endswith("|") and not inside.endswith("\\|") else inside
    return [_unmarked(cell.strip()).strip() for cell in _CELL.split(inside)]


def _unmarked(line: str) -> str:
    """A line without marks; what stands in code, or behind a backslash, is none."""
    kept: list[str] = []

    def put_away(text: str) -> str:
        kept.append(text)
        # A sign of private use stands in for what is kept while marks are taken away.
        return f"\ue000{len(kept) - 1}\ue001"

    line = line.replace("\ue000", "").replace("\ue001", "")
    line = _CODE.sub(lambda found: put_away(found[2].replace("\\|", "|")), line)
    line = _ESCAPED.sub(lambda found: put_away(found[1]), line)
    for pattern, replacement in _MARKS:
        line = pattern.sub(replacement, line)
    line = html.unescape(line) if "&" in line else line
    return re.sub("\ue000(\\d+)\ue001", lambda found: kept[int(found[1])], line).removesuffix("\\")
