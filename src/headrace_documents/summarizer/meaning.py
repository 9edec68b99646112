"""What whole lines mean, as numbers: the mean of the static vectors of their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.classifier.tokens import TokenReader

_AT_ONCE = 128
_LONGEST = 1_000


class LineMeanings:
    """Gives one row a line, whatever lines stand beside it; lines count up to their thousandth character."""

    def __init__(self, reader: TokenReader) -> None:
        self._reader = reader

    def __call__(self, lines: Sequence[str]) -> npt.NDArray[np.float32]:
        """(lines, width) float32, each of length 1, or of zeros for a line without tokens."""
        rows = [self._rows(lines[first : first + _AT_ONCE]) for first in range(0, len(lines), _AT_ONCE)]
        return np.concatenate(rows) if rows else np.zeros((0, self._reader.width), np.float32)

    def _rows(self, lines: Sequence[str]) -> npt.NDArray[np.float32]:
        """Read in one go and parted again by where the tokens stand."""
        cut = [line[:_LONGEST].replace("\n", " ") for line in lines]
        starts = np.cumsum([0, *(len(line) + 1 for line in cut)])
        tokens = self._reader.read("\n".join(cut))
        owner = np.searchsorted(starts, tokens.starts, side="right") - 1
        sums = np.zeros((len(cut), self._reader.width), np.float32)
        np.add.at(sums, owner, tokens.vectors)
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        return sums
