"""DOC, the binary format of Word 97, as [MS-DOC] describes it.

No permissive library reads it, and an office suite at run time would be a gigabyte. The text alone needs little: the
piece table, which says where each stretch of characters lies.
"""

from __future__ import annotations

import io
import re
import struct

import olefile

from headrace import Unreadable
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED
from headrace_documents.readers.reader import Flow, Limits, Reading

DAMAGED = "Save it as DOCX or PPTX and send that."
_FIELD = re.compile("\x13[^\x13\x14\x15]*\x14([^\x13\x14\x15]*)\x15|\x13[^\x13\x14\x15]*\x15")
# The number of a page in a header stands for no page in particular.
_PAGE_NUMBER = re.compile("\x13\\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\\b[^\x13\x15]*\x15", re.IGNORECASE)
_CELL, _ROW_END = "\x07", "\x07\x07"
_SPECIAL = str.maketrans({"\x0b": "\n", "\x1e": "-", "\x1f": "", "\x0c": "\r", "\x0e": "\r", "\xa0": " ", "\x01": ""})


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
    except (struct.error, IndexError, OverflowError) as error:
        raise Unreadable(f"Its piece table is damaged: {error}.", remedy=DAMAGED) from error
    body, notes, headers, remarks = counts[0], counts[1], counts[2], counts[3] + counts[4]
    flow = Flow(limits)
    seen: set[str] = set()
    if body <= 0 or body > len(text):
        body, notes, headers, remarks = len(text), 0, 0, 0
    for paragraph in text[body + notes : body + notes + headers].split("\r"):
        if paragraph.strip() and paragraph not in seen:
            seen.add(paragraph)
            flow.paragraph(_shown(_results(_PAGE_NUMBER.sub("", paragraph))))
    _add_body(flow, text[:body])
    _add_body(flow, text[body : body + notes])
    # What reviewers remarked is no part of the text.
    _add_body(flow, text[body + notes + headers + remarks :])
    return Reading(passages=(flow.passage(),), title=title)


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
