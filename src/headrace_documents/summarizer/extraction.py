"""The extractive summary: which of a text's own sentences, or failing these of its lines, stand for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace_documents.schema import Text
from headrace_documents.summarizer.candidates import Candidate, line_of, sentences_among, shortened
from headrace_documents.summarizer.headings import Role
from headrace_documents.summarizer.key_lines import fact_weights
from headrace_documents.summarizer.paragraphs import Kind, Paragraph, paragraphs_of
from headrace_documents.summarizer.salience import LineVectors, salience
from headrace_documents.summarizer.selection import Length, select
from headrace_documents.summarizer.terms import Floats, weigh

PROSE_SHARE = 0.4
"""Below this share of sentences in a short text, its lines are weighed too."""

SHORT_CHARACTERS = 4_000
FULL_SENTENCE_WORDS = 6


@dataclass(frozen=True, slots=True)
class Extract:
    """The candidates taken, in reading order, with a score of at most 1 each; `method` is how they were found."""

    method: str
    taken: tuple[Candidate, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A text as a summariser sees it."""

    paragraphs: tuple[Paragraph, ...]
    sentences: tuple[Candidate, ...]
    title: str


NOTHING = Extract("none", (), ())


def outline_of(text: Text, *, limit: int) -> Outline:
    """The paragraphs and sentences among the first `limit` characters, and the title."""
    paragraphs = paragraphs_of(text, limit=limit)
    sentences = sentences_among(text, paragraphs)
    return Outline(tuple(paragraphs), tuple(sentences), _title(text, paragraphs))


def extract(text: Text, outline: Outline, *, length: Length, vectors: LineVectors | None) -> Extract:
    """The most telling sentences; of a text that is mostly fields, rows and headings, the most telling lines."""
    sentences = outline.sentences
    terms = weigh([sentence.text for sentence in sentences])
    scores = salience(sentences, terms, title=outline.title, vectors=vectors)
    if _is_prose(outline, length):
        numbers = select(sentences, scores, terms, length)
        return _drawn("extractive", sentences, scores, numbers, length=length, source=text.characters)
    lines = all_lines(text.characters, outline)
    shares = dict(zip((each.start for each in sentences), _shares(scores).tolist(), strict=True))
    weights = fact_weights(lines, title=outline.title, sentence_scores=shares)
    numbers = select(lines, weights, weigh([line.text for line in lines]), length)
    return _drawn("key_lines", lines, weights, numbers, length=length, source=text.characters)


def lead(text: Text, *, length: Length, limit: int) -> Extract:
    """The first sentences, at next to no cost."""
    outline = outline_of(text, limit=limit)
    candidates = outline.sentences or tuple(all_lines(text.characters, outline))
    scores = np.linspace(1.0, 0.5, num=len(candidates))
    numbers = select(candidates, scores, weigh([each.text for each in candidates]), length)
    return _drawn("lead", candidates, scores, numbers, length=length, source=text.characters)


def _drawn(
    method: str, candidates: Sequence[Candidate], scores: Floats, numbers: Sequence[int], *, length: Length, source: str
) -> Extract:
    if not numbers:
        # Not one sentence is short enough: the best is cut rather than nothing said.
        worthy = [
            number
            for number in np.argsort(-scores, kind="stable").tolist()
            if any(map(str.isalnum, candidates[number].text))
        ]
        cut = (
            shortened(candidates[worthy[0]], source, characters=length.characters, words=length.words)
            if worthy
            else None
        )
        return Extract(method, (cut,), (1.0,)) if cut is not None else NOTHING
    shares = _shares(scores)
    return Extract(method, tuple(candidates[number] for number in numbers), tuple(shares[list(numbers)].tolist()))


def _shares(scores: Floats) -> Floats:
    """`scores` so that the best is 1 and none is below 0."""
    top = float(scores.max(initial=0.0))
    shares: Floats = np.clip(scores / top, 0.0, 1.0) if top > 0 else np.zeros(len(scores))
    return shares


def _is_prose(outline: Outline, length: Length) -> bool:
    full = [sentence for sentence in outline.sentences if sentence.words >= FULL_SENTENCE_WORDS]
    if len(full) < min(length.sentences, 3):
        return False
    spoken = sum(each.end - each.start for each in full)
    total = sum(each.end - each.start for each in outline.paragraphs)
    return spoken >= PROSE_SHARE * total or spoken >= SHORT_CHARACTERS


def all_lines(characters: str, outline: Outline) -> list[Candidate]:
    """Sentences and the lines that are none, in reading order; only those with a letter or a digit."""
    silent = (Role.BACK, Role.CONTENTS)
    spoken = {sentence.start for sentence in outline.sentences}
    within = np.array(sorted(spoken), dtype=np.int64)
    lines = list(outline.sentences)
    for paragraph in outline.paragraphs:
        first, last = np.searchsorted(within, [paragraph.start, paragraph.end])
        if first == last and paragraph.role not in silent:
            lines.append(line_of(characters, paragraph))
    return sorted((line for line in lines if any(map(str.isalnum, line.text))), key=lambda line: line.start)


def _title(text: Text, paragraphs: Sequence[Paragraph]) -> str:
    """The document's own title when its words occur in the text; else the first heading."""
    told = " ".join((text.document.title or "").split())
    head = text.characters[: paragraphs[min(len(paragraphs), 40) - 1].end].casefold() if paragraphs else ""
    words = [word for word in told.casefold().split() if len(word) > 3]
    if told and (not words or any(word in head for word in words)):
        return told
    first = next((each for each in paragraphs[:10] if each.kind is Kind.HEADING), None)
    return " ".join(text.characters[first.start : first.end].split()) if first else ""
