"""DOC and PPT, the binary formats of Word 97 and PowerPoint 97, as [MS-DOC] and [MS-PPT] describe them.

No permissive library reads them, and an office suite at run time would be a gigabyte. The text alone needs little: in
DOC the piece table, which says where each stretch of characters lies; in PPT the text atoms in the order of the slides.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

import olefile

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading

DAMAGED = "Save it as DOCX or PPTX and send that."
_FIELD = re.compile("\x13[^\x13\x14\x15]*\x14([^\x13\x14\x15]*)\x15|\x13[^\x13\x14\x15]*\x15")
_CELL, _ROW_END = "\x07", "\x07\x07"
_SPECIAL = str.maketrans({"\x0b": "\n", "\x1e": "-", "\x1f": "", "\x0c": "\r", "\x0e": "\r", "\xa0": " ", "\x01": ""})
_SLIDE, _NOTES, _MAIN_MASTER, _DOCUMENT = 0x03EE, 0x03F0, 0x03F8, 0x03E8
_CHARS, _BYTES, _CSTRING, _SLIDE_LIST, _PERSIST = 0x0FA0, 0x0FA8, 0x0FBA, 0x0FF0, 0x03F3
_HEADERS_FOOTERS, _PROG_TAGS = 0x0FD9, 0x1388


def read_doc(content: bytes, limits: Limits) -> Reading:
    """The text of a DOC: body, footnotes, headers, notes and text boxes, as its piece table joins them."""
    with _container(content) as container:
        stream = _stream(container, "WordDocument")
        if len(stream) < 0x200:
            raise Unreadable("It has no Word text.", remedy=DAMAGED)
        flags = struct.unpack_from("<H", stream, 0x0A)[0]
        if flags & 0x0100:
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        table = _stream(container, "1Table" if flags & 0x0200 else "0Table")
        title = _title(container)
    try:
        text = _pieces(stream, table, limits)
        counts = struct.unpack_from("<8i", stream, 0x4C)
    except (struct.error, IndexError, OverflowError) as error:
        raise Unreadable(f"Its piece table is damaged: {error}.", remedy=DAMAGED) from error
    body, notes, headers = counts[0], counts[1], counts[2]
    flow = Flow(limits)
    seen: set[str] = set()
    if body <= 0 or body > len(text):
        body, notes, headers = len(text), 0, 0
    for paragraph in text[body + notes : body + notes + headers].split("\r"):
        if paragraph.strip() and paragraph not in seen:
            seen.add(paragraph)
            flow.paragraph(_shown(paragraph))
    _add_body(flow, text[:body])
    _add_body(flow, text[body : body + notes])
    _add_body(flow, text[body + notes + headers :])
    return Reading(passages=(flow.passage(),), title=title)


def read_ppt(content: bytes, limits: Limits) -> Reading:
    """The text of a PPT, a passage a slide, with the speaker's notes after each."""
    with _container(content) as container:
        if container.exists("EncryptedSummary"):
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        stream = _stream(container, "PowerPoint Document")
        title = _title(container)
    slides = []
    notes = []
    for kind, start, end in _records(stream, 0, len(stream)):
        if kind == _SLIDE:
            slides.append(_atoms(stream, start, end))
        elif kind == _NOTES:
            notes.append(_atoms(stream, start, end))
    outline = _outline(stream)
    limits.check("slides", max(len(slides), len(outline)), limits.pages)
    passages = []
    for number in range(max(len(slides), len(outline))):
        flow = Flow(limits)
        texts = outline[number] if number < len(outline) else []
        own = slides[number] if number < len(slides) else []
        for text in [*texts, *(text for text in own if text not in texts)]:
            flow.paragraph(text.replace("\r", "\n").replace("\x0b", "\n"))
        found = flow.passage()
        passages.append(Passage(characters=found.characters, page=number + 1))
    flow = Flow(limits)
    for text in (text for each in notes[1:] or notes for text in each if text.strip("* \r")):
        flow.paragraph(text.replace("\r", "\n"))
    if flow.passage().characters:
        passages.append(flow.passage())
    return Reading(passages=tuple(passages), title=title, pages=len(slides) or len(outline) or None)


def _container(content: bytes) -> olefile.OleFileIO:
    try:
        return olefile.OleFileIO(io.BytesIO(content))
    # olefile raises whatever a damaged allocation table leads to.
    except Exception as error:
        raise Unreadable(f"The container is damaged: {error}.", remedy=DAMAGED) from error


