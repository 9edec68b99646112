"""HtmlReport: a folder of static pages that needs no server and loads nothing from elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from headrace import HeadraceError, Upload
from headrace_documents.extraction import PageRequest
from headrace_documents.readers.reader import LARGEST_SIDE
from headrace_documents.report.document import PagePicture, document_page
from headrace_documents.report.index import Failure, Row, index_page, row_of
from headrace_documents.report.marks import marks_of
from headrace_documents.schema import Document

Draw = Callable[[PageRequest], Awaitable[bytes]]
"""Gives the picture of a page as PNG."""

DPI = 110.0
COARSE_DPI = 24.0
SHOWN_PAGES = 12
PAGED = frozenset({"application/pdf", "image/png", "image/jpeg", "image/tiff"})
LEDGER = ".headrace-report.json"


class HtmlReport:
    """Written as the answers come, one document in memory at a time; `finish` writes the first page.

    A folder that holds other things is left as it is: only files of an earlier report are replaced or removed.
    """

    def __init__(self, folder: Path, draw: Draw) -> None:
        self._folder = folder
        self._draw = draw
        self._rows: dict[int, Row] = {}
        self._failures: list[Failure] = []
        self._written: list[str] = []
        self._earlier = _earlier(folder)

    async def add(self, number: int, name: str, upload: Upload, body: Mapping[str, Any], text: str) -> None:
        """Writes the page of a document, the `number`th of the table.

        Raises:
            OSError: the folder cannot be written to.
        """
        slug = f"{number:04d}-{_slug(name)}"
        pictures = await self._pictures(slug, upload, body)
        address = f"documents/{slug}.html"
        await self._write(address, document_page(name, body, text, pictures).encode("utf-8", "replace"))
        self._rows[number] = row_of(name, address, body)

    def add_failure(self, name: str, reason: str) -> None:
        """Notes an input that gave no answer."""
        self._failures.append(Failure(name, reason))

    async def finish(self) -> Path:
        """Writes the table, removes what an earlier report left, and gives the path of the first page."""
        rows = [self._rows[number] for number in sorted(self._rows)]
        await self._write("index.html", index_page(rows, self._failures).encode("utf-8", "replace"))
        for name in set(self._earlier) - set(self._written):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / LEDGER).write_text(json.dumps(sorted(self._written)), encoding="utf-8")
        return self._folder / "index.html"

    async def _pictures(self, slug: str, upload: Upload, body: Mapping[str, Any]) -> list[PagePicture]:
        if body["document"]["media_type"] not in PAGED:
            return []
        document = Document(upload.content, filename=upload.filename, media_type=upload.media_type)
        pictures = []
        for number in _worth_showing(body):
            try:
                picture, dpi = await self._drawn(document, number)
            except HeadraceError:
                # A page that cannot be drawn was read all the same: its marks then stand in the text.
                continue
            address = f"documents/{slug}-{number}.png"
            await self._write(address, picture)
            width, height = _pixels(picture)
            pictures.append(PagePicture(number, Path(address).name, width * 72 / dpi, height * 72 / dpi))
        return pictures

    async def _drawn(self, document: Document, number: int) -> tuple[bytes, float]:
        """The picture and its resolution. One that was bounded in size tells nothing of it, so it is drawn coarser."""
        picture = await self._draw(PageRequest(document, number, DPI))
        if max(_pixels(picture)) < LARGEST_SIDE - 1:
            return picture, DPI
        return await self._draw(PageRequest(document, number, COARSE_DPI)), COARSE_DPI

    async def _write(self, address: str, content: bytes) -> None:
        await asyncio.to_thread(_write, self._folder / address, content)
        self._written.append(address)


def _worth_showing(body: Mapping[str, Any]) -> list[int]:
    """The pages with marks, filled up from the first one, in order."""
    count = int(body["document"]["pages"] or 0)
    marked = dict.fromkeys(mark.page for mark in marks_of(body) if mark.page)
    return sorted([*dict.fromkeys([*marked, *range(1, min(count, SHOWN_PAGES) + 1)])][:SHOWN_PAGES])


def _pixels(png: bytes) -> tuple[int, int]:
    """Width and height, from the first chunk of the file."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _slug(name: str) -> str:
    """A name that is safe as a file and an address."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-48:].strip("-").lower() or "document"


def _earlier(folder: Path) -> list[str]:
    """The files that the last report in this folder wrote; only names that a report can have written."""
    try:
        names = json.loads((folder / LEDGER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(names, list):
        return []
    return [name for name in names if isinstance(name, str) and re.fullmatch(r"documents/[a-z0-9-]+\.(html|png)", name)]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
