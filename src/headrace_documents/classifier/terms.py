"""Terms: many strings in a fixed order that are found by what they say, in a fifth of the memory of a dict of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Terms:
    """The strings end to end, and their hashes in order, which are only as good as this process: neither is stored."""

    __slots__ = ("_bounds", "_clashing", "_columns", "_hashes", "_text")

    def __init__(self, terms: Sequence[str]) -> None:
        self._text = "".join(terms)
        self._bounds = np.zeros(len(terms) + 1, np.int32)
        np.cumsum([len(term) for term in terms], out=self._bounds[1:])
        hashes = _hashes(terms)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._columns = hashes[order], order.astype(np.int32)
        clashing = order[1:][self._hashes[1:] == self._hashes[:-1]]
        self._clashing = {terms[column]: column for column in clashing.tolist()}

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[str]:
        bounds = self._bounds.tolist()
        return (self._text[start:end] for start, end in itertools.pairwise(bounds))

    def find(self, wanted: Sequence[str]) -> Ints:
        """The number of each string, (wanted,); -1 where it is none of these."""
        if not wanted or not len(self):
            return np.full(len(wanted), -1, np.int64)
        hashes = _hashes(wanted)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self) - 1)
        columns = np.where(self._hashes[places] == hashes, self._columns[places], -1).astype(np.int64)
        likely = np.flatnonzero(columns >= 0)
        starts, ends = self._bounds[columns[likely]].tolist(), self._bounds[columns[likely] + 1].tolist()
        for place, start, end in zip(likely.tolist(), starts, ends, strict=True):
            # Two strings may have one hash: what is said decides.
            if self._text[start:end] != wanted[place]:
                columns[place] = self._clashing.get(wanted[place], -1)
        return columns


def _hashes(terms: Sequence[str]) -> Ints:
    return np.fromiter(map(hash, terms), np.int64, len(terms))
