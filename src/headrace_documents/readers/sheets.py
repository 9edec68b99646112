"""XLSX, XLS and ODS through calamine, once the claimed size of every sheet was checked: it trusts that claim."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import olefile
from lxml import etree
from python_calamine import CalamineError, CalamineWorkbook, PasswordError, ZipError

from headrace import Unreadable
from headrace_documents.readers import opendocument
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED, is_xml, member, names, opened, parsed
from headrace_documents.readers.legacy import title_of
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading
from headrace_documents.readers.sheet_boxes import boxes_by_sheet
from headrace_documents.readers.word import core_title

SHEETS = "content.xml"
_FILE_PASS, _BEGIN_OF_SHEET, _CLAIM = 0x002F, 0x0809, 0x0200
_CELLS = frozenset({0x0006, 0x00BD, 0x00BE, 0x00D6, 0x00FD, 0x0201, 0x0203, 0x0204, 0x0205, 0x027E})
_REFERENCE = rb"""\br\s*=\s*["']([A-Z]{1,7})(\d{1,10})["']"""
_DIMENSION = re.compile(
    rb"""<(?:\w+:)?dimension\s[^>]*ref\s*=\s*["']([A-Z]{1,7})(\d{1,10}):([A-Z]{1,7})(\d{1,10})["']"""
)
_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?" + _REFERENCE)
_OPEN_ROW = re.compile(rb"<(?:\w+:)?table-row\b([^>]*)>")
_OPEN_CELL = re.compile(rb"<(?:\w+:)?(?:covered-)?table-cell\b([^>]*)>")
# What calamine gives for spans of a day and more in an ODS.
_SPAN = re.compile(r"PT(\d{1,9})H(\d{1,2})M(\d{1,2})(?:[.,]\d{1,12})?S")
_REPEATED = re.compile(rb"""number-(?:columns|rows)-repeated\s*=\s*["'](\d{1,15})["']""")


def read(content: bytes, limits: Limits) -> Reading:
    """Each sheet by its name and its tables."""
    if content[:64].lstrip()[:1] == b"<":
        return opendocument.read(content, limits)
    if content[:2] == b"PK":
        content = _mended(content, _check_container(content, limits), limits)
        title, boxes = _around(content, limits)
    else:
        title, boxes = _check_stream(content, limits), {}
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        listed = list(workbook.sheet_names)
        limits.check("sheets", len(listed), limits.sheets)
        passages = []
        for number, name in enumerate(listed, 1):
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
            limits.check("cells", sum(map(len, rows)), limits.cells)
            passages.append(_sheet(name, rows, boxes.get(name, []), number, limits))
    except PasswordError as error:
        raise Unreadable(ENCRYPTED, remedy=DECRYPT) from error
    except (CalamineError, ZipError, OSError, ValueError, IndexError) as error:
        raise Unreadable(f"The workbook is damaged: {error}.", remedy="Save it anew.") from error
    return Reading(passages=tuple(passages), title=title, pages=len(listed))


def _around(content: bytes, limits: Limits) -> tuple[str | None, dict[str, list[str]]]:
    """The title that the office program noted in the properties of an XLSX or an ODS; and boxes of text by sheet."""
    with opened(content, limits) as container:
        if "meta.xml" in names(container):
            return opendocument.title_of(parsed(member(container, "meta.xml"), limits)), {}
        return core_title(container, limits), boxes_by_sheet(container, limits)


def _sheet(name: str, rows: list[list[Any]], boxes: list[str], number: int, limits: Limits) -> Passage:
    """Its name, its tables, and the words that lie above its cells."""
    flow = Flow(limits)
    flow.paragraph(name)
    for table in _tables(rows):
        if all(len([cell for cell in row if cell]) <= 1 for row in table) and len(table) == 1:
            flow.paragraph(" ".join(cell for cell in table[0] if cell))
        else:
            flow.table(table)
    for box in boxes:
        flow.paragraph(box)
    found = flow.passage()
    return Passage(characters=found.characters, tables=found.tables, page=number)


def _tables(rows: Iterable[list[Any]]) -> Iterable[list[list[str]]]:
    """Stretches of rows between empty ones, without the columns at the right that are empty in all of them."""
    block: list[list[str]] = []
    for row in [*rows, []]:
        texts = [shown(cell) for cell in row]
        if any(texts):
            block.append(texts)
        elif block:
            width = max(index + 1 for each in block for index, cell in enumerate(each) if cell)
            first = min(index for each in block for index, cell in enumerate(each) if cell)
            yield [(each + [""] * width)[first:width] for each in block]
            block = []


def shown(value: Any) -> str:
    """A cell as a person sees it: whole numbers without a point, moments without a midnight."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        # Programs compute with more digits than they show: 0.1 + 0.2 is shown as 0.3.
        value = float(f"{value:.15g}")
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return value.isoformat() if isinstance(value, date | time) else _words(str(value).strip())


def _words(text: str) -> str:
    span = _SPAN.fullmatch(text)
    return f"{int(span[1])}:{span[2]:0>2}:{span[3]:0>2}" if span else text


def _mended(content: bytes, sheets: bytes | None, limits: Limits) -> bytes:
    """An ODS whose `sheets` are no XML with what can be saved of them, for calamine follows a broken tag for ever."""
    if sheets is None or is_xml(sheets):
        return content
    mended = etree.tostring(parsed(sheets, limits), encoding="utf-8")
    output = io.BytesIO()
    with opened(content, limits) as container, zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as anew:
        for name in container.namelist():
            anew.writestr(name, mended if name == SHEETS else member(container, name))
    return output.getvalue()


def _check_container(content: bytes, limits: Limits) -> bytes | None:
    """The XML of an ODS, checked; None for an XLSX, of which every sheet was."""
    sheets = None
    with opened(content, limits) as container:
        present = names(container)
        if "META-INF/manifest.xml" in present and b"encryption-data" in member(container, "META-INF/manifest.xml"):
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        for name in present:
            if re.fullmatch(r"xl/worksheets/[^/]*\.xml", name):
                _check_sheet(member(container, name), limits)
            elif name == SHEETS:
                sheets = member(container, name)
                _check_repeated(sheets, limits)
    return sheets


def _check_sheet(data: bytes, limits: Limits) -> None:
    """The rectangle that calamine will lay out: of the claimed dimension, and of the outermost cell."""
    claimed = _DIMENSION.search(data[:4096])
    if claimed:
        width = _column(claimed[3]) - _column(claimed[1]) + 1
        limits.check("cells", width * (int(claimed[4]) - int(claimed[2]) + 1), limits.cells)
    columns = rows = 0
    for cell in _CELL.finditer(data):
        columns, rows = max(columns, _column(cell[1])), max(rows, int(cell[2]))
    # Real sheets have a stray cell far out now and then: the rectangle may be larger than the cells are many.
    limits.check("cells", columns * rows, limits.cells * 4)


def _column(name: bytes) -> int:
    number = 0
    for letter in name:
        number = number * 26 + letter - 64
    return number


def _check_repeated(data: bytes, limits: Limits) -> None:
    """The cells that an ODS unfolds to: empty ones at the end, which fill the rest of a sheet, do not count."""
    total = 0
    rows = list(_OPEN_ROW.finditer(data))
    for row, following in zip(rows, [*(each.start() for each in rows[1:]), len(data)], strict=True):
        width = reach = 0
        for cell in _OPEN_CELL.finditer(data, row.end(), following):
            width += _times(cell[1])
            reach = reach if cell[1].endswith(b"/") else width
        total += reach * _times(row[1])
        limits.check("cells", total, limits.cells)


def _times(attributes: bytes) -> int:
    found = _REPEATED.search(attributes)
    return int(found[1]) if found else 1


def _check_records(data: bytes, limits: Limits) -> None:
    """The records of an XLS ([MS-XLS] 2.1.4): the password that it tells of, and the rectangles that calamine lays out.

    It sets room aside for the claimed dimension of a sheet, and lays out all to the outermost cell.
    """
    rows = columns = position = 0
    unpack, end = struct.Struct("<HH").unpack_from, len(data)
    while position + 4 <= end:
        kind, size = unpack(data, position)
        body = position + 4
        position = body + size
        if kind == _FILE_PASS:
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        if kind == _BEGIN_OF_SHEET:
            rows = columns = 0
        elif kind == _CLAIM and body + 12 <= end:
            first, last, left, right = struct.unpack_from("<IIHH", data, body)
            limits.check("cells", (last - first) * (right - left), limits.cells * 4)
        elif kind in _CELLS and body + 4 <= end:
            row, column = unpack(data, body)
            if row > rows or column > columns:
                rows, columns = max(rows, row), max(columns, column)
                limits.check("cells", (rows + 1) * (columns + 1), limits.cells * 4)


def _check_stream(content: bytes, limits: Limits) -> str | None:
    """The title of an XLS that was checked."""
    limits.check("bytes", len(content), limits.unpacked_bytes)
    if not olefile.isOleFile(content):
        return None
    with olefile.OleFileIO(content) as container:
        if container.exists("EncryptedPackage"):
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
        book = next((name for name in ("Workbook", "Book") if container.exists(name)), None)
        if book is not None:
            with container.openstream(book) as stream:
                _check_records(stream.read(), limits)
        return title_of(container)
