"""Why a text got its label: what each word, pair and sign adds to the score, in columns until someone looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from headrace_documents.classifier.head import Head, Reading, Scored, Scores
from headrace_documents.classifier.joining_words import JOINING
from headrace_documents.classifier.surface import Ints, is_unspaced
from headrace_documents.schema import Evidence, Explanation, Text

METHOD = "additive"
# How many of the heaviest strings are looked at for each one listed: at first, and if too few of them tell anything.
_GLANCED_AT, _LOOKED_AT = 4, 12
_FEWEST_TELLING = 3
# A listing of what speaks for the label leaves a third of its places to what speaks against it.
_SHARE_AGAINST = 1 / 3
# The fields of evidence that every format has.
_PLAIN = ("text", "weight", "start", "end", "occurrences")

Alone = tuple[list[int], list[int], list[float]]
"""The tokens of one reader that stand in no word: their starts, their ends, and what each adds to the score."""


@dataclass(frozen=True, slots=True)
class Table:
    """A row for each distinct string: its first place `[starts, ends)`, the sum of its weights, how often it stands."""

    starts: Ints
    ends: Ints
    weights: Scores
    occurrences: Ints

    def of(self, rows: Ints) -> Table:
        """Some of its rows, in the order of `rows`."""
        return Table(self.starts[rows], self.ends[rows], self.weights[rows], self.occurrences[rows])


class Contributions:
    """What each string of a text adds to the score `total` of a label: the words, then the pairs of them, then signs.

    `base` + the weights of all strings + `blank` = `total` to within 1e-4, where `blank` is what came from white space.
    Only what a list of the strongest needs is computed at once; the table of all strings is made when one asks for it.
    """

    def __init__(self, reading: Reading, *, base: float, total: float, owned: Scores, alone: Sequence[Alone]) -> None:
        self.base = base
        self.total = total
        characters = reading.surface.characters
        self.blank = sum(
            share for each in alone for start, end, share in zip(*each, strict=True) if _is_blank(characters[start:end])
        )
        self._surface = reading.surface
        self._pairs = reading.pairs
        self._owned = owned
        self._alone = alone

    def strongest(self, limit: int) -> Table:
        """The `limit` most telling strings, by their weight, the largest first; at most a third of them against.

        Words that only join others ("the", "no", "de") and lone signs are left in `rest`, as long as there is something
        else to list: they weigh, but tell nobody anything. So are pairs whose words are listed already.
        """
        heavy = np.abs(self._owned)
        listed: list[tuple[int, int, int]] = []
        for looked_at in (_GLANCED_AT * limit, _LOOKED_AT * limit):
            listed, is_full = self._listed(_largest(heavy, looked_at), limit)
            if is_full or looked_at >= len(heavy):
                break
        if len(listed) < min(_FEWEST_TELLING, limit):
            table = self.every()
            return table.of(np.arange(min(limit, len(table.starts))))
        rows, starts, ends = np.array(listed, np.int64).T
        return Table(starts, ends, self._owned[rows], self._times()[rows])

    def every(self) -> Table:
        """All strings that weigh anything, the largest weight first."""
        starts, ends = self._places(np.arange(len(self._owned)))
        signs = self._signs()
        table = Table(
            starts=np.concatenate([starts, signs[:, 0]]).astype(np.int64),
            ends=np.concatenate([ends, signs[:, 1]]).astype(np.int64),
            weights=np.concatenate([self._owned, signs[:, 3]]),
            occurrences=np.concatenate([self._times(), signs[:, 2]]).astype(np.int64),
        )
        order = np.argsort(-np.abs(table.weights), kind="stable")
        return table.of(order[table.weights[order] != 0])

    def explanation(self, text: Text, *, evidence: int) -> Explanation:
        """The strongest strings as evidence, and all others in `rest`."""
        table = self.strongest(evidence)
        rest = self.total - self.base - float(table.weights.sum())
        return Explanation(METHOD, self.base, rest, self.total, EvidenceRows(text, lambda: table))

    def whole(self, text: Text) -> Explanation:
        """Every string as evidence, found when looked at, and white space in `rest`."""
        return Explanation(METHOD, self.base, self.blank, self.total, EvidenceRows(text, self.every))

    def _listed(self, rows: Ints, limit: int) -> tuple[list[tuple[int, int, int]], bool]:
        """Which of `rows` to list, with their start and end, and whether none after them could change that.

        Those that tell something and overlap none before them; up to a third may be against, more if few are for it.
        """
        starts, ends = self._places(rows)
        most_against = int(limit * _SHARE_AGAINST)
        kept: list[tuple[int, int, int]] = []
        against: list[bool] = []
        speaking = opposing = 0
        columns = (rows.tolist(), starts.tolist(), ends.tolist(), self._owned[rows].tolist())
        for row, start, end, weight in zip(*columns, strict=True):
            if not weight or not self._is_telling(row):
                continue
            for _, first, last in kept:
                if start < last and first < end:
                    break
            else:
                kept.append((row, start, end))
                against.append(weight < 0)
                speaking, opposing = speaking + (weight > 0), opposing + (weight < 0)
                if speaking + min(opposing, most_against) >= limit:
                    break
        spare = max(most_against, limit - speaking)
        found: list[tuple[int, int, int]] = []
        for place, is_against in zip(kept, against, strict=True):
            if not is_against or spare > 0:
                found.append(place)
                spare -= is_against
        return found[:limit], speaking + min(opposing, most_against) >= limit

    def _is_telling(self, row: int) -> bool:
        """Whether a row means something by itself: a word that names something, or a pair of such.

        In scripts without spaces a word is a single letter here, which means little: its pairs speak for it.
        """
        keys = self._surface.keys
        if row < len(keys):
            key = keys[row]
            return (
                key not in JOINING and len(key) > 1 and not key.isdecimal() and (key.isascii() or not is_unspaced(key))
            )
        first, second = self._pairs[row - len(keys), :2].tolist()
        return keys[first] not in JOINING and keys[second] not in JOINING

    def _places(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where these words and pairs stand first."""
        surface, words = self._surface, len(self._surface.keys)
        is_pair = rows >= words
        at = surface.first(rows)
        at[is_pair] = self._pairs[rows[is_pair] - words, 2]
        return surface.starts[at], surface.ends[at + is_pair]

    def _times(self) -> Ints:
        """How often each word and pair stands."""
        words = np.bincount(self._surface.kinds, minlength=len(self._surface.keys))
        return np.concatenate([words, self._pairs[:, 3]])

    def _signs(self) -> Scores:
        """Tokens in no word, such as `?` and `$`, by what they read: (signs, 4) start, end, occurrences, weight."""
        characters = self._surface.characters
        weights: dict[str, float] = {}
        places: dict[str, set[int]] = {}
        for each in self._alone:
            for start, end, share in zip(*each, strict=True):
                if sign := characters[start:end].strip():
                    weights[sign] = weights.get(sign, 0.0) + share
                    places.setdefault(sign, set()).add(characters.index(sign, start))
        rows = [[min(at), min(at) + len(sign), len(at), weights[sign]] for sign, at in places.items()]
        return np.array(rows, np.float64).reshape(-1, 4)