def _stream(container: olefile.OleFileIO, name: str) -> bytes:
    try:
        with container.openstream(name) as stream:
            data: bytes = stream.read()
    except Exception as error:
        raise Unreadable(f"Its part {name!r} is missing or damaged.", remedy=DAMAGED) from error
    return data


def _title(container: olefile.OleFileIO) -> str | None:
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
    """The characters of all pieces in their order ([MS-DOC] 2.4.1)."""
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
    limits.check("characters", bounds[-1], limits.characters)
    pieces = []
    for index in range(count):
        raw = struct.unpack_from("<I", plain, 4 * (count + 1) + 8 * index + 2)[0]
        characters = bounds[index + 1] - bounds[index]
        offset = raw & 0x3FFFFFFF
        if raw & 0x40000000:
            offset //= 2
            pieces.append(stream[offset : offset + characters].decode("cp1252", errors="replace"))
        else:
            pieces.append(stream[offset : offset + 2 * characters].decode("utf-16-le", errors="replace"))
    return "".join(pieces)


def _add_body(flow: Flow, text: str) -> None:
    """Paragraphs, and tables: a cell ends in a mark, a row in an empty cell."""
    rows: list[list[str]] = []
    cells: list[str] = []
    pending = ""
    for part in re.split("([\r\x07])", _results(text)):
        if part == _CELL:
            if not pending and cells:
                rows.append(cells)
                cells = []
            else:
                cells.append(_shown(pending))
            pending = ""
        elif part == "\r":
            if cells or (rows and not pending):
                pending += "\n" if pending else ""
                continue
            flow.table(rows)
            rows = []
            flow.paragraph(_shown(pending))
            pending = ""
        else:
            if pending and not pending.endswith("\n"):
                pending += " "
            if rows and not cells and "\r" in text and pending == "" and not part:
                continue
            pending += part
    flow.table([*rows, cells] if cells else rows)
    flow.paragraph(_shown(pending))


def _results(text: str) -> str:
    """Fields as people see them: the result without the instruction; nested ones from the inside out."""
    for _ in range(8):
        text, count = _FIELD.subn(lambda match: match[1] or "", text)
        if not count:
            break
    return text


def _shown(text: str) -> str:
    return text.translate(_SPECIAL).strip()


def _records(stream: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The records side by side in a stretch: kind, start and end of their content ([MS-PPT] 2.3.1)."""
    position = start
    while position + 8 <= end:
        _, kind, size = struct.unpack_from("<HHI", stream, position)
        content_end = min(position + 8 + size, end)
        yield kind, position + 8, content_end
        position = content_end


def _atoms(stream: bytes, start: int, end: int) -> list[str]:
    """The texts in a container, at any depth; iterative, for depth is the sender's choice."""
    texts: list[str] = []
    stack = [iter(list(_records(stream, start, end)))]
    while stack and len(stack) < 64:
        record = next(stack[-1], None)
        if record is None:
            stack.pop()
            continue
        kind, inner, inner_end = record
        version = struct.unpack_from("<H", stream, inner - 8)[0] & 0xF
        if kind == _CHARS:
            texts.append(stream[inner:inner_end].decode("utf-16-le", errors="replace"))
        elif kind == _BYTES:
            texts.append(stream[inner:inner_end].decode("latin-1"))
        elif version == 0xF and kind not in {_HEADERS_FOOTERS, _PROG_TAGS}:
            stack.append(iter(list(_records(stream, inner, inner_end))))
    return [text for text in texts if text.strip()]


def _outline(stream: bytes) -> list[list[str]]:
    """The texts of titles and bodies, which are kept by slide in the document's own list."""
    slides: list[list[str]] = []
    for kind, start, end in _records(stream, 0, len(stream)):
        if kind != _DOCUMENT:
            continue
        for inner_kind, inner, inner_end in _records(stream, start, end):
            instance = struct.unpack_from("<H", stream, inner - 8)[0] >> 4
            if inner_kind != _SLIDE_LIST or instance != 0:
                continue
            slides = []
            for atom, begin, finish in _records(stream, inner, inner_end):
                if atom == _PERSIST:
                    slides.append([])
                elif slides and atom == _CHARS:
                    slides[-1].append(stream[begin:finish].decode("utf-16-le", errors="replace"))
                elif slides and atom == _BYTES:
                    slides[-1].append(stream[begin:finish].decode("latin-1"))
    return slides
