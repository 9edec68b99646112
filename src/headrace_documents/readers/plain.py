"""TXT and CSV: text in any encoding."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from headrace_documents.readers.encodings import decoded
from headrace_documents.readers.reader import Flow, Limits, Reading, cleaned

DELIMITERS, SELDOM = ",;\t|", "^~\x1f\x01:"
"""What parts the cells of a CSV; and what does where none of these parts any line, and all lines alike."""
MOST_UNCLOSED = 20
_ESCAPED = re.compile(r'\\"(?=[^,;\t|\r\n"])')
_DOUBLED = re.compile(r'[^,;\t|\r\n"]""')
_SEPARATOR = re.compile(r"""["']?sep=([^\w\s"']|\t)["']?\r?\n""", re.IGNORECASE)


_BLOCKS = re.compile(r"\n(?:[ \t]*\n)+")
# A typewriter strikes bold letters twice, and underlined ones upon their line; terminals have signs for both.
_STRUCK = re.compile("[^\n\x08]\x08")
_STEERING = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")


def read(content: bytes, limits: Limits) -> Reading:
    """Plain text: blocks are parted by empty lines."""
    flow = Flow(limits)
    for block in _BLOCKS.split(cleaned(_printed(decoded(content)))):
        flow.paragraph(block)
    return Reading(passages=(flow.passage(),))


def _printed(text: str) -> str:
    """What is seen of `text` where it was made for a printer or a terminal."""
    if "\x08" in text:
        text = _STRUCK.sub("", text)
    if "\x1b" in text:
        text = _STEERING.sub("", text)
    return text.replace("\x0c", "\n\n") if "\x0c" in text else text


def read_csv(content: bytes, limits: Limits) -> Reading:
    """CSV as one table, whatever it parts its cells by."""
    text = decoded(content).lstrip("\ufeff")
    flow = Flow(limits)
    # Excel is told by such a line what parts the cells.
    told = _SEPARATOR.match(text)
    text = text[told.end() :] if told else text
    # Cells are as long as texts may be: the library's own bound is for all readers of the process.
    csv.field_size_limit(max(limits.characters, csv.field_size_limit()))
    try:
        rows = _rows(text, _Form(told[1] if told else _delimiter(text), is_escaped=_is_escaped(text)))
    except csv.Error:
        return read(content, limits)
    limits.check("cells", sum(map(len, rows)), limits.cells)
    flow.table(rows)
    return Reading(passages=(flow.passage(),))


@dataclass(frozen=True, slots=True)
class _Form:
    """How a CSV parts its cells; `is_escaped`: a quote within quotes has a backslash before it, and is not doubled."""

    delimiter: str
    is_escaped: bool = False

    def rows(self, lines: Iterable[str], *, has_quotes: bool = True) -> list[list[str]]:
        """The cells of each row; without quotes, these are signs like others."""
        reader = csv.reader(
            lines,
            delimiter=self.delimiter,
            skipinitialspace=True,
            doublequote=not self.is_escaped,
            escapechar="\\" if self.is_escaped and has_quotes else None,
            quoting=csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE,
        )
        return list(reader)


def _rows(text: str, form: _Form) -> list[list[str]]:
    """All rows; a quote that is never closed costs its own line only, and not all that comes after it."""
    rows: list[list[str]] = []
    lines = io.StringIO(text, newline="").readlines() if "\n" in text else text.splitlines(keepends=True)
    for _ in range(MOST_UNCLOSED):
        found = form.rows(lines)
        size = found[-1][-1].count("\n") if found and found[-1] else 0
        if size < 1 or "".join(lines[-size - 1 :]).count('"') % 2 == 0:
            return rows + found
        at = len(lines) - size - (not found[-1][-1].endswith("\n"))
        rows += found[:-1] + [
            [cell.strip('"') for cell in row] for row in form.rows(lines[at : at + 1], has_quotes=False)
        ]
        lines = lines[at + 1 :]
    return rows + form.rows(lines, has_quotes=False)


def _is_escaped(text: str) -> bool:
    """Whether quotes within cells have a backslash before them, as databases write them."""
    return _ESCAPED.search(text) is not None and _DOUBLED.search(text) is None


def _delimiter(text: str) -> str:
    """The sign that parts the lines of the beginning into equally many cells."""
    lines = [line for line in text[:65536].splitlines() if line.strip()][:50]

    def evenness(sign: str) -> tuple[float, int]:
        counts = [len(next(iter(_Form(sign).rows([line])), [])) for line in lines]
        usual = max(set(counts), key=counts.count, default=1)
        return (counts.count(usual) / max(1, len(counts)) if usual > 1 else 0.0, usual)

    try:
        best = max(DELIMITERS, key=evenness)
        seldom = max(SELDOM, key=evenness)
        return seldom if evenness(best)[0] == 0 and evenness(seldom)[0] == 1 else best
    except csv.Error:
        return ","
