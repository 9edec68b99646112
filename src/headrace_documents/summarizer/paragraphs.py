"""What the lines of a text are: paragraphs broken by a page's edge, headings, list items, rows, page furniture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from headrace_documents.schema import Text
from headrace_documents.summarizer.abbreviations import SOMETIMES_LAST
from headrace_documents.summarizer.headings import NUMBERING, Role, role_of, run_in_role
from headrace_documents.summarizer.scripts import is_dense, word_count

_LINE = re.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_BULLET = re.compile(r"[•▪◦‣●○■□◆►➢✓·*–—-]\s+(?=\S)")
_ENUMERATOR = re.compile(r"(?:\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]|\(?[A-Z]\)|\d{1,2}(?:\.\d{1,2}){1,3}\.?)\s+(?=\S)")
_FIELD = re.compile(r"[^\W\d_][^:!?]{1,40}:(?:\s|$)")
_GAP = re.compile(r"\S {3,}\S|\t")
_LEADER = re.compile(r"(?:\.\s?){4,}\s*\d{0,4}$|…\s*\d{1,4}$")
_PAGE_NUMBER = re.compile(
    r"(?:\W|page|seite|página|pagina|стр|ページ|第)*\d{1,4}\W*(?:(?:/|of|von|de|sur|di|из|页|頁)\W*\d{1,4})?\W*$",
    re.IGNORECASE,
)
_STOPS = ".!?…。！？｡؟۔।॥։።"
_ENDS = re.compile(rf"[{_STOPS}][\"'”’»›)\]」』）]*$")
_INNER_STOP = re.compile(rf"[{_STOPS}](?:\s|$)|[。！？]")
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_QUOTED = re.compile(r">|\|\s")
NARROWEST = 40
PAGE_EDGE_LINES = 3
HEADING_CHARACTERS = 90
HEADING_WORDS = 12
LONGEST_SUMMARY = 3_000


class Kind(Enum):
    """What a paragraph is."""

    PROSE = "prose"
    ITEM = "item"
    HEADING = "heading"
    LINE = "line"
    """A short line that is no sentence: an address, a field and its value, a greeting."""
    ROW = "row"
    FURNITURE = "furniture"
    """What pages repeat, and what another wrote in a mail that is answered."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The characters `[start, end)` that belong together, without bullet or number; `role` is its section's."""

    start: int
    end: int
    kind: Kind
    role: Role = Role.BODY


@dataclass(frozen=True, slots=True)
class Line:
    """One line without the white space around it; `is_apart` when an empty line stands before it."""

    start: int
    end: int
    text: str
    is_apart: bool


def paragraphs_of(text: Text, *, limit: int) -> list[Paragraph]:
    """The paragraphs among the first `limit` characters, in order."""
    lines = list(_lines(text.characters, limit))
    furniture = _furniture(text, lines)
    groups = _grouped([line for line in lines if line.start not in furniture], _column(lines))
    tables = [(table.start, table.end) for table in text.tables]
    return list(_with_roles([_paragraph(group, tables) for group in groups], text.characters))


def _lines(characters: str, limit: int) -> Iterator[Line]:
    ended = -2
    for match in _LINE.finditer(characters, 0, min(limit, len(characters))):
        text = match.group()
        stripped = text.strip()
        if stripped:
            start = match.start() + len(text) - len(text.lstrip())
            yield Line(start, start + len(stripped), stripped, is_apart=characters.count("\n", ended, start) > 1)
            ended = start + len(stripped)


