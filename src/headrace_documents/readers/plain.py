"""TXT and CSV: text in any encoding."""

from __future__ import annotations

import csv
import io
import re

from headrace_documents.readers.encodings import decoded
from headrace_documents.readers.reader import Flow, Limits, Reading, cleaned

DELIMITERS = ",;\t|"
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
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=told[1] if told else _delimiter(text)))
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
