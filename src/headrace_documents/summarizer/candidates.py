"""The sentences that may stand in a summary: those of prose and lists, on one line each, with their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headrace_documents.schema import Text
from headrace_documents.summarizer.headings import Role
from headrace_documents.summarizer.paragraphs import Kind, Paragraph
from headrace_documents.summarizer.scripts import UNSPACED, is_dense, word_count
from headrace_documents.summarizer.sentences import SentenceSplitter

# Joiners are letters of Persian, Urdu and the scripts of India, and hold pictures of people together: they stay.
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])[-‐]\s*[\n\r]\s*(?=[^\W\d_])")
_BROKEN_LINE = re.compile(rf"(?<=[{UNSPACED}])[ \t]*[\n\r]\s*(?=[{UNSPACED}])")
_CELLS = re.compile(r"\s*\t\s*|\s{3,}")
_LABELLED = re.compile(r"(?<=:)(?:\s*\t\s*|\s{3,})")
"""What parts a cell that is a label, such as `Town:`, from its value."""
_WORD = re.compile(r"[^\W\d_]+")
_LETTERS = re.compile(r"[^\W\d_]|[\u0900-\u0dff\u0e30-\u0e4e]")
FEWEST_WORDS = 3
FEWEST_LETTER_WORDS = 2
LETTERS_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sentence or line: its characters `[start, end)` of the text, and how it reads on one line.

    `words` counts words; for scripts without spaces two characters count as one.
    """

    start: int
    end: int
    text: str
    words: int
    kind: Kind
    role: Role


def sentences_among(text: Text, paragraphs: Sequence[Paragraph]) -> list[Candidate]:
    """The sentences of what `paragraphs` say in prose, in the order in which they are read."""
    last = paragraphs[-1].end if paragraphs else 0
    splitter = SentenceSplitter(text.characters[:last], text.document.language)
    return [
        candidate
        for paragraph in paragraphs
        if paragraph.kind in (Kind.PROSE, Kind.ITEM) and paragraph.role not in (Role.BACK, Role.CONTENTS)
        for candidate in _sentences(text.characters, paragraph, splitter)
    ]


def line_of(characters: str, paragraph: Paragraph) -> Candidate:
    """A whole paragraph as one candidate: a field, a row with its cells parted by bars, a heading."""
    return _candidate(characters, paragraph.start, paragraph.end, paragraph)


def shortened(candidate: Candidate, source: str, *, characters: int | None, words: int | None) -> Candidate | None:
    """`candidate` cut at the end of a word, with a sign that it was cut; None when not even one word has room.

    It ends where what is left of it ends in `source`, the text that it is of.
    """
    text = candidate.text
    if characters is not None and len(text) > characters:
        text = text[: max(characters - 1, 0)]
        space = text.rfind(" ")
        text = text[:space] if space > 0 else text
    while words is not None and text and word_count(text) > words:
        space = text.rfind(" ")
        text = text[:space] if space > 0 else text[: 2 * words]
    text = text.rstrip() if text == candidate.text else text.rstrip(" |")
    if not text:
        return None
    if text == candidate.text:
        return candidate
    return replace(candidate, text=f"{text}…", words=word_count(text), end=_end_of(text, source, candidate))


def _end_of(line: str, source: str, candidate: Candidate) -> int:
    """Behind the last character of `line` in the `source` that the candidate was written on one line from."""
    position = candidate.start
    for character in line:
        ahead = position
        while ahead < candidate.end and source[ahead] != character and _may_be_gone(source[ahead]):
            ahead += 1
        # A bar between cells, or a hyphen in the place of another, is not of the source.
        if ahead < candidate.end and source[ahead] == character:
            position = ahead + 1
    return max(position, candidate.start + 1)


def _may_be_gone(character: str) -> bool:
    return character.isspace() or character in "-‐" or _INVISIBLE.match(character) is not None


def one_line(source: str) -> str:
    """`source` on one line: words that a line's end broke are whole again, white space is single, controls are gone."""
    joined = _BROKEN_LINE.sub("", _BROKEN_WORD.sub(_mended, source))
    return " ".join(_INVISIBLE.sub("", joined).split())


def _mended(broken: re.Match[str]) -> str:
    """Nothing between two small letters, where the hyphen was the line's; a hyphen where it was the word's own."""
    before, after = broken.string[broken.start() - 1], broken.string[broken.end()]
    return "" if before.islower() and after.islower() else "-"


def _sentences(characters: str, paragraph: Paragraph, splitter: SentenceSplitter) -> Iterator[Candidate]:
    for span in splitter.split(paragraph.start, paragraph.end):
        candidate = _candidate(characters, span.start, span.end, paragraph)
        if is_sentence(candidate):
            yield candidate


def _candidate(characters: str, start: int, end: int, paragraph: Paragraph) -> Candidate:
    source = characters[start:end]
    line = one_line(_CELLS.sub(" | ", _LABELLED.sub(" ", source)) if paragraph.kind is Kind.ROW else source)
    return Candidate(start, end, line, word_count(line), paragraph.kind, paragraph.role)


def is_sentence(candidate: Candidate) -> bool:
    """Whether this reads as a sentence: some words, mostly letters, and not the torn-off end of another."""
    line = candidate.text
    if candidate.words < FEWEST_WORDS or (len(_WORD.findall(line)) < FEWEST_LETTER_WORDS and not is_dense(line)):
        return False
    if line[0].islower() and candidate.kind is not Kind.ITEM:
        return False
    dense = line.replace(" ", "")
    return len(_LETTERS.findall(dense)) >= LETTERS_SHARE * len(dense)