def _furniture(text: Text, lines: Sequence[Line]) -> set[int]:
    """Where the lines begin that pages repeat at their edges, that are page numbers, or that quote another mail."""
    if not text.pages:
        return {line.start for line in lines if _QUOTED.match(line.text)}
    edges: list[Line] = []
    position = 0
    for page in text.pages:
        first = position
        while position < len(lines) and lines[position].start < page.end:
            position += 1
        on_page = lines[first:position]
        edges += (
            on_page
            if len(on_page) <= 2 * PAGE_EDGE_LINES
            else [*on_page[:PAGE_EDGE_LINES], *on_page[-PAGE_EDGE_LINES:]]
        )
    seen = Counter(_DIGITS.sub("#", line.text) for line in edges)
    often = max(2, len(text.pages) // 3)
    return {
        line.start
        for line in edges
        if (seen[_DIGITS.sub("#", line.text)] > often and len(text.pages) > 2) or _PAGE_NUMBER.match(line.text)
    }


def _column(lines: Sequence[Line]) -> int:
    """How many characters a full line holds: the third quartile of lines that others follow at once."""
    lengths = sorted(len(line.text) for line, after in pairwise(lines) if not after.is_apart)
    return lengths[3 * len(lengths) // 4] if lengths else 0


def _grouped(lines: Sequence[Line], column: int) -> list[list[Line]]:
    """Lines joined where the one before was broken because it was full, and not because it had ended."""
    groups: list[list[Line]] = []
    widest = 0
    blocks = iter(_block_widths(lines))
    for line in lines:
        if not groups or line.is_apart:
            widest = next(blocks)
        if groups and _goes_on(groups[-1][-1], line, widest=widest, column=column):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _block_widths(lines: Sequence[Line]) -> Iterator[int]:
    width = 0
    for number, line in enumerate(lines):
        if line.is_apart and number:
            yield width
            width = 0
        width = max(width, len(line.text))
    yield width


def _goes_on(before: Line, line: Line, *, widest: int, column: int) -> bool:
    """Whether `line` is the rest of what `before` began."""
    if _GAP.search(before.text) or _GAP.search(line.text) or _is_marked(line.text):
        return False
    if _FIELD.match(before.text) and _FIELD.match(line.text):
        return False
    is_ended = _ENDS.search(before.text) is not None
    begins_small = line.text[0].islower()
    if line.is_apart:
        # A paragraph torn by a page's layout: no stop, a full line, and a small letter after it.
        return begins_small and not is_ended and len(before.text) >= max(NARROWEST, 0.6 * column)
    if begins_small and not is_ended:
        return True
    is_wide = is_dense(before.text) and is_dense(line.text)
    need = 1 if is_wide else len(line.text.split(maxsplit=1)[0]) + 1
    return widest >= (NARROWEST // 2 if is_wide else NARROWEST) and len(before.text) + need >= 0.85 * widest


def _is_marked(text: str) -> bool:
    """Whether a bullet or a number opens `text`, and not the rest of a broken sentence."""
    if _BULLET.match(text):
        return True
    match = _ENUMERATOR.match(text)
    return match is not None and not text[match.end()].islower()


def _paragraph(lines: Sequence[Line], tables: Sequence[tuple[int, int]]) -> Paragraph:
    start, end, first = lines[0].start, lines[-1].end, lines[0].text
    if len(lines) == 1 and _GAP.search(first):
        return Paragraph(start, end, Kind.ROW)
    if len(lines) == 1 and _LEADER.search(first):
        return Paragraph(start, end, Kind.LINE, Role.CONTENTS)
    words = sum(word_count(line.text) for line in lines)
    marker = _BULLET.match(first) or _ENUMERATOR.match(first)
    is_stopped = (_ENDS.search(lines[-1].text) is not None and not _is_short_for_a_name(lines)) or (
        words >= 8 and any(_INNER_STOP.search(line.text) for line in lines)
    )
    is_sentence = is_stopped and (words > 3 or end - start > 12)
    if not is_sentence and any(begin <= start < finish for begin, finish in tables):
        return Paragraph(start, end, Kind.ROW)
    if len(lines) == 1 and not is_stopped and words <= HEADING_WORDS and _may_head(first):
        return Paragraph(start, end, Kind.HEADING)
    if marker and marker.end() < end - start:
        return Paragraph(start + marker.end(), end, Kind.ITEM)
    is_prose = is_sentence or (words >= 8 and not _FIELD.match(first))
    return Paragraph(start, end, Kind.PROSE if is_prose else Kind.LINE)


def _is_short_for_a_name(lines: Sequence[Line]) -> bool:
    """Whether the stop at the end is that of `Co.` or `Inc.`, behind words of which each is written as a name is."""
    *words, last = lines[-1].text.split()
    if len(lines) > 1 or not words or last[-1] != "." or last[:-1].casefold() not in SOMETIMES_LAST:
        return False
    return all(word[0].isupper() or not word[0].isalpha() for word in (*words, last))


def _may_head(line: str) -> bool:
    if len(line) > HEADING_CHARACTERS or line[-1] in ",;:)" or _BULLET.match(line):
        return False
    bare = line[match.end() :] if (match := NUMBERING.match(line)) else line
    return bool(bare) and not bare[0].islower() and ": " not in bare and _LETTER.search(bare) is not None


def _with_roles(paragraphs: Sequence[Paragraph], characters: str) -> Iterator[Paragraph]:
    """Each paragraph with the role of the section it stands in."""
    role, begun = Role.BODY, 0
    for paragraph in paragraphs:
        head = characters[paragraph.start : min(paragraph.end, paragraph.start + HEADING_CHARACTERS)]
        if paragraph.kind in (Kind.HEADING, Kind.LINE, Kind.ITEM) and (told := role_of(head)) is not None:
            role, begun = told, paragraph.start
        elif _closes(role, paragraph.kind, head) or (
            role is Role.SUMMARY and paragraph.start > begun + LONGEST_SUMMARY
        ):
            role = Role.BODY
        own = (run_in_role(head) if paragraph.kind is Kind.PROSE else None) or role
        yield paragraph if paragraph.role is Role.CONTENTS else replace(paragraph, role=own)


def _closes(role: Role, kind: Kind, head: str) -> bool:
    """Whether a paragraph begins another section: after contents the first prose, after references a numbered heading.

    Short lines abound in references, and most of them look like headings.
    """
    if role is Role.CONTENTS:
        return kind is Kind.PROSE
    return kind is Kind.HEADING and (role is not Role.BACK or NUMBERING.match(head) is not None)
