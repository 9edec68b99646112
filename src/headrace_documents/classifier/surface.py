"""The words of a text as they stand in it, in any script."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Scripts that put no space between words: each character counts as a word, and pairs of them do the rest.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LONGEST_WORD = 64


def _marks() -> str:
    """Combining marks as ranges of a character class: vowels of Hindi or Thai are marks and belong to their word."""
    points = [point for point in range(0x300, 0x20000) if unicodedata.category(chr(point)).startswith("M")]
    known = set(points)
    starts = (point for point in points if point - 1 not in known)
    ends = (point for point in points if point + 1 not in known)
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


_MARKS = _marks()
_WORD = re.compile(f"[{_UNSPACED}][{_MARKS}]*|[^\\W{_UNSPACED}]+(?:[{_MARKS}]+[^\\W{_UNSPACED}]*)*")


_ALL_UNSPACED = re.compile(f"[{_UNSPACED}{_MARKS}]+")


def is_unspaced(key: str) -> bool:
    """Whether `key` is of a script that puts no space between words, so that it is one letter of a word."""
    return _ALL_UNSPACED.fullmatch(key) is not None


@dataclass(frozen=True, slots=True)
class Surface:
    """The words of a text: word i is `[bounds[2 i], bounds[2 i + 1])` and of the distinct kind `keys[kinds[i]]`.

    `bounds` (2 words,), `kinds` (words,): int64, the bounds sorted. Keys are casefolded and normalised (NFKC), so that
    one word is one key however it is written. Of each kind `firsts` has the number of its first word, `counts` (kinds,)
    how often it stands. `slots` (2 words + 1,): kind + 1 between the bounds of a word, 0 between words.
    """

    characters: str
    bounds: Ints
    kinds: Ints
    slots: Ints
    keys: list[str]
    firsts: list[int]
    counts: Ints

    @property
    def starts(self) -> Ints:
        """Where each word starts, (words,)."""
        return self.bounds[::2]

    @property
    def ends(self) -> Ints:
        """Where each word ends, (words,)."""
        return self.bounds[1::2]

    def owners(self, ends: Ints) -> Ints:
        """For tokens that end at `ends` (n,): 1 + the kind of the word that each belongs to, 0 for those in no word."""
        return self.slots[self.bounds.searchsorted(ends)]


def surface_of(characters: str) -> Surface:
    """The words of `characters`; a run of more than 64 letters without a break counts by its first 64."""
    numbers: dict[str, int] = {}
    bounds: list[int] = []
    kinds: list[int] = []
    firsts: list[int] = []
    for match in _WORD.finditer(characters):
        key = match.group()[:_LONGEST_WORD].casefold()
        if not key.isascii():
            key = unicodedata.normalize("NFKC", key)
        kind = numbers.get(key)
        if kind is None:
            kind = numbers[key] = len(numbers)
            firsts.append(len(kinds))
        bounds += match.span()
        kinds.append(kind)
    numbered = np.array(kinds, np.int64)
    slots = np.zeros(2 * len(kinds) + 1, np.int64)
    slots[1::2] = numbered + 1
    return Surface(
        characters,
        bounds=np.array(bounds, np.int64),
        kinds=numbered,
        slots=slots,
        keys=list(numbers),
        firsts=firsts,
        counts=np.bincount(numbered, minlength=len(numbers)),
    )
