"""Near-duplicates of recent texts: those that share most of their pairs of neighbouring words (Broder, SEQUENCES 1997).

A text is remembered by the `KEPT` smallest hashes of its pairs, from which the share of pairs that two texts have in
common (Jaccard) is estimated: exactly for texts of fewer pairs, else with a standard error of at most .06, and .04
where they are near (Cohen and Kaplan, PODC 2007). Near texts are found by the five smallest: two texts that share .85
have at least two of these in common in 998 of 1,000 cases.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from threading import Lock

import numpy as np
import numpy.typing as npt

SIMILAR = 0.85
"""Texts that share more of their pairs than this are near each other."""
FEWEST_WORDS = 30
KEPT, LOOKED_UP, IN_COMMON = 64, 5, 2
NEWEST = 32
"""Of the texts with one hash in common: where all are filled into one form, thousands have."""
_WORDS = re.compile(r"\w+")
_MOST_WORDS = 5_000

Hashes = npt.NDArray[np.uint64]


class Fingerprint:
    """The smallest hashes of a text's pairs of words, ascending, (at most `KEPT`,)."""

    __slots__ = ("hashes",)

    def __init__(self, hashes: Hashes) -> None:
        self.hashes = hashes

    def similarity(self, other: Fingerprint) -> float:
        """Which share of their pairs two texts have in common, about: 0 to 1."""
        smallest = np.union1d(self.hashes, other.hashes)[:KEPT]
        shared = np.intersect1d(self.hashes, other.hashes, assume_unique=True)
        return float(np.isin(smallest, shared, assume_unique=True).mean())

    @property
    def keys(self) -> list[int]:
        """What it is looked up by."""
        keys: list[int] = self.hashes[:LOOKED_UP].tolist()
        return keys


def fingerprint(text: str) -> Fingerprint | None:
    """By it near texts are found; None when the text is too short to tell. Another process gives other hashes."""
    words = _WORDS.findall(text[: _MOST_WORDS * 8].casefold())[:_MOST_WORDS]
    if len(words) < FEWEST_WORDS:
        return None
    # The interpreter's own hash takes a fifth of the time of one that would be the same in every process.
    hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    pairs = np.unique(_mixed(hashes[:-1] * np.uint64(0x100000001B3) ^ hashes[1:]))
    return Fingerprint(pairs[:KEPT].copy())


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class RecentTexts:
    """The fingerprints of the newest `bound` texts, each under a name; safe to use from several threads.

    They take about 1 KB each.
    """

    def __init__(self, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._added = 0
        self._texts: OrderedDict[int, tuple[Fingerprint, str]] = OrderedDict()
        self._numbers: dict[int, deque[int]] = {}
        self._lock = Lock()

    def near(self, mark: Fingerprint) -> str | None:
        """The name of a recent text that is near; None when there is none."""
        with self._lock:
            found = Counter(number for key in mark.keys for number in self._numbers.get(key, ()))
            for number, in_common in found.most_common():
                if in_common < IN_COMMON:
                    break
                text = self._texts.get(number)
                if text is not None and mark.similarity(text[0]) > SIMILAR:
                    return text[1]
        return None

    def add(self, mark: Fingerprint, name: str) -> None:
        """Remembers a text; the oldest is forgotten when there are too many."""
        with self._lock:
            self._added += 1
            self._texts[self._added] = mark, name
            for key in mark.keys:
                self._numbers.setdefault(key, deque(maxlen=NEWEST)).append(self._added)
            while len(self._texts) > self._bound:
                self._forget(next(iter(self._texts)))

    def _forget(self, number: int) -> None:
        mark, _ = self._texts.pop(number)
        for key in mark.keys:
            # All that is as old has been forgotten already, so nothing else can be the oldest of a hash that is left.
            numbers = self._numbers.get(key)
            if numbers and numbers[0] <= number:
                numbers.popleft()
            if not numbers:
                self._numbers.pop(key, None)
