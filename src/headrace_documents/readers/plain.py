"""TXT, Markdown and CSV: text in any encoding."""

from __future__ import annotations

import csv
import io
import re

from headrace_documents.readers.encodings import decoded
from headrace_documents.readers.reader import Flow, Limits, Reading, cleaned

DELIMITERS = ",;\t|"
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_RULE = re.compile(r"^ {0,3}([-*_])( *\1){2,} *$")
_TABLE_RULE = re.compile(r"^ {0,3}\|?[ :]*-{2,}[-| :]*$")
_MARKS = (
    (re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$"), r"\1"),
    (re.compile(r"^ {0,3}(?:> ?)+"), ""),
    (re.compile(r"!\[([^\[\]]{0,500})\]\([^()\[\]]{0,2000}\)"), r"\1"),
    (re.compile(r"\[([^\[\]]{1,500})\]\([^()\[\]]{0,2000}\)"), r"\1"),
    (re.compile(r"\[([^\[\]]{1,500})\]\[[^\[\]]{0,200}\]"), r"\1"),
    (re.compile(r"<((?:https?|mailto):[^<>\s]{1,2000})>"), r"\1"),
    (re.compile(r"\*\*(?=\S)([^*\n]{1,1000})(?<=\S)\*\*"), r"\1"),
    (re.compile(r"__(?=\S)([^_\n]{1,1000})(?<=\S)__"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,1000})(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]{1,1000})(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]{1,1000})\1(?!`)"), r"\2"),
    (re.compile(r"^(\s*)[-*+]\s+"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>~])"), r"\1"),
)
# Every pattern is bounded and cannot cross its own first sign: a line without an end is read in one pass.


def read(content: bytes, limits: Limits) -> Reading:
    """Plain text: blocks are parted by empty lines."""
    flow = Flow(limits)
    for block in re.split(r"\n(?:[ \t]*\n)+", cleaned(decoded(content))):
        flow.paragraph(block)
    return Reading(passages=(flow.passage(),))


def read_markdown(content: bytes, limits: Limits) -> Reading:
    """Markdown without its marks: headings, emphasis, links, lists; tables as rows; code as it stands."""
    flow = Flow(limits)
    block: list[str] = []
    title = None
    is_code = False
    for line in [*cleaned(decoded(content)).split("\n"), ""]:
        if _FENCE.match(line):
            is_code = not is_code
            _end_block(flow, block)
        elif is_code:
            block.append(line)
        elif not line.strip() or _RULE.match(line):
            _end_block(flow, block)
        elif line.lstrip().startswith("#"):
            _end_block(flow, block)
            heading = _unmarked(line)
            title = title or heading.strip()
            flow.paragraph(heading)
        else:
            block.append(line)
    _end_block(flow, block)
    return Reading(passages=(flow.passage(),), title=title)


def read_csv(content: bytes, limits: Limits) -> Reading:
    """CSV as one table, whatever it parts its cells by."""
    text = decoded(content).lstrip("\ufeff")
    flow = Flow(limits)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error:
        return read(content, limits)
    limits.check("cells", sum(map(len, rows)), limits.cells)
    flow.table(rows)
    return Reading(passages=(flow.passage(),))


def _delimiter(text: str) -> str:
    """The sign that parts the lines of the beginning into equally many cells."""
    lines = [line for line in text[:65536].splitlines() if line.strip()][:50]

    def evenness(sign: str) -> tuple[float, int]:
        counts = [len(next(csv.reader([line], delimiter=sign), [])) for line in lines]
        usual = max(set(counts), key=counts.count, default=1)
        return (counts.count(usual) / max(1, len(counts)) if usual > 1 else 0.0, usual)

    try:
        return max(DELIMITERS, key=evenness)
    except csv.Error:
        return ","


def _end_block(flow: Flow, block: list[str]) -> None:
    if len(block) > 1 and _TABLE_RULE.match(block[1]) and "|" in block[0]:
        rows = [[_unmarked(cell).strip() for cell in line.strip().strip("|").split("|")] for line in block]
        flow.table([rows[0], *rows[2:]])
    elif block:
        flow.paragraph("\n".join(_unmarked(line) for line in block))
    block.clear()


def _unmarked(line: str) -> str:
    for pattern, replacement in _MARKS:
        line = pattern.sub(replacement, line)
    return line
