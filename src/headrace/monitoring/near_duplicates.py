"""Near-duplicates of recent texts: those that share most of their pairs of neighbouring words (Broder, SEQUENCES 1997).

A text is remembered by the `KEPT` smallest hashes of its pairs, from which the share of pairs that two texts have in
common (Jaccard) is estimated: exactly for texts of fewer pairs, else with a standard error of at most .06, and .04
where they are near (Cohen and Kaplan, PODC 2007). Near texts are found by the five smallest: two texts that share .85
have at least two of these in common in 998 of 1,000 cases.
"""

from __future__ import annotations

import re
from array import array
from collections import OrderedDict
from itertools import combinations, pairwise
from threading import Lock

SIMILAR = 0.85
"""Texts that share more of their pairs than this are near each other."""
FEWEST_WORDS = 30
KEPT, LOOKED_UP, IN_COMMON = 64, 5, 2
NEWEST = 32
"""Of the texts with the same hashes: where all are filled into one form, thousands have."""
_MOST_WORDS = 5_000
_MOST_SIGNS = 8 * _MOST_WORDS
_LONG_WORD = 20
# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without spaces: each sign counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_SIZE = 30
_BITS = (1 << _SIZE) - 1
"""Of a hash: numbers that Python sorts in a third of the time of larger ones."""


class Fingerprint:
    """The smallest hashes of a text's pairs of words, ascending, at most `KEPT`."""

    __slots__ = ("hashes",)

    def __init__(self, hashes: array[int]) -> None:
        self.hashes = hashes

    def similarity(self, other: Fingerprint) -> float:
        """Which share of their pairs two texts have in common, about: 0 to 1."""
        return _similarity({*self.hashes}, other.hashes)

    @property
    def keys(self) -> list[int]:
        """What it is looked up by: each two of the smallest, so that who shares one shares `IN_COMMON`."""
        return [low << _SIZE | high for low, high in combinations(self.hashes[:LOOKED_UP], IN_COMMON)]


def _similarity(mine: set[int], others: array[int]) -> float:
    shared = mine.intersection(others)
    smallest = min(KEPT, len(mine) + len(others) - len(shared))
    if len(shared) <= SIMILAR * smallest:
        # At most so many; to say how many would take three times as long, and they are not near.
        return len(shared) / smallest
    return sum(each in shared for each in sorted(mine.union(others))[:smallest]) / smallest


def fingerprint(text: str) -> Fingerprint | None:
    """By it near texts are found; None when the text is too short to tell. Another process gives other hashes.

    Words are what stands between spaces. All of it is done by string and set, which hold the interpreter's lock:
    numpy gives that away at each step and gets it back late, which under load takes more time than the sums.
    """
    words = _words(text[:_MOST_SIGNS].casefold())
    if len(words) < FEWEST_WORDS:
        return None
    return Fingerprint(array("i", sorted({hash(pair) & _BITS for pair in pairwise(words)})[:KEPT]))


def _words(text: str) -> list[str]:
    words = text.split()
    if len(words) * _LONG_WORD < len(text):
        words = _SIGNS.findall(text)
    return words[:_MOST_WORDS]


class RecentTexts:
    """The fingerprints of the newest `bound` texts, each under a name; safe to use from several threads.

    They take about 2 KB each.
    """

    def __init__(self, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._added = 0
        self._texts: OrderedDict[int, tuple[Fingerprint, str]] = OrderedDict()
        self._numbers: dict[int, tuple[int, ...]] = {}
        self._lock = Lock()

    def near(self, mark: Fingerprint) -> str | None:
        """The name of the newest text that is near; None when there is none."""
        mine = {*mark.hashes}
        with self._lock:
            alike = {number for key in mark.keys for number in self._numbers.get(key, ())}
            for number in sorted(alike, reverse=True):
                other, name = self._texts[number]
                if _similarity(mine, other.hashes) > SIMILAR:
                    return name
        return None

    def add(self, mark: Fingerprint, name: str) -> None:
        """Remembers a text; the oldest is forgotten when there are too many. One that comes again is there once."""
        keys = mark.keys
        with self._lock:
            newest = self._numbers.get(keys[0], ())[-1:]
            if newest and self._texts[newest[0]][0].hashes == mark.hashes:
                self._texts[newest[0]] = mark, name
                self._texts.move_to_end(newest[0])
                return
            self._added += 1
            self._texts[self._added] = mark, name
            for key in keys:
                self._numbers[key] = (*self._numbers.get(key, ()), self._added)[-NEWEST:]
            if len(self._texts) > self._bound:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        number, (mark, _) = self._texts.popitem(last=False)
        for key in mark.keys:
            left = tuple(each for each in self._numbers.get(key, ()) if each != number)
            if left:
                self._numbers[key] = left
            else:
                self._numbers.pop(key, None)
