"""DOC, the binary format of Word 97, as [MS-DOC] describes it.

No permissive library reads it, and an office suite at run time would be a gigabyte. The text alone needs little: the
piece table, which says where each stretch of characters lies.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
from dataclasses import dataclass, field

import olefile

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED
from headrace_documents.readers.fields import base_of
from headrace_documents.readers.legacy_properties import (
    GONE,
    IN_CELL,
    INNER_CELL,
    INNER_ROW_END,
    ROW_END,
    Properties,
)
from headrace_documents.readers.reader import Flow, Limits, Reading

DAMAGED = "Save it as DOCX or PPTX and send that."
_FIELD = re.compile("\x13([^\x13\x14\x15]*)(?:\x14([^\x13\x14\x15]*))?\x15")
# The number of a page in a header stands for no page in particular.
_PAGE_NUMBER = re.compile("\x13\\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\\b[^\x13\x15]*\x15", re.IGNORECASE)
_CELL = "\x07"
_ENDS = re.compile(f"([\r\x0c{_CELL}{ROW_END}{INNER_CELL}{INNER_ROW_END}{IN_CELL}])")
_SPECIAL = str.maketrans({"\x0b": "\n", "\x1e": "-", "\x1f": "", "\x0e": "\r", "\xa0": " ", "\x01": ""})
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_STORIES, _SEPARATORS = 6, 6
"""Headers and footers of a section; and what parts notes from the text, before those of the first section."""
_FOOTERS = {2, 3, 5}


def read_doc(content: bytes, limits: Limits) -> Reading:
    """The text of a DOC: body, footnotes, headers, endnotes and text boxes, as its piece table joins them."""
    with container_of(content) as container:
        stream = stream_of(container, "WordDocument")
        if len(stream) < 0x200:
            raise Unreadable("It has no Word text.", remedy=DAMAGED)
        flags = struct.unpack_from("<H", stream, 0x0A)[0]
        if flags & 0x0100:
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        table = stream_of(container, "1Table" if flags & 0x0200 else "0Table")
        title = title_of(container)
    try:
        text = _pieces(stream, table, limits)
        counts = [max(0, count) for count in struct.unpack_from("<8i", stream, 0x4C)]
        bounds = _story_bounds(stream, table)
    except (struct.error, IndexError, OverflowError) as error:
        raise Unreadable(f"Its piece table is damaged: {error}.", remedy=DAMAGED) from error
    return Reading(passages=(_flow(text, counts, bounds, limits).passage(),), title=title)


def _flow(text: str, counts: list[int], bounds: list[int], limits: Limits) -> Flow:
    body, notes, headers, remarks = counts[0], counts[1], counts[2], counts[3] + counts[4]
    if body <= 0 or body > len(text):
        body, notes, headers, remarks = len(text), 0, 0, 0
    first = body + notes
    furniture = _furniture(text[first : first + headers], bounds)
    flow = Flow(limits)
    for story, is_footer in furniture.items():
        if not is_footer:
            _add_body(flow, story)
    _add_body(flow, text[:body])
    _add_body(flow, text[body:first])
    # What reviewers remarked is no part of the text.
    _add_body(flow, text[first + headers + remarks :])
    for story, is_footer in furniture.items():
        if is_footer:
            _add_body(flow, story)
    return flow


def _story_bounds(stream: bytes, table: bytes) -> list[int]:
    """Where the headers and footers begin among all of them ([MS-DOC] 2.8.22)."""
    start, size = struct.unpack_from("<II", stream, 0x00F2)
    data = table[start : start + size // 4 * 4]
    return [position for (position,) in struct.iter_unpack("<i", data)]


def _furniture(text: str, bounds: list[int]) -> dict[str, bool]:
    """Each header and footer once, and whether it is a footer; all are headers where it is not told."""
    stories = list(itertools.pairwise(bounds))[_SEPARATORS:] or [(0, len(text))]
    found: dict[str, bool] = {}
    for number, (begin, end) in enumerate(stories):
        story = _PAGE_NUMBER.sub("", text[max(0, begin) : max(0, end)].replace(GONE, ""))
        if story.strip():
            found.setdefault(story.rstrip("\r"), number % _STORIES in _FOOTERS)
    return found


def container_of(content: bytes) -> olefile.OleFileIO:
    """The compound file in `content`; raises `Unreadable` when it is damaged."""
    try:
        return olefile.OleFileIO(io.BytesIO(content))
    # olefile raises whatever a damaged allocation table leads to.
    except Exception as error:
        raise Unreadable("The container is damaged.", remedy=DAMAGED) from error


def stream_of(container: olefile.OleFileIO, name: str) -> bytes:
    """The bytes of one part; raises `Unreadable` when it is missing or damaged."""
    try:
        with container.openstream(name) as stream:
            data: bytes = stream.read()
    except Exception as error:
        raise Unreadable(f"Its part {name!r} is missing or damaged.", remedy=DAMAGED) from error
    return data


def title_of(container: olefile.OleFileIO) -> str | None:
    """The title that the office program noted in the document's properties."""
    try:
        metadata = container.get_metadata()
        title = metadata.title
    # A damaged summary costs the title, not the document.
    except Exception:  # noqa: BLE001
        return None
    code_page = f"cp{metadata.codepage}" if metadata.codepage and metadata.codepage > 0 else "utf-8"
    if isinstance(title, bytes):
        try:
            return title.decode(code_page).strip() or None
        except (LookupError, UnicodeDecodeError):
            return title.decode("cp1252", errors="replace").strip() or None
    return None


