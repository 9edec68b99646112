"""Why a text got its label: what each word, pair and sign adds to the score, in columns until someone looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from headrace_documents.classifier.head import Head, Reading, Scores
from headrace_documents.classifier.joining_words import JOINING
from headrace_documents.classifier.surface import Ints, is_unspaced
from headrace_documents.classifier.tokens import Tokens
from headrace_documents.schema import Box, Evidence, Explanation, Text

METHOD = "additive"
_LOOKED_AT = 12
_FEWEST_TELLING = 3
# A listing of what speaks for the label leaves a third of its places to what speaks against it.
_SHARE_AGAINST = 1 / 3


@dataclass(frozen=True, slots=True)
class Contributions:
    """One row for each distinct string: its first place `[starts, ends)`, the sum of its weights, how often it stands.

    The first rows are the words `keys`, then come the pairs (pairs, 4) of them, then signs. All columns are (strings,);
    `base` + the sum of `weights` + `blank` = `total` to within 1e-4, where `blank` is what came from white space.
    """

    base: float
    total: float
    blank: float
    starts: Ints
    ends: Ints
    weights: Scores
    occurrences: Ints
    keys: Sequence[str]
    pairs: Ints

    def strongest(self, limit: int) -> Ints:
        """The rows of the `limit` most telling weights, largest first; at most a third of them against.

        Words that only join others ("the", "no", "de") and lone signs are left in `rest`, as long as there is something
        else to list: they weigh, but tell nobody anything. So are pairs whose words are listed already.
        """
        looked_at = self.every()[: _LOOKED_AT * limit]
        telling = [row for row in looked_at.tolist() if self._is_telling(row)]
        order = self._apart(telling if len(telling) >= _FEWEST_TELLING else looked_at.tolist())
        against = self.weights[order] < 0
        spare = max(int(limit * _SHARE_AGAINST), limit - int((~against).sum()))
        kept: Ints = order[~against | (np.cumsum(against) <= spare)]
        return kept[:limit]

    def _is_telling(self, row: int) -> bool:
        """Whether a row means something by itself: a word that names something, or a pair of such.

        In scripts without spaces a word is a single letter here, which means little: its pairs speak for it.
        """
        if row < len(self.keys):
            key = self.keys[row]
            return key not in JOINING and len(key) > 1 and not key.isdecimal() and not is_unspaced(key)
        if row >= len(self.keys) + len(self.pairs):
            return False
        return all(self.keys[kind] not in JOINING for kind in self.pairs[row - len(self.keys), :2].tolist())

    def _apart(self, rows: Sequence[int]) -> Ints:
        """Those of `rows`, the strongest first, whose place does not overlap that of one listed before."""
        kept: list[int] = []
        for row in rows:
            start, end = int(self.starts[row]), int(self.ends[row])
            if all(end <= self.starts[other] or self.ends[other] <= start for other in kept):
                kept.append(row)
        return np.array(kept, np.int64)

    def every(self) -> Ints:
        """All rows that weigh anything, largest first."""
        order = np.argsort(-np.abs(self.weights), kind="stable")
        weighing: Ints = order[self.weights[order] != 0]
        return weighing

    def explanation(self, text: Text, rows: Ints) -> Explanation:
        """These rows as evidence, made when looked at, and all others in `rest`."""
        listed = float(self.weights[rows].sum())
        return Explanation(
            method=METHOD,
            base=self.base,
            rest=float(self.weights.sum()) - listed + self.blank,
            total=self.total,
            evidence=EvidenceRows(self, text, rows),
        )


PlainEvidence = tuple[str, float, int, int, int | None, list[Box], int]
"""The fields of an `Evidence`: text, weight, start, end, page, boxes, occurrences."""


def plain_evidence(evidence: Sequence[Evidence]) -> Iterator[PlainEvidence]:
    """The fields of each; of rows that were not made yet without making them."""
    if isinstance(evidence, EvidenceRows):
        return evidence.plain()
    return ((e.text, e.weight, e.start, e.end, e.page, e.boxes, e.occurrences) for e in evidence)


class EvidenceRows(Sequence[Evidence]):
    """Evidence that is made when it is looked at: a document may have thousands, of which ten are read.

    Not a dataclass: where it crosses the border of a process it goes as the list that it is.
    """

    def __init__(self, contributions: Contributions, text: Text, rows: Ints) -> None:
        self.contributions = contributions
        self.text = text
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Evidence: ...

    @overload
    def __getitem__(self, index: slice) -> list[Evidence]: ...

    def __getitem__(self, index: int | slice) -> Evidence | list[Evidence]:
        if isinstance(index, slice):
            return [self._evidence(int(row)) for row in self.rows[index]]
        return self._evidence(int(self.rows[index]))

    def __iter__(self) -> Iterator[Evidence]:
        """All of them at once, which is much less work than one by one."""
        return (Evidence(*row) for row in self.plain())

    def plain(self) -> Iterator[PlainEvidence]:
        """The fields of each, in their order, for who makes something else of them."""
        columns = self.contributions
        starts, ends = columns.starts[self.rows], columns.ends[self.rows]
        characters = self.text.characters
        for start, end, weight, occurrences, (page, boxes) in zip(
            starts.tolist(),
            ends.tolist(),
            columns.weights[self.rows].tolist(),
            columns.occurrences[self.rows].tolist(),
            self.text.places(starts, ends),
            strict=True,
        ):
            yield characters[start:end], weight, start, end, page, boxes, occurrences

    def _evidence(self, row: int) -> Evidence:
        start, end = int(self.contributions.starts[row]), int(self.contributions.ends[row])
        page, boxes = self.text.place(start, end)
        return Evidence(
            text=self.text.characters[start:end],
            weight=float(self.contributions.weights[row]),
            start=start,
            end=end,
            page=page,
            boxes=boxes,
            occurrences=int(self.contributions.occurrences[row]),
        )


def contributions_of(head: Head, reading: Reading, label: int, total: float) -> Contributions:
    """What every string of the text adds to the score `total` of `label`."""
    surface = reading.surface
    weights, dense = head.shares(reading, label)
    first = surface.first()
    starts, ends = surface.starts[first], surface.ends[first]
    times = np.bincount(surface.kinds, minlength=len(surface.keys)).astype(np.int64)
    starts = np.concatenate([starts, surface.starts[reading.pairs[:, 2]]])
    ends = np.concatenate([ends, surface.ends[reading.pairs[:, 2] + 1]])
    times = np.concatenate([times, reading.pairs[:, 3]])
    outside: list[tuple[Tokens, Scores]] = []
    for tokens, parts in dense:
        owners = surface.owners(tokens.ends)
        inside = owners >= 0
        weights = weights + np.bincount(owners[inside], weights=parts[inside], minlength=len(weights))
        outside.append((Tokens(tokens.vectors[:0], tokens.starts[~inside], tokens.ends[~inside], 0), parts[~inside]))
    signs, blank = _signs(surface.characters, outside)
    return Contributions(
        base=float(head.base[label]),
        total=total,
        blank=blank,
        starts=np.concatenate([starts, signs[:, 0]]).astype(np.int64),
        ends=np.concatenate([ends, signs[:, 1]]).astype(np.int64),
        weights=np.concatenate([weights, signs[:, 3]]),
        occurrences=np.concatenate([times, signs[:, 2]]).astype(np.int64),
        keys=surface.keys,
        pairs=reading.pairs,
    )


def _signs(characters: str, outside: Sequence[tuple[Tokens, Scores]]) -> tuple[Scores, float]:
    """Tokens in no word, such as `?` and `$`, by what they read: (signs, 4) start, end, occurrences, weight."""
    weights: dict[str, float] = {}
    places: dict[str, set[int]] = {}
    blank = 0.0
    for tokens, parts in outside:
        for start, end, part in zip(tokens.starts.tolist(), tokens.ends.tolist(), parts.tolist(), strict=True):
            sign = characters[start:end].strip()
            if not sign:
                blank += part
                continue
            weights[sign] = weights.get(sign, 0.0) + part
            places.setdefault(sign, set()).add(characters.index(sign, start))
    rows = [[min(at), min(at) + len(sign), len(at), weights[sign]] for sign, at in places.items()]
    return np.array(rows, np.float64).reshape(-1, 4), blank
