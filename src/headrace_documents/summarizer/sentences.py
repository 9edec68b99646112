"""Sentences of a text: where each begins and ends, in languages with and without full stops, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from headrace_documents.summarizer.abbreviations import (
    BEFORE_NUMBER,
    NEVER_LAST,
    ORDINAL_LANGUAGES,
    SOMETIMES_LAST,
    STARTERS,
)

LONGEST = 1_000
"""No sentence has more characters: what goes on without a stop is parted where it hurts least."""
BRACKETS_WITHIN = 240
PHRASE = 60

_WIDE = "。！？｡．"
_OWN = "؟۔।॥։።။។"
_MARKS = re.compile(
    rf"(?P<mark>[.!?…‽{_WIDE}{_OWN}]+)"
    r"(?P<close>[\"'”’»›)\]」』）】》〉]*)"
    # A footnote's number clings to the stop in PDFs: "as measured.12 The".
    r"(?P<note>\[\d{1,3}(?:[,–-]\s?\d{1,3}){0,5}\]|(?<=[^\W\d_]\.)\d{1,2}(?=\s))?"
)
_GREEK_QUESTION = re.compile(r"(?P<mark>[.!?…;\u037e]+)(?P<close>[\"'”’»›)\]]*)(?P<note>(?!))?")
_WORD = re.compile(r"[^\W\d_]+")
_SHORTENED = re.compile(r"([^\W\d_]{1,6})\.(?=\s?[,;:]|\s([^\W\d_]))")
_NEXT = re.compile(r"[\s\"'“”‘’«»‹›„‚(\[¿¡「『（【《–—-]*")
_TOKEN = re.compile(r"[^\s\"'“”‘’«»‹›„‚(\[「『（]*$")
_LETTERS_WITH_STOPS = re.compile(r"(?:[^\W\d_]{1,3}\.)+[^\W\d_]{1,3}$")
_NUMBER = re.compile(r"(?:\d{1,3}|[IVXLC]{2,6})$")
_INITIAL = re.compile(r"[^\W\d_]\.")
_SOFT = re.compile(r"[;:,،、；：，]\s?|\s")
_NO_STOPS = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff]")
_VOWELS = frozenset("aeiouyáàâäãåæéèêëíìîïóòôöõøœúùûüýаеёиоуыэюяіїєαεηιουωάέήίόύώ")
_LOOK_BACK = 40


@dataclass(frozen=True, slots=True)
class Span:
    """The characters `[start, end)` of a text."""

    start: int
    end: int


class SentenceSplitter:
    """Parts passages of one text, having learnt from the whole of it which words are written small, and which short.

    After Kiss and Strunk (2006): what stands before a stop and a small letter is an abbreviation here, and a capital
    word that is elsewhere written small begins a sentence.
    """

    def __init__(self, characters: str, language: str | None) -> None:
        self._characters = characters
        self._has_ordinals = language in ORDINAL_LANGUAGES
        self._marks = _GREEK_QUESTION if language == "el" else _MARKS
        self._small = {word for word in _WORD.findall(characters) if word.islower()} | STARTERS
        # Scripts without small letters tell nothing of what goes on after a stop.
        self._short = {word.lower() for word, after in _SHORTENED.findall(characters) if not after or after.islower()}

    def split(self, start: int, end: int) -> list[Span]:
        """The sentences within `[start, end)`, in order, without the white space around them; none is empty."""
        spans: list[Span] = []
        begun = start
        for match in self._marks.finditer(self._characters, start, end):
            after = match.end()
            if after < end and not self._ends_sentence(match, begun, end):
                continue
            spans += self._bounded(begun, after)
            begun = after
        spans += self._bounded(begun, end)
        return spans

    def _bounded(self, start: int, end: int) -> Iterator[Span]:
        characters = self._characters
        start, end = trimmed(characters, start, end)
        if _is_unstopped(characters, start, end):
            yield from _phrases(characters, start, end)
            return
        while end - start > LONGEST:
            cut = _soft_cut(characters, start, start + LONGEST)
            yield Span(*trimmed(characters, start, cut))
            start, _ = trimmed(characters, cut, end)
        if start < end:
            yield Span(start, end)

    def _ends_sentence(self, match: re.Match[str], begun: int, end: int) -> bool:
        characters, after = self._characters, match.end()
        last = match["mark"][-1]
        if last in _WIDE:
            return not (match["close"] and characters[after] in "とってと") and not characters[after].isdigit()
        if last in _OWN:
            return True
        if not characters[after].isspace():
            return False
        following = _NEXT.match(characters, after, end)
        position = following.end() if following else after
        if position >= end:
            return True
        if characters[position].islower() or self._is_bracketed(begun, match.start(), end):
            return False
        return match["mark"] != "." or self._is_full_stop(begun, match.start(), position)

    def _is_full_stop(self, begun: int, stop: int, position: int) -> bool:
        """Whether the stop at `stop` ends more than an abbreviation, a name's initial or an ordinal number."""
        characters = self._characters
        found = _TOKEN.search(characters[max(begun, stop - _LOOK_BACK) : stop])
        token = found.group() if found else ""
        lowered = token.lower()
        if not token:
            return True
        if _NUMBER.match(token):
            is_numbering = stop - begun <= 8 and not characters[begun : stop - len(token)].strip(" ([\n\t")
            may_be_ordinal = self._has_ordinals and len(token) <= 2
            return not is_numbering and (not may_be_ordinal or self._begins_sentence(position))
        if lowered in NEVER_LAST or (len(token) == 1 and _INITIAL.match(characters, position)):
            return False
        if lowered in BEFORE_NUMBER and characters[position].isdigit():
            return False
        return not self._may_be_short(token, lowered) or self._begins_sentence(position)

    def _may_be_short(self, token: str, lowered: str) -> bool:
        return (
            (len(token) == 1 and token.isupper())
            or lowered in SOMETIMES_LAST
            or lowered in self._short
            or _LETTERS_WITH_STOPS.match(token) is not None
            or (1 < len(token) <= 4 and token.isalpha() and not token.isupper() and _has_no_vowel(lowered))
        )

    def _begins_sentence(self, position: int) -> bool:
        """Whether the word at `position` is one that is written small elsewhere, or of a script without small ones."""
        word = _WORD.match(self._characters, position)
        if word is None:
            return True
        return word.group().lower() in self._small or word.group().lower() == word.group().upper()

    def _is_bracketed(self, begun: int, stop: int, end: int) -> bool:
        """Whether `stop` lies inside brackets that close soon: "(Smith et al. 1998. See there.)"."""
        before = self._characters[max(begun, stop - BRACKETS_WITHIN) : stop]
        if before.count("(") <= before.count(")"):
            return False
        ahead = self._characters[stop : min(end, stop + BRACKETS_WITHIN)]
        close = ahead.find(")")
        return close > 0 and "(" not in ahead[:close]