def _pieces(stream: bytes, table: bytes, limits: Limits) -> str:
    """The characters of all pieces in their order ([MS-DOC] 2.4.1), with what properties make of each."""
    start, size = struct.unpack_from("<II", stream, 0x01A2)
    data = table[start : start + size]
    position = 0
    while position < len(data) and data[position] == 0x01:
        position += 3 + struct.unpack_from("<H", data, position + 1)[0]
    if position >= len(data) or data[position] != 0x02:
        raise IndexError("no piece table")
    length = struct.unpack_from("<I", data, position + 1)[0]
    plain = data[position + 5 : position + 5 + length]
    count = (len(plain) - 4) // 12
    bounds = struct.unpack_from(f"<{count + 1}I", plain, 0)
    sizes = [max(0, end - begin) for begin, end in itertools.pairwise(bounds)]
    limits.check("characters", sum(sizes), limits.characters)
    properties = Properties.read(stream, table)
    pieces: list[str] = []
    for index in range(count):
        raw = struct.unpack_from("<I", plain, 4 * (count + 1) + 8 * index + 2)[0]
        characters = sizes[index]
        offset = raw & 0x3FFFFFFF
        width = 1 if raw & 0x40000000 else 2
        offset = offset // 2 if width == 1 else offset
        data = stream[offset : offset + width * characters]
        text = data.decode("cp1252" if width == 1 else "utf-16-le", errors="replace")
        # Characters beyond the basic plane count twice in all that the file says of places.
        text = _BEYOND.sub(f"\\g<0>{GONE}", text)
        pieces.append(properties.applied(text, offset, width))
    return "".join(pieces)


def _add_body(flow: Flow, text: str) -> None:
    """Paragraphs, and tables, whose cells and rows end in marks; a table within a cell stands after its table."""
    if ROW_END not in text:
        # Without a word about rows, a cell that is empty ends one.
        text = re.sub(f"{_CELL}{_CELL}", f"{_CELL}{ROW_END}", text)
    part = _Table(flow)
    *parts, rest = _ENDS.split(_results(text.replace(GONE, "")))
    for words, end in zip(parts[::2], parts[1::2], strict=True):
        part.add(_shown(words), end)
    part.end()
    flow.paragraph(_shown(rest))


@dataclass(slots=True)
class _Table:
    """What is open of a table, and of those within its cells."""

    flow: Flow
    pending: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    inner_cells: list[str] = field(default_factory=list)
    inner_rows: list[list[str]] = field(default_factory=list)

    def add(self, words: str, end: str) -> None:
        """Words and the mark that they end in."""
        if end == ROW_END:
            self.rows.append(self.cells)
            self.cells = []
        elif end == INNER_ROW_END:
            self.inner_rows.append(self.inner_cells)
            self.inner_cells = []
        elif end == INNER_CELL:
            self.inner_cells.append(words)
        elif end == _CELL:
            self.cells.append("\n".join([*self.pending, words]))
            self.pending = []
        elif end == IN_CELL or (self.cells and end == "\r"):
            self.pending.append(words)
        else:
            self.end()
            self.flow.paragraph(words)

    def end(self) -> None:
        """What was gathered, also where the end of a cell or a row is missing."""
        rest = [*self.cells, "\n".join(self.pending)] if self.cells or self.pending else []
        self.flow.table([*self.rows, rest])
        self.flow.table([*self.inner_rows, self.inner_cells])
        self.pending, self.cells, self.rows, self.inner_cells, self.inner_rows = [], [], [], [], []


def _results(text: str) -> str:
    """Fields as people see them: the result without the instruction; nested ones from the inside out."""
    for _ in range(8):
        text, count = _FIELD.subn(lambda match: match[2] or base_of(match[1]), text)
        if not count:
            break
    return text


def _shown(text: str) -> str:
    return text.translate(_SPECIAL).strip()
