"""Near-duplicates of recent texts: those that share most of their pairs of neighbouring words (Broder, SEQUENCES 1997).

A text is remembered by the `KEPT` smallest hashes of its pairs, from which the share of pairs that two texts have in
common (Jaccard) is estimated: exactly for texts of fewer pairs, else with a standard error of at most .06, and .04
where they are near (Cohen and Kaplan, PODC 2007). Near texts are found by the five smallest: two texts that share .85
have at least two of these in common in 998 of 1,000 cases.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import chain, combinations, pairwise
from threading import Lock
from typing import Protocol

SIMILAR = 0.85
"""Texts that share more of their pairs than this are near each other."""
FEWEST_WORDS = 30
KEPT, LOOKED_UP, IN_COMMON = 64, 5, 2
GLANCED_AT = 16
ELSEWHERE = "an input of another process"
NEWEST = 32
"""Of the texts with the same hashes: where all are filled into one form, thousands have."""
_FEWEST_BELOW = 2 / 3
_MOST_WORDS = 5_000
_MOST_SIGNS = 8 * _MOST_WORDS
_LONG_WORD = 20
# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without spaces: each sign counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_HASHES = 1 << sys.hash_info.width
_SURELY_KEPT = 96
"""Hashes below a bound that so many of a text are expected to pass are next to never fewer than `KEPT`."""


class Fingerprint:
    """The smallest hashes of a text's pairs of words, ascending, at most `KEPT`; 64 bits each."""

    __slots__ = ("hashes", "keys", "whole")

    def __init__(self, hashes: array[int]) -> None:
        self.hashes = hashes
        self.whole = hash(hashes.tobytes())
        """What the same text is looked up by."""
        self.keys = [hash(some) for some in combinations(hashes[:LOOKED_UP], IN_COMMON)]
        """What near ones are looked up by: each two of the smallest, so that who shares one shares `IN_COMMON`."""

    def similarity(self, other: Fingerprint) -> float:
        """Which share of their pairs two texts have in common, about: 0 to 1."""
        return _similarity({*self.hashes}, other.hashes)


def _is_much_longer(hashes: array[int], others: array[int]) -> bool:
    """Whether one of two texts has so many pairs more that they cannot be near, but for 1 of 10,000 that are.

    Of near texts most hashes of either lie below the largest that is kept of the other. To see that they do not takes a
    tenth of the time of comparing them; a page has the smallest hashes in common with the whole more often than not.
    """
    longer, shorter = (hashes, others) if hashes[-1] < others[-1] else (others, hashes)
    return bisect_right(shorter, longer[-1]) < _FEWEST_BELOW * len(shorter)


def _may_be_near(mine: set[int], others: array[int]) -> bool:
    """False for most of those that are not: too few of the first hashes are in common.

    Of `GLANCED_AT`, near texts have half in common in 9,998 of 10,000 cases, and to look at all takes four times as
    long: forms that are filled in have a few in common with many.
    """
    return 2 * len(mine.intersection(others[:GLANCED_AT])) >= min(GLANCED_AT, len(others))


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
    return Fingerprint(array("q", _smallest(words)))


def _smallest(words: Sequence[str]) -> list[int]:
    """The smallest hashes of pairs: most pairs of a text of any length need neither be told apart nor put in order."""
    if len(words) > _SURELY_KEPT:
        bound = _HASHES * _SURELY_KEPT // len(words) - _HASHES // 2
        found = sorted({each for each in map(hash, pairwise(words)) if each < bound})
        # Fewer where the same pairs come again and again.
        if len(found) >= KEPT:
            return found[:KEPT]
    return sorted(set(map(hash, pairwise(words))))[:KEPT]


def _words(text: str) -> list[str]:
    words = text.split()
    if len(words) * _LONG_WORD < len(text):
        words = _SIGNS.findall(text)
    return words[:_MOST_WORDS]


class Others(Protocol):
    """Processes beside this one that look at texts too."""

    def tell(self, mark: Fingerprint) -> None:
        """Lets them know of a text; never waits."""
        ...

    def heard(self) -> Iterable[Fingerprint]:
        """The texts that they have told of since this was last asked; never waits."""
        ...


class RecentTexts:
    """The fingerprints of the newest `bound` texts, each under a name; safe to use from several threads.

    They take about 2 KB each. What `others` have seen, in processes beside this one, is remembered like its own.
    """

    def __init__(self, *, bound: int = 10_000, others: Others | None = None) -> None:
        self._bound = bound
        self._others = others
        self._added = 0
        self._texts: OrderedDict[int, tuple[Fingerprint, str]] = OrderedDict()
        self._numbers: dict[int, tuple[int, ...]] = {}
        self._same: dict[int, int] = {}
        self._lock = Lock()

    def near(self, mark: Fingerprint) -> str | None:
        """The name of the same text, else of the newest that is near; None when there is none."""
        with self._lock:
            if self._others is not None:
                for other in self._others.heard():
                    self._add(other, ELSEWHERE)
            if (same := self._same.get(mark.whole)) is not None:
                return self._texts[same][1]
            alike = [*filter(None, map(self._numbers.get, mark.keys))]
            mine: set[int] = set()
            for number in sorted({*chain.from_iterable(alike)}, reverse=True):
                other, name = self._texts[number]
                if _is_much_longer(mark.hashes, other.hashes):
                    continue
                mine = mine or {*mark.hashes}
                if _may_be_near(mine, other.hashes) and _similarity(mine, other.hashes) > SIMILAR:
                    return name
        return None

    def add(self, mark: Fingerprint, name: str) -> None:
        """Remembers a text; the oldest is forgotten when there are too many. One that comes again is there once."""
        with self._lock:
            if self._add(mark, name) and self._others is not None:
                self._others.tell(mark)

    def _add(self, mark: Fingerprint, name: str) -> bool:
        """Whether it was not there yet."""
        same = self._same.get(mark.whole)
        if same is not None:
            self._texts[same] = mark, name
            self._texts.move_to_end(same)
            return False
        self._added += 1
        self._texts[self._added] = mark, name
        self._same[mark.whole] = self._added
        alone = (self._added,)
        for key in mark.keys:
            # Most have keys that no other has.
            if (known := self._numbers.setdefault(key, alone)) is not alone:
                self._numbers[key] = (*known, self._added)[-NEWEST:]
        if len(self._texts) > self._bound:
            self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        number, (mark, _) = self._texts.popitem(last=False)
        del self._same[mark.whole]
        for key in mark.keys:
            left = tuple(each for each in self._numbers.get(key, ()) if each != number)
            if left:
                self._numbers[key] = left
            else:
                self._numbers.pop(key, None)