def columns_of(evidence: Sequence[Evidence]) -> dict[str, list[Any]]:
    """The fields of all of them, as a list each; page and boxes are None, or left out, where there are no pages."""
    if isinstance(evidence, EvidenceRows):
        return evidence.columns()
    found: dict[str, list[Any]] = {name: [getattr(each, name) for each in evidence] for name in _PLAIN}
    found["page"] = [each.page for each in evidence]
    found["boxes"] = [None if each.page is None else each.boxes for each in evidence]
    return found


def weights_of(evidence: Sequence[Evidence]) -> Iterable[tuple[str, float]]:
    """The string and the weight of each piece of evidence."""
    if isinstance(evidence, EvidenceRows):
        return evidence.weights()
    return ((each.text, each.weight) for each in evidence)


class EvidenceRows(Sequence[Evidence]):
    """Evidence that is made when it is looked at: a document may have thousands, of which ten are read.

    Not a dataclass: where it crosses the border of a process it goes as the list that it is.
    """

    def __init__(self, text: Text, table: Callable[[], Table]) -> None:
        self._text = text
        self._find = table
        self._found: Table | None = None

    @property
    def table(self) -> Table:
        """The rows, found when first asked for."""
        if self._found is None:
            self._found = self._find()
        return self._found

    def __len__(self) -> int:
        return len(self.table.starts)

    @overload
    def __getitem__(self, index: int) -> Evidence: ...

    @overload
    def __getitem__(self, index: slice) -> list[Evidence]: ...

    def __getitem__(self, index: int | slice) -> Evidence | list[Evidence]:
        if isinstance(index, slice):
            return list(self._each(self.table.of(np.arange(len(self))[index])))
        return next(self._each(self.table.of(np.arange(len(self))[index].reshape(1))))

    def __iter__(self) -> Iterator[Evidence]:
        """All of them at once, which is much less work than one by one."""
        return self._each(self.table)

    def weights(self) -> Iterator[tuple[str, float]]:
        """The string and the weight of each, for who needs no more of them."""
        characters, table = self._text.characters, self.table
        for start, end, weight in zip(table.starts.tolist(), table.ends.tolist(), table.weights.tolist(), strict=True):
            yield characters[start:end], weight

    def columns(self) -> dict[str, list[Any]]:
        """The fields of all as a list each, for who makes something else of them."""
        table, characters = self.table, self._text.characters
        starts, ends = table.starts.tolist(), table.ends.tolist()
        texts = [characters[start:end] for start, end in zip(starts, ends, strict=True)]
        found = dict(
            zip(_PLAIN, (texts, table.weights.tolist(), starts, ends, table.occurrences.tolist()), strict=True)
        )
        if self._text.has_pages:
            places = list(self._text.places(table.starts, table.ends))
            found["page"] = [page for page, _ in places]
            found["boxes"] = [None if page is None else boxes for page, boxes in places]
        return found

    def _each(self, table: Table) -> Iterator[Evidence]:
        characters = self._text.characters
        for start, end, weight, occurrences, (page, boxes) in zip(
            table.starts.tolist(),
            table.ends.tolist(),
            table.weights.tolist(),
            table.occurrences.tolist(),
            self._text.places(table.starts, table.ends),
            strict=True,
        ):
            yield Evidence(characters[start:end], weight, start, end, page, boxes, occurrences)


def contributions_of(head: Head, reading: Reading, scored: Scored, label: int) -> Contributions:
    """What every string of the text adds to the score of `label`."""
    owned = head.owned(reading, scored, label)
    alone: list[Alone] = []
    for name, tokens in reading.tokens.items():
        share = head.share(tokens, scored.lengths[name], name=name, label=label)
        owners = reading.surface.owners(tokens.ends)
        # Those of no word are counted in front, and left out of what words own.
        owned += np.bincount(owners + 1, weights=share, minlength=len(owned) + 1)[1:]
        rows = np.flatnonzero(owners < 0)
        alone.append((tokens.starts[rows].tolist(), tokens.ends[rows].tolist(), share[rows].tolist()))
    total = float(scored.scores[label])
    return Contributions(reading, base=float(head.base[label]), total=total, owned=owned, alone=alone)


def _is_blank(characters: str) -> bool:
    return not characters or characters.isspace()


def _largest(values: Scores, count: int) -> Ints:
    """The places of the `count` largest, the largest first."""
    rows = np.argpartition(values, -count)[-count:] if len(values) > count else np.arange(len(values))
    ordered: Ints = rows[np.argsort(-values[rows], kind="stable")]
    return ordered
