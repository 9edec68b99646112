"""The passages of a reading joined into one text, whose offsets all answers count in."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from headrace_documents.readers.reader import Passage, Places, Reading
from headrace_documents.schema import DocumentInfo, Page, Table, Text, Words

_WORD = re.compile(r"\S+")
BETWEEN = "\n\n"


def joined(reading: Reading, info: DocumentInfo) -> Text:
    """One text of all passages, parted by an empty line, with every offset moved to where it is in the whole."""
    parts: list[str] = []
    columns: list[tuple[Places, int, int]] = []
    pages: list[Page] = []
    tables: list[Table] = []
    offset = 0
    for passage in reading.passages:
        if parts and passage.characters:
            offset += len(BETWEEN)
        parts += [passage.characters] if passage.characters else []
        columns.append((passage.places or _words(passage.characters), offset, passage.page or 0))
        tables += [_moved(table, passage, offset) for table in passage.tables]
        end = offset + len(passage.characters)
        if passage.page is not None:
            pages.append(
                Page(passage.page, passage.width, passage.height, offset, end, passage.ocr, passage.ocr_confidence)
            )
        offset = end
    characters = BETWEEN.join(parts)
    return Text(
        characters=characters,
        words=_columns(columns),
        document=replace(
            info,
            characters=len(characters),
            title=reading.title,
            pages=reading.pages if reading.pages is not None else (len(pages) or None),
            ocr=any(page.ocr for page in pages),
        ),
        pages=tuple(pages),
        tables=tuple(tables),
        findings=reading.findings,
    )


def _moved(table: Table, passage: Passage, offset: int) -> Table:
    return replace(table, start=table.start + offset, end=table.end + offset, page=passage.page)


def _words(characters: str) -> Places:
    spans = np.array([match.span() for match in _WORD.finditer(characters)], dtype=np.int32).reshape(-1, 2)
    boxes = np.full((len(spans), 4), np.nan, dtype=np.float32)
    return Places(starts=spans[:, 0], ends=spans[:, 1], boxes=boxes)


def _columns(columns: list[tuple[Places, int, int]]) -> Words:
    if not columns:
        empty = np.zeros(0, dtype=np.int32)
        return Words(empty, empty, empty, np.zeros((0, 4), dtype=np.float32))
    return Words(
        starts=np.concatenate([places.starts + offset for places, offset, _ in columns]).astype(np.int32),
        ends=np.concatenate([places.ends + offset for places, offset, _ in columns]).astype(np.int32),
        pages=np.concatenate([np.full(len(places.starts), page) for places, _, page in columns]).astype(np.int32),
        boxes=np.concatenate([places.boxes for places, _, _ in columns]).astype(np.float32),
    )
