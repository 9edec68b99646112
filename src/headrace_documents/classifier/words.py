"""Words, pairs of words and the character n-grams inside words, as sparse TF-IDF features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field

import numpy as np
import numpy.typing as npt

from headrace_documents.classifier.surface import Ints, Surface
from headrace_documents.classifier.terms import Terms

Floats = npt.NDArray[np.float32]

SHORTEST_GRAM = 3
LONGEST_GRAM = 5
_REMEMBERED_WORDS = 8_192


@dataclass(frozen=True, slots=True)
class Entries:
    """The features of one text by who they belong to: `values` of `columns` owned by `owners`, all (entries,).

    A column may occur several times: its feature is the sum. Owners below `len(surface.keys)` are words of that kind,
    owners from there on are pairs, in their order.
    """

    owners: Ints
    columns: Ints
    values: Floats


@dataclass(slots=True, eq=False, weakref_slot=True)
class Vocabulary:
    """Which words, pairs and n-grams count, and how rare each is: `idf` (columns,) float32, words first, then n-grams.

    The value of a term that occurs n times is (1 + ln n) idf; words with pairs, and n-grams, are each scaled to a
    length of 1 (Salton and Buckley, 1988). Heads that were taught with the same terms may share one.
    """

    words: Terms = field(init=False)
    grams: Terms = field(init=False)
    listed_words: InitVar[Sequence[str]]
    listed_grams: InitVar[Sequence[str]]
    idf: Floats
    _grams_of: dict[str, Ints] = field(init=False, default_factory=dict)

    def __post_init__(self, listed_words: Sequence[str], listed_grams: Sequence[str]) -> None:
        self.words, self.grams = Terms(listed_words), Terms(listed_grams)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.words) + len(self.grams)

    def entries(self, surface: Surface, pairs: Ints) -> Entries:
        """The features of a text, with the distinct `pairs` of its words."""
        counts = surface.counts
        terms = surface.keys + [f"{surface.keys[a]} {surface.keys[b]}" for a, b in pairs[:, :2].tolist()]
        found = self.words.find(terms)
        owners = np.flatnonzero(found >= 0)
        columns = found[owners]
        times = np.concatenate([counts, pairs[:, 3]])[owners]
        values = scaled((1 + np.log(np.maximum(times, 1))) * self.idf[columns])
        gram_owners, gram_columns, gram_values = self._gram_entries(surface, counts)
        return Entries(
            owners=np.concatenate([owners, gram_owners]),
            columns=np.concatenate([columns, gram_columns]),
            values=np.concatenate([values, gram_values]).astype(np.float32),
        )

    def _gram_entries(self, surface: Surface, counts: Ints) -> tuple[Ints, Ints, Floats]:
        """The value of an n-gram is shared out to the words it stands in, by how often it does."""
        if not len(self.grams) or not surface.keys:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        held = self._grams_in(surface.keys)
        owners = np.repeat(np.arange(len(held)), [len(columns) for columns in held])
        columns = np.concatenate(held)
        times = counts[owners]
        distinct, place = np.unique(columns, return_inverse=True)
        totals = np.bincount(place, weights=times, minlength=len(distinct))
        values = scaled((1 + np.log(np.maximum(totals, 1))) * self.idf[distinct])
        return owners, columns, (values[place] * times / totals[place]).astype(np.float32)

    def _grams_in(self, keys: Sequence[str]) -> list[Ints]:
        """The columns of the n-grams in each of the words `keys`; those of new words are looked up together."""
        remembered = self._grams_of
        held = [remembered.get(key) for key in keys]
        fresh = [number for number, columns in enumerate(held) if columns is None]
        grams = [grams_of(keys[number]) for number in fresh]
        found = self.grams.find([gram for each in grams for gram in each])
        end = 0
        # Only remembered to save time: forgetting all when full keeps the bound and changes no answer.
        if len(remembered) + len(fresh) > _REMEMBERED_WORDS:
            remembered = self._grams_of = {}
        for number, each in zip(fresh, grams, strict=True):
            start, end = end, end + len(each)
            columns = found[start:end]
            held[number] = remembered[keys[number]] = columns[columns >= 0] + len(self.words)
        return [columns for columns in held if columns is not None]


def pairs_of(surface: Surface) -> Ints:
    """The distinct pairs of neighbouring words, (pairs, 4): both kinds, the first word's number, how often."""
    size = len(surface.keys)
    if len(surface.kinds) < 2:
        return np.zeros((0, 4), np.int64)
    codes, first, times = np.unique(
        surface.kinds[:-1] * size + surface.kinds[1:], return_index=True, return_counts=True
    )
    return np.stack([codes // size, codes % size, first, times], axis=1).astype(np.int64)


def grams_of(key: str) -> list[str]:
    """The n-grams of three to five characters of a word with a space before and after it, as often as they occur."""
    padded = f" {key} "
    return [
        padded[start : start + length]
        for length in range(SHORTEST_GRAM, LONGEST_GRAM + 1)
        for start in range(len(padded) - length + 1)
    ]


def scaled(values: npt.NDArray[np.floating]) -> Floats:
    """`values` at length 1; a zero vector stays what it is."""
    length = float(np.sqrt(np.square(values, dtype=np.float64).sum()))
    return (values / length if length > 0 else values).astype(np.float32)


def vocabulary_of(surfaces: Sequence[Surface], *, columns: int, with_grams: bool = True) -> Vocabulary:
    """What occurs in these texts, at most `columns` terms of each sort: the most frequent, in a fixed order.

    Terms of a single text are left out once there are 1,000 texts: they only fit noise then.
    """
    words: Counter[str] = Counter()
    grams: Counter[str] = Counter()
    for surface in surfaces:
        words.update(surface.keys)
        words.update(f"{surface.keys[a]} {surface.keys[b]}" for a, b in pairs_of(surface)[:, :2].tolist())
        if with_grams:
            grams.update({gram for key in surface.keys for gram in grams_of(key)})
    least = 2 if len(surfaces) >= 1000 else 1
    kept_words, kept_grams = (_kept(counter, least, columns) for counter in (words, grams))
    frequency = np.array([words[term] for term in kept_words] + [grams[term] for term in kept_grams], np.float64)
    idf = np.log((1 + len(surfaces)) / (1 + frequency)) + 1
    return Vocabulary(kept_words, kept_grams, idf.astype(np.float32))


def _kept(counter: Counter[str], least: int, limit: int) -> list[str]:
    known = [(-times, term) for term, times in counter.items() if times >= least]
    return sorted(term for _, term in sorted(known)[:limit])
