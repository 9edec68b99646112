"""PPT, the binary format of PowerPoint 97, as [MS-PPT] and [MS-ODRAW] describe it.

The text of titles and bodies stands in the document's own list of slides, all other text in the drawing of each slide;
a table is a group of shapes whose anchors tell its rows and columns.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED
from headrace_documents.readers.legacy import container_of, stream_of, title_of
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading

_DOCUMENT, _SLIDE, _SLIDE_ATOM, _NOTES, _NOTES_ATOM = 0x03E8, 0x03EE, 0x03EF, 0x03F0, 0x03F1
_CHARS, _BYTES, _SLIDE_LIST, _PERSIST = 0x0FA0, 0x0FA8, 0x0FF0, 0x03F3
_HEADERS_FOOTERS, _PROG_TAGS = 0x0FD9, 0x1388
_GROUP, _CHILD_ANCHOR, _PROPERTIES, _TABLE_PROPERTY = 0xF003, 0xF00F, 0xF122, 0x039F
_TREE = 0xF
_LOCKED = bytes.fromhex("dfc4d1f3")
"""What the "Current User" begins with instead of its usual mark where the slides are encrypted ([MS-PPT] 2.3.2)."""
DEEPEST = 64

Table = list[list[str]]


@dataclass(slots=True)
class _Slide:
    """What stands on one slide, in order, and the notes that belong to it."""

    identity: int = 0
    outline: list[str] = field(default_factory=list)
    drawn: list[str | Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_ppt(content: bytes, limits: Limits) -> Reading:
    """The text of a PPT, a passage a slide, with the speaker's notes after the text of each."""
    with container_of(content) as container:
        user = stream_of(container, "Current User") if container.exists("Current User") else b""
        if container.exists("EncryptedSummary") or user[12:16] == _LOCKED:
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        stream = stream_of(container, "PowerPoint Document")
        title = title_of(container)
    slides = _slides(stream, limits)
    passages = tuple(_passage(slide, number, limits) for number, slide in enumerate(slides, 1))
    return Reading(passages=passages, title=title, pages=len(slides) or None)


def _slides(stream: bytes, limits: Limits) -> list[_Slide]:
    slides = _outline(stream)
    drawn = 0
    for kind, start, end in _records(stream, 0, len(stream)):
        if kind != _SLIDE:
            continue
        if drawn == len(slides):
            slides.append(_Slide())
        slides[drawn].drawn = _contents(stream, start, end)
        drawn += 1
        limits.check("slides", len(slides), limits.pages)
    of_identity = {slide.identity: slide for slide in slides if slide.identity}
    for kind, start, end in _records(stream, 0, len(stream)):
        if kind == _NOTES:
            belongs_to = next(
                (_number(stream, inner) for atom, inner, _ in _records(stream, start, end) if atom == _NOTES_ATOM), 0
            )
            # Notes that belong to no slide are the master of all notes, whose text is a prompt.
            if belongs_to in of_identity:
                texts = [each for each in _contents(stream, start, end) if isinstance(each, str)]
                of_identity[belongs_to].notes += [text for text in texts if text.strip("* \r")]
    return slides


def _passage(slide: _Slide, number: int, limits: Limits) -> Passage:
    flow = Flow(limits)
    for text in slide.outline:
        flow.paragraph(_shown(text))
    for part in slide.drawn:
        if not isinstance(part, str):
            flow.table([[_shown(cell) for cell in row] for row in part])
        elif part not in slide.outline:
            flow.paragraph(_shown(part))
    for text in slide.notes:
        flow.paragraph(_shown(text))
    found = flow.passage()
    return Passage(characters=found.characters, tables=found.tables, page=number)


def _shown(text: str) -> str:
    return text.replace("\r", "\n").replace("\x0b", "\n")


