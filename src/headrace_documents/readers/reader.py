"""What all readers give, whatever the format: passages of characters, with places where the format has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from headrace import TooLarge
from headrace_documents.schema import AtLeastOne, Finding, Table

# Control characters that are no white space mean nothing in a text and break terminals, JSON readers and databases. A
# soft hyphen says where a word may be broken, and is not seen where it is not.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\ufffe\uffff]")
# Bullets, arrows and ticks of Symbol and Wingdings, which Word keeps in a private area.
_OF_SYMBOL_FONTS = str.maketrans(
    "\uf0b7\uf0a7\uf0d8\uf076\uf0fc\uf0e0\uf0a8", "\u2022\u25aa\u27a2\u2756\u2713\u2192\u25fb"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BETWEEN = "\n\n"

NOT_READ = "page_not_read"
"""The code of the finding that a page needs OCR and was left out to answer in time."""

LARGEST_SIDE = 6_000
"""Pixels: no picture that is made of a page is wider or higher."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may ask of its reader; checked before it is parsed. Sizes in bytes, unpacked."""

    pages: AtLeastOne = 2000
    pixels: AtLeastOne = 100_000_000
    page_points: Annotated[float, msgspec.Meta(gt=0)] = 14_400.0
    unpacked_bytes: AtLeastOne = 400_000_000
    ratio: AtLeastOne = 200
    members: AtLeastOne = 10_000
    cells: AtLeastOne = 5_000_000
    sheets: AtLeastOne = 500
    tags: AtLeastOne = 4_000_000
    groups: AtLeastOne = 1_000
    headers: AtLeastOne = 1_000
    attachments: AtLeastOne = 500
    characters: AtLeastOne = 20_000_000

    def check(self, what: str, value: float, limit: float) -> None:
        """Raises `TooLarge` naming both when `value` is above `limit`, which is one of these."""
        if value > limit:
            raise _too_large(what, value, limit, "Split it, or raise the limit in [services.text_extractor].")

    @staticmethod
    def check_fixed(what: str, value: float, limit: float) -> None:
        """As `check`, for a `limit` that no setting raises."""
        if value > limit:
            raise _too_large(what, value, limit, "No setting raises this: save the document anew, in a plainer form.")


def _too_large(what: str, value: float, limit: float, remedy: str) -> TooLarge:
    return TooLarge(f"It has {value:,.0f} {what}, and at most {limit:,.0f} are read.", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the words of a passage stand: `starts`, `ends` (n,) int32 within it, `boxes` (n, 4) float32 points."""

    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of text that belongs together: a page, or the whole of a format without pages.

    Offsets of `tables` and `places` count within `characters`. `width` and `height` in points, 0 without pages.
    `ocr_confidence`: how sure of its words the reader of a picture was, 0 to 1.
    """

    characters: str
    page: int | None = None
    width: float = 0.0
    height: float = 0.0
    ocr: bool = False
    ocr_confidence: float | None = None
    places: Places | None = None
    tables: tuple[Table, ...] = ()

    def blocks(self) -> Iterator[str | Table]:
        """What a flow was made of: its paragraphs and tables in their order."""
        tables, offset = {table.start: table for table in self.tables}, 0
        for block in self.characters.split(_BETWEEN):
            yield tables.get(offset) or block
            offset += len(block) + len(_BETWEEN)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a reader found."""

    passages: tuple[Passage, ...]
    title: str | None = None
    pages: int | None = None
    findings: tuple[Finding, ...] = ()


def cut_off() -> Finding:
    """What is said of a document whose end is missing."""
    return Finding("truncated", "Its end is missing: what is left of it was read.")


class Reader(Protocol):
    """Reads one family of formats."""

    def __call__(self, content: bytes, limits: Limits) -> Reading:
        """What stands in `content`; raises `InvalidInput` when it is too large, encrypted or damaged."""
        ...


@dataclass(slots=True)
class Flow:
    """Gathers paragraphs and tables in the order in which they are read."""

    limits: Limits
    tables: list[Table] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)
    _size: int = 0

    @property
    def blocks(self) -> int:
        """How many paragraphs and tables were gathered."""
        return len(self._parts)

    def paragraph(self, text: str) -> None:
        """A block of lines; nothing when it is blank."""
        clean = cleaned(text).strip()
        if clean:
            self._append(clean)

    def table(self, rows: list[list[str]]) -> None:
        """Rows of cells as tab-separated lines; line breaks inside a cell become spaces. Empty tables are left out."""
        flat = [tuple(" ".join(cleaned(cell).split()) for cell in row) for row in rows]
        flat = [row for row in flat if any(row)]
        if not flat:
            return
        text = "\n".join("\t".join(row) for row in flat)
        start = self._size + (len(_BETWEEN) if self._parts else 0)
        self.tables.append(Table(rows=tuple(flat), start=start, end=start + len(text)))
        self._append(text)

    def extend(self, passage: Passage) -> None:
        """All that another flow has gathered."""
        for block in passage.blocks():
            if isinstance(block, str):
                self.paragraph(block)
            else:
                self.table([list(row) for row in block.rows])

    def passage(self) -> Passage:
        """All that was gathered."""
        return Passage(characters=_BETWEEN.join(self._parts), tables=tuple(self.tables))

    def _append(self, text: str) -> None:
        self._size += len(text) + (len(_BETWEEN) if self._parts else 0)
        self.limits.check("characters", self._size, self.limits.characters)
        self._parts.append(text)


def cleaned(text: str) -> str:
    """`text` with ends of lines and pages as one newline, without control characters and halves of surrogate pairs.

    Bullets of symbol fonts are those of Unicode.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n").replace("\x0b", "\n")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text.translate(_OF_SYMBOL_FONTS)))