def trimmed(characters: str, start: int, end: int) -> tuple[int, int]:
    """`[start, end)` without the white space at its ends; both are `end` when there is nothing else."""
    while start < end and characters[start].isspace():
        start += 1
    while end > start and characters[end - 1].isspace():
        end -= 1
    return start, end


def _has_no_vowel(lowered: str) -> bool:
    return lowered[0] < "\u0590" and not _VOWELS.intersection(lowered)


def _is_unstopped(characters: str, start: int, end: int) -> bool:
    """Whether this is long and of a script that has no full stop: Thai, Lao, Khmer."""
    if end - start <= PHRASE:
        return False
    sample = characters[start : min(end, start + 200)]
    return 2 * len(_NO_STOPS.findall(sample)) > len(sample)


def _phrases(characters: str, start: int, end: int) -> Iterator[Span]:
    """Cut at spaces, which part phrases in such scripts, into pieces of at least `PHRASE` characters."""
    while start < end:
        cut = start + PHRASE
        while cut < end and cut - start < LONGEST and not characters[cut].isspace():
            cut += 1
        cut = min(cut, end)
        # A short rest belongs to what it follows.
        rest_is_short = end - cut < PHRASE // 3 and end - start <= LONGEST
        cut = end if rest_is_short else cut
        yield Span(start, cut)
        start, _ = trimmed(characters, cut, end)


def _soft_cut(characters: str, start: int, limit: int) -> int:
    """The last place in the second half of `[start, limit)` after a comma or a space; `limit` when there is none."""
    cut = limit
    for match in _SOFT.finditer(characters, (start + limit) // 2, limit):
        cut = match.end()
    return cut
