"""The terms of sentences, weighed by how much they tell within their text; kept in columns, for texts are long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace_documents.summarizer.scripts import UNSPACED

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEM = 5
"""Words that share so many first letters count as one: no stemmer knows all languages."""

_TERM = re.compile(rf"[{UNSPACED}]+|[^\W\d_]+")
_DENSE = re.compile(rf"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Terms:
    """A sparse (rows, columns) matrix of unit rows, one row a sentence; sorted by row.

    `rows`, `columns`: (n,) int64. `weights`: (n,) float64, log-scaled counts times inverse frequency (Salton, 1988).
    `rarity`: (columns,) float64, the inverse frequency of each term. `vocabulary` gives the column of a term.
    """

    rows: Ints
    columns: Ints
    weights: Floats
    rarity: Floats
    vocabulary: dict[str, int]
    count: int

    def similarity_to(self, direction: Floats) -> Floats:
        """(rows,) cosines of the sentences with `direction`, a (columns,) vector of any length."""
        length = float(np.linalg.norm(direction))
        if not length:
            return np.zeros(self.count)
        return _sums(self.rows, self.weights * direction[self.columns], self.count) / length

    def centroid(self) -> Floats:
        """(columns,) sum of all sentences."""
        return _sums(self.columns, self.weights, len(self.rarity))

    def row(self, number: int) -> Floats:
        """(columns,) the terms of one sentence."""
        first, last = np.searchsorted(self.rows, [number, number + 1])
        dense = np.zeros(len(self.rarity))
        dense[self.columns[first:last]] = self.weights[first:last]
        return dense

    def direction_of(self, line: str) -> Floats:
        """(columns,) the rarities of those terms of `line` that occur here."""
        known = [self.vocabulary[term] for term in set(terms_of(line)) if term in self.vocabulary]
        dense = np.zeros(len(self.rarity))
        dense[known] = self.rarity[known]
        return dense


def terms_of(line: str) -> list[str]:
    """Words without their endings; pairs of characters where words are not parted by spaces."""
    found: list[str] = []
    for match in _TERM.finditer(line.lower()):
        term = match.group()
        if _DENSE.match(term):
            found += [term[at : at + 2] for at in range(len(term) - 1)] or [term]
        else:
            found.append(term[:STEM])
    return found


def weigh(lines: Sequence[str]) -> Terms:
    """The terms of `lines`."""
    vocabulary: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for number, line in enumerate(lines):
        for term in terms_of(line):
            rows.append(number)
            columns.append(vocabulary.setdefault(term, len(vocabulary)))
    size, count = max(len(vocabulary), 1), len(lines)
    keys, occurrences = np.unique(
        np.array(rows, dtype=np.int64) * size + np.array(columns, dtype=np.int64), return_counts=True
    )
    row, column = keys // size, keys % size
    rarity = np.log1p(count / np.maximum(np.bincount(column, minlength=size), 1))
    weights = (1 + np.log(occurrences)) * rarity[column]
    lengths = np.sqrt(np.bincount(row, weights**2, minlength=max(count, 1)))
    return Terms(row, column, weights / np.maximum(lengths[row], 1e-12), rarity, vocabulary, count)


def _sums(keys: Ints, weights: Floats, size: int) -> Floats:
    """(size,) the sum of `weights` for each key; an array of whole numbers has none of its own type when empty."""
    return np.bincount(keys, weights, minlength=size).astype(np.float64)
