"""Whether the words that a PDF gives for a page can be those that it shows: some fonts do not say what they draw.

A page is asked about a few dozen of its characters and never about all of them: asking is what makes reading slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FEW_WORDS, MANY_WORDS = 48, 200
UNMAPPED_SHARE = 0.1
"""From this share of unmapped characters on a page is read by OCR. One in ten leaves hardly every second word whole,
and takes it further from what is shown than OCR of a clean page does, which errs in one of a hundred."""
LEAST_OF_CODES, LEAST_OF_TEXT, SURE = 0.4, 0.2, 0.5
"""How much a text has to be like some language. Codes that are words all the same, as those of many Type 3 fonts are,
are kept; mapped text that is like none is held against OCR. Four in five of pages whose letters were exchanged
are below 0.2; program listings and Lorem ipsum are at 0.22 and more, all other real pages that were tried above 0.3."""
SAMPLE, FEWEST_LETTERS = 600, 200
_MEANINGLESS = re.compile(
    "[\x01\x03-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd\U000f0000-\U0010fffd]|[\ufffe\x02]{2,}"
)
# Text that pdfium gives for a word broken at the end of a line has one of these signs, never several.

Likeness = Callable[[str], float]
"""How much a text is like the language that it is most like, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """The `share` of a page's characters for which its fonts tell no letter.

    `codes` are some of the words that they stand in, written by the numbers of their glyphs; empty where what is
    written is not even a letter.
    """

    share: float = 0.0
    codes: str = ""

    def is_illegible(self, likeness: Likeness) -> bool:
        """Whether so much is missing that the page has to be read from its picture."""
        if self.share < UNMAPPED_SHARE:
            return False
        return not self.codes or likeness(self.codes) < LEAST_OF_CODES


def unmapped_of(text: str, words: Sequence[re.Match[str]], is_unmapped: Callable[[int], bool]) -> Unmapped:
    """What is unmapped of a page's `text`; `is_unmapped` asks the engine about the character at a position of it."""
    meaningless = sum(map(len, _MEANINGLESS.findall(text))) if _MEANINGLESS.search(text) else 0
    meaningless_share = min(1.0, meaningless / max(1, sum(len(word[0]) for word in words)) if meaningless else 0.0)
    asked = _spread(words, FEW_WORDS)
    coded = [word[0] for word in asked if is_unmapped(_middle(word))]
    if meaningless or coded:
        asked = _spread(words, MANY_WORDS)
        coded = [word[0] for word in asked if is_unmapped(_middle(word))]
    coded_share = sum(map(len, coded)) / max(1, sum(len(word[0]) for word in asked))
    if meaningless_share >= UNMAPPED_SHARE:
        return Unmapped(max(meaningless_share, coded_share))
    return Unmapped(coded_share, " ".join(coded))


def is_like_no_language(text: str, likeness: Likeness) -> bool:
    """Whether a text is long enough to be like some language and is not: its letters are not those that are shown."""
    start = max(0, len(text) // 2 - SAMPLE // 2)
    sample = text[start : start + SAMPLE]
    return sum(map(str.isalpha, sample)) >= FEWEST_LETTERS and likeness(sample) < LEAST_OF_TEXT


def _spread(words: Sequence[re.Match[str]], count: int) -> Sequence[re.Match[str]]:
    """At most `count` of the words, evenly over the page."""
    return words[:: max(1, -(-len(words) // count))]


def _middle(word: re.Match[str]) -> int:
    return (word.start() + word.end()) // 2