def _records(stream: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The records side by side in a stretch: kind, start and end of their content ([MS-PPT] 2.3.1)."""
    position = start
    while position + 8 <= end:
        _, kind, size = struct.unpack_from("<HHI", stream, position)
        content_end = min(position + 8 + size, end)
        yield kind, position + 8, content_end
        position = content_end


def _number(stream: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", stream, position)[0]) if position + 4 <= len(stream) else 0


def _is_tree(stream: bytes, content_start: int) -> bool:
    return bool(struct.unpack_from("<H", stream, content_start - 8)[0] & 0xF == _TREE)


def _text(stream: bytes, kind: int, start: int, end: int) -> str | None:
    if kind == _CHARS:
        return stream[start:end].decode("utf-16-le", errors="replace")
    return stream[start:end].decode("latin-1") if kind == _BYTES else None


def _contents(stream: bytes, start: int, end: int) -> list[str | Table]:
    """The texts and tables in a container, at any depth; iterative, for depth is the sender's choice."""
    found: list[str | Table] = []
    stack = [_records(stream, start, end)]
    while stack:
        record = next(stack[-1], None)
        if record is None:
            stack.pop()
            continue
        kind, inner, inner_end = record
        text = _text(stream, kind, inner, inner_end)
        if text is not None:
            found += [text] if text.strip() else []
        elif _is_tree(stream, inner) and kind not in {_HEADERS_FOOTERS, _PROG_TAGS} and len(stack) < DEEPEST:
            table = _table(stream, inner, inner_end) if kind == _GROUP else []
            if table:
                found.append(table)
            else:
                stack.append(_records(stream, inner, inner_end))
    return found


def _table(stream: bytes, start: int, end: int) -> Table:
    """The rows of a group that says it is a table; empty for any other group."""
    shapes = [(inner, inner_end) for _, inner, inner_end in _records(stream, start, end)]
    if not shapes or not _says_table(stream, *shapes[0]):
        return []
    cells: list[tuple[int, int, str]] = []
    for inner, inner_end in shapes[1:]:
        anchor = [position for kind, position, _ in _records(stream, inner, inner_end) if kind == _CHILD_ANCHOR]
        texts = [text for text in _contents(stream, inner, inner_end) if isinstance(text, str)]
        if anchor and anchor[0] + 16 <= len(stream):
            left, top, right, bottom = struct.unpack_from("<4i", stream, anchor[0])
            # The lines between cells are shapes of no height or width.
            if right > left and bottom > top:
                cells.append((top, left, "\n".join(texts)))
    columns = sorted({left for _, left, _ in cells})
    rows: dict[int, list[str]] = {top: [""] * len(columns) for top in sorted({top for top, _, _ in cells})}
    for top, left, text in cells:
        rows[top][columns.index(left)] = text
    return list(rows.values())


def _says_table(stream: bytes, start: int, end: int) -> bool:
    for kind, inner, inner_end in _records(stream, start, end):
        if kind == _PROPERTIES:
            count = struct.unpack_from("<H", stream, inner - 8)[0] >> 4
            bounds = range(inner, min(inner + 6 * count, inner_end - 5), 6)
            return any(struct.unpack_from("<H", stream, each)[0] & 0x3FFF == _TABLE_PROPERTY for each in bounds)
    return False


def _outline(stream: bytes) -> list[_Slide]:
    """The slides with the texts of their titles and bodies, which are kept in the document's own list."""
    slides: list[_Slide] = []
    for kind, start, end in _records(stream, 0, len(stream)):
        if kind != _DOCUMENT:
            continue
        for inner_kind, inner, inner_end in _records(stream, start, end):
            instance = struct.unpack_from("<H", stream, inner - 8)[0] >> 4
            if inner_kind != _SLIDE_LIST or instance != 0:
                continue
            slides = []
            for atom, begin, finish in _records(stream, inner, inner_end):
                text = _text(stream, atom, begin, finish)
                if atom == _PERSIST:
                    slides.append(_Slide(identity=_number(stream, begin + 12)))
                elif slides and text is not None:
                    slides[-1].outline.append(text)
    return slides
