"""Near-duplicates of recent texts, by SimHash (Charikar, STOC 2002) over pairs of neighbouring words.

Texts whose fingerprints differ in at most `DISTANCE` of 64 bits are near each other (Manku, Jain and Das Sarma,
WWW 2007). They are found by bands: of four bands of 16 bits at least one is equal when at most three bits differ.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from threading import Lock

import numpy as np

DISTANCE = 3
FEWEST_WORDS = 30
_WORDS = re.compile(r"\w+")
_MOST_WORDS = 5_000
_BANDS = 4


def fingerprint(text: str) -> int | None:
    """64 bits of which near texts share most; None when the text is too short to tell. Another process gives others."""
    words = _WORDS.findall(text[: _MOST_WORDS * 8].casefold())[:_MOST_WORDS]
    if len(words) < FEWEST_WORDS:
        return None
    # The interpreter's own hash takes a fifth of the time of one that would be the same in every process.
    hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    pairs = np.unique(_mixed(hashes[:-1] * np.uint64(0x100000001B3) ^ hashes[1:]))
    bits = np.unpackbits(pairs.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=0, dtype=np.int64)
    return int.from_bytes(np.packbits(bits * 2 > len(pairs)).tobytes(), "big")


def _mixed(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class RecentTexts:
    """The fingerprints of the newest `bound` texts, each under a name; safe to use from several threads."""

    def __init__(self, *, bound: int = 10_000) -> None:
        self._bound = bound
        self._names: OrderedDict[int, str] = OrderedDict()
        self._bands: dict[tuple[int, int], set[int]] = {}
        self._lock = Lock()

    def near(self, mark: int) -> str | None:
        """The name of a recent text that is near; None when there is none."""
        with self._lock:
            for band in _bands(mark):
                for other in self._bands.get(band, ()):
                    if (other ^ mark).bit_count() <= DISTANCE:
                        return self._names[other]
        return None

    def add(self, mark: int, name: str) -> None:
        """Remembers a text; the oldest is forgotten when there are too many."""
        with self._lock:
            self._names[mark] = name
            self._names.move_to_end(mark)
            for band in _bands(mark):
                self._bands.setdefault(band, set()).add(mark)
            while len(self._names) > self._bound:
                self._forget(next(iter(self._names)))

    def _forget(self, mark: int) -> None:
        del self._names[mark]
        for band in _bands(mark):
            self._bands[band].discard(mark)
            if not self._bands[band]:
                del self._bands[band]


def _bands(mark: int) -> list[tuple[int, int]]:
    return [(place, mark >> 16 * place & 0xFFFF) for place in range(_BANDS)]
