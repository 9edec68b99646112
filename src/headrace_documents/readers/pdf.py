"""PDF: each page's words with their boxes by pdfium, in the order in which they are read; scanned pages by OCR.

No call into the engine is made per character: text comes a page at once, places a word at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as engine

from headrace import Unreadable, checkpointed, report_progress
from headrace_documents.readers.annotations import annotated, has_annotations, own_text, settled
from headrace_documents.readers.containers import ENCRYPTED
from headrace_documents.readers.drawn_lines import lines_of
from headrace_documents.readers.engine_text import advance_of, boxes_of, place_of, room_of, text_of, turn_of
from headrace_documents.readers.fixed_pitch import pitches_of
from headrace_documents.readers.frames import Frame, frames_of
from headrace_documents.readers.hyphens import is_broken, with_compounds
from headrace_documents.readers.layout import runs_down
from headrace_documents.readers.legibility import SURE, Likeness, Unmapped, is_like_no_language, unmapped_of
from headrace_documents.readers.line_ends import relined
from headrace_documents.readers.mending import WordColumns, may_be_broken, mended
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import Limits, Passage, Reading
from headrace_documents.readers.right_to_left import (
    has_right_to_left,
    is_right_to_left,
    rows_of,
    rows_within,
    stretches_of,
)
from headrace_documents.readers.ruled_tables import in_cells
from headrace_documents.readers.rulings import Rulings
from headrace_documents.readers.wrapped_tables import wrapped_frames
from headrace_documents.schema import Finding

# pdfium writes U+FFFE (or U+0002) where a word was broken at the end of a line.
HYPHENS = "\ufffe\x02"
_WORD = re.compile(f"[^\\s{HYPHENS}\x00]+")
_LINE = re.compile(r"\r\n|\r|\n")
FEWEST_LETTERS = 8
POINTS = 72
FEWEST_LINES = 6
"""The least that a net of two columns and two rows is made of."""

NEAR_EMPTY = 150
"""Fewer letters than this beside a large picture may be a stamp on a scan, or a title on a photograph."""
PATIENCE = 4
"""How often a document is looked at for more than its text in vain, before it is believed."""


class PagePictures(Protocol):
    """Reads pages from what they show."""

    def __call__(self, page: pdfium.PdfPage, number: int) -> tuple[Passage, tuple[Finding, ...]] | None:
        """The passage of a page and what is to be said of it; None where it cannot be read."""
        ...

    def is_covered(self, page: pdfium.PdfPage) -> bool:
        """Whether a picture covers most of the page."""
        ...

    def shows_more(self, page: pdfium.PdfPage, *, letters: int) -> bool:
        """Whether the page seems to show far more than the `letters` of its text."""
        ...


class Lack(Enum):
    """Why the text that a page gives is not enough."""

    NO_TEXT = "no text"
    LITTLE_TEXT = "little text on a picture full of letters"
    NO_LETTERS = "fonts that do not say which letters they show"
    NO_LANGUAGE = "text that is like no language"


@dataclass(slots=True)
class _Course:
    """What is kept while the pages of one document are read."""

    limits: Limits
    findings: list[Finding] = field(default_factory=list)
    patience: int = PATIENCE


@dataclass(frozen=True, slots=True)
class PdfReader:
    """Reads PDFs; `ocr` reads a page whose text does not tell what it shows, `likeness` knows languages."""

    ocr: PagePictures
    likeness: Likeness

    def __call__(self, content: bytes, limits: Limits) -> Reading:
        """A passage a page; raises `Unreadable` when pdfium cannot open it."""
        document = opened(content, limits)
        try:
            course = _Course(limits)
            passages = tuple(self._passages(document, course))
            title = (document.get_metadata_value("Title") or "").strip() or None
            return Reading(passages=passages, title=title, pages=len(document), findings=tuple(course.findings))
        finally:
            document.close()

    def _passages(self, document: pdfium.PdfDocument, course: _Course) -> Iterator[Passage]:
        total = len(document)
        size = 0
        for number in range(1, total + 1):
            try:
                page = document[number - 1]
            except pdfium.PdfiumError:
                course.findings.append(Finding("page_damaged", "This page could not be loaded.", page=number))
                continue
            own = None
            if has_annotations(page):
                own = own_text(page)
                page = annotated(document, number - 1, page)
            try:
                passage = self._passage(page, number, course, own)
            finally:
                page.close()
            size += len(passage.characters)
            course.limits.check("characters", size, course.limits.characters)
            yield passage
            if number % 10 == 0 or passage.ocr or number == total:
                report_progress("extract", number, total)

    def _passage(self, page: pdfium.PdfPage, number: int, course: _Course, own: str | None) -> Passage:
        width, height = page.get_size()
        course.limits.check("points on a side", max(width, height), course.limits.page_points)
        words, unmapped = words_of(page, own)
        passage = passage_of(words, page=number, width=width, height=height)
        lack = self._lack_of(page, passage, unmapped, course)
        if lack is None:
            return passage
        read = partial(self.ocr, page, number)
        found = checkpointed(f"page {number}", tuple[Passage, tuple[Finding, ...]] | None, read)
        seen = None if found is None else found[0]
        is_seen = seen is not None and self._tells_more(seen, passage, lack)
        if found is not None and (is_seen or lack is not Lack.NO_LANGUAGE):
            course.findings += found[1]
        if lack is Lack.NO_LETTERS:
            course.findings.append(_of_letters(number, unmapped.share, is_seen=is_seen))
        elif lack is Lack.NO_LANGUAGE and is_seen:
            why = "The text of this page is like no language, unlike what it shows"
            course.findings.append(Finding("read_as_shown", f"{why}: it was read by OCR.", page=number))
        if seen is not None and is_seen:
            return seen
        if lack in {Lack.LITTLE_TEXT, Lack.NO_LANGUAGE}:
            course.patience -= 2
        return passage

    def _lack_of(self, page: pdfium.PdfPage, passage: Passage, unmapped: Unmapped, course: _Course) -> Lack | None:
        if unmapped.is_illegible(self.likeness):
            return Lack.NO_LETTERS
        letters = sum(map(str.isalnum, passage.characters[:400]))
        if letters < FEWEST_LETTERS:
            return Lack.NO_TEXT if has_picture(page) else None
        if course.patience <= 0:
            return None
        if letters < NEAR_EMPTY and self.ocr.is_covered(page):
            if self.ocr.shows_more(page, letters=letters):
                return Lack.LITTLE_TEXT
            course.patience -= 1
            return None
        return Lack.NO_LANGUAGE if is_like_no_language(passage.characters, self.likeness) else None

    def _tells_more(self, seen: Passage, passage: Passage, lack: Lack) -> bool:
        """Whether OCR `seen` is closer to what a page shows than the `passage` of its text."""
        if lack is Lack.NO_LANGUAGE:
            return self.likeness(seen.characters) >= SURE
        if lack is Lack.NO_LETTERS:
            return sum(map(str.isalnum, seen.characters)) >= FEWEST_LETTERS
        return len(seen.characters) > len(passage.characters)


def _of_letters(number: int, share: float, *, is_seen: bool) -> Finding:
    why = f"For {share:.0%} of the characters of this page its fonts do not say which letters they show"
    if is_seen:
        return Finding("read_as_shown", f"{why}: it was read by OCR.", page=number)
    return Finding("unmapped_text", f"{why}, and it was not read by OCR: they are lost or wrong.", page=number)


def opened(content: bytes, limits: Limits) -> pdfium.PdfDocument:
    """The document, with no more pages than the limit; raises `Unreadable` when it is encrypted or damaged."""
    try:
        document = pdfium.PdfDocument(content)
        count = len(document)
    except pdfium.PdfiumError as error:
        told = str(error).lower()
        # Of a lock that opens to certificates instead of a password pdfium says that it does not support its security.
        if "password" in told or "security" in told:
            raise Unreadable(ENCRYPTED, remedy="Send a copy without a password.") from error
        detail = str(error).rstrip(".")
        raise Unreadable(f"The PDF is damaged: {detail}.", remedy="Save or print it anew.") from error
    if 0 < count <= limits.pages:
        return document
    document.close()
    limits.check("pages", count, limits.pages)
    raise Unreadable("The PDF has no page.", remedy="It may be cut off: send it again.")


def words_of(page: pdfium.PdfPage, own: str | None = None) -> tuple[PageWords, Unmapped]:
    """The words of a page in the engine's order, by line, with boxes in points from the top left as shown.

    Besides how much of them is no more than the numbers of glyphs. `own` is the text that the page had before its
    annotations were drawn into it.
    """
    textpage = page.get_textpage()
    try:
        raw = textpage.raw
        text, places = text_of(raw)
        matches = list(_WORD.finditer(text))
        unmapped = unmapped_of(
            text, matches, lambda at: engine.FPDFText_HasUnicodeMapError(raw, places(at, at + 1)[0]) == 1
        )
        if is_right_to_left(text):
            return _right_to_left(page, raw), unmapped
        spans: list[tuple[int, int]] = []
        lines: list[int] = []
        joined: list[bool] = []
        words: list[str] = []
        line, position = 0, 0
        for match in matches:
            between = text[position : match.start()]
            # Between most words there is one space, and nothing to look for.
            is_hyphen = between != " " and any(sign in between for sign in HYPHENS)
            if position and between != " " and (is_hyphen or _LINE.search(between)):
                line += 1
                if not is_hyphen and is_broken(words[-1], match[0]):
                    is_hyphen, words[-1] = True, words[-1][:-1]
            words.append(match[0])
            spans.append(match.span())
            lines.append(line)
            joined.append(is_hyphen and bool(words[:-1]))
            position = match.end()
        characters = [places(start, end) for start, end in spans]
        boxes, stacked = boxes_of(raw, characters)
        columns = WordColumns(with_compounds(words, joined), lines, joined, characters, boxes)
        turn = turn_of(raw, characters, np.array(lines, dtype=np.int32), page.get_rotation())
        if turn == 0 and own is not None and text.startswith(own.rstrip()):
            columns = settled(columns, sum(start < len(own.rstrip()) for start, _ in spans))
        elif turn == 0 and page.get_rotation() == 0:
            columns = relined(columns, stacked, partial(place_of, raw), partial(room_of, raw))
        if turn == 0:
            columns = _by_script(raw, columns, text, is_annotated=own is not None)
        pitches = pitches_of(columns, partial(advance_of, raw)) if turn == page.get_rotation() == 0 else None
    finally:
        textpage.close()
    # Lines that run downwards, the first on the right, are laid out as those of a page that lies on its side.
    if turn == 0 and runs_down(columns.words, columns.lines, columns.boxes):
        turn = 90
    words_found = PageWords(
        words=columns.words,
        lines=np.array(columns.lines, dtype=np.int32),
        joined=columns.joined,
        boxes=_shown(page, columns.boxes),
        turn=turn,
        pitches=pitches,
    )
    if turn == 0:
        ruled = _frames(page)
        frames = [*ruled, *wrapped_frames(words_found, ruled)]
        words_found = in_cells(words_found, frames) if frames else words_found
    return words_found, unmapped


def _by_script(raw: engine.FPDF_TEXTPAGE, columns: WordColumns, text: str, *, is_annotated: bool) -> WordColumns:
    """The words of an upright page as their scripts are written."""
    if not is_annotated and has_right_to_left(text):
        return _with_quotations(raw, columns)
    return mended(columns, partial(place_of, raw)) if may_be_broken(text) else columns


def _frames(page: pdfium.PdfPage) -> list[Frame]:
    """The ruled tables of a page that stands upright."""
    lines = lines_of(page)
    if len(lines) < FEWEST_LINES:
        return []
    shown = _shown(page, lines)
    is_across = shown[:, 2] - shown[:, 0] > shown[:, 3] - shown[:, 1]
    return frames_of(Rulings(across=shown[is_across], down=shown[~is_across]), dpi=POINTS)


def _right_to_left(page: pdfium.PdfPage, raw: engine.FPDF_TEXTPAGE) -> PageWords:
    found = rows_of(raw)
    return PageWords(
        words=found.words,
        lines=np.array(found.rows, dtype=np.int32),
        joined=[False] * len(found.words),
        boxes=_shown(page, found.boxes),
        turn=page.get_rotation(),
        is_mirrored=True,
    )


def _with_quotations(raw: engine.FPDF_TEXTPAGE, columns: WordColumns) -> WordColumns:
    """The words of a page that runs from left to right, with those of lines that run the other way by their glyphs."""
    stretches = stretches_of(columns.words, columns.lines)
    if not stretches:
        return columns
    words, joined, characters = list(columns.words), list(columns.joined), list(columns.characters)
    lines, boxes = [(line, 0) for line in columns.lines], list(columns.boxes)
    rows = rows_within(raw, [columns.characters[first:last] for first, last in stretches])
    for (first, last), found in reversed(list(zip(stretches, rows, strict=True))):
        count = len(found.words)
        words[first:last], joined[first:last] = found.words, [False] * count
        # Which characters they are made of, no one asks any more.
        characters[first:last] = [(0, 0)] * count
        lines[first:last] = [(columns.lines[first], row) for row in found.rows]
        boxes[first:last] = list(found.boxes)
        if first + count < len(joined):
            joined[first + count] = False
    is_new = [number > 0 and line != lines[number - 1] for number, line in enumerate(lines)]
    numbers = np.cumsum(is_new, dtype=np.int32).tolist()
    return WordColumns(words, numbers, joined, characters, np.array(boxes, dtype=np.float64).reshape(-1, 4))


def _shown(page: pdfium.PdfPage, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Boxes of page space as they are seen: from the top left of the visible part, turned as the page is."""
    left, bottom, right, top = page.get_bbox()
    x0, y0, x1, y1 = boxes.T if len(boxes) else np.zeros((4, 0))
    rotation = page.get_rotation()
    if rotation == 90:
        turned = (y0 - bottom, x0 - left, y1 - bottom, x1 - left)
    elif rotation == 180:
        turned = (right - x1, y0 - bottom, right - x0, y1 - bottom)
    elif rotation == 270:
        turned = (top - y1, right - x1, top - y0, right - x0)
    else:
        turned = (x0 - left, top - y1, x1 - left, top - y0)
    return np.stack(turned, axis=1).astype(np.float32)


def has_picture(page: pdfium.PdfPage) -> bool:
    """Whether a page shows anything at all: one without any object is blank, and OCR would find nothing."""
    return bool(engine.FPDFPage_CountObjects(page.raw) > 0)
