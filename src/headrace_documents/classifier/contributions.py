"""Why a text got its label: what each word, pair and sign adds to the score, in columns until someone looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from headrace_documents.classifier.head import Head, Reading, Scored, Scores
from headrace_documents.classifier.joining_words import JOINING
from headrace_documents.classifier.surface import Ints, is_unspaced
from headrace_documents.schema import Box, Evidence, Explanation, Text

METHOD = "additive"
# How many of the heaviest strings are looked at for each one listed: at first, and if too few of them tell anything.
_GLANCED_AT, _LOOKED_AT = 4, 12
_FEWEST_TELLING = 3
# A listing of what speaks for the label leaves a third of its places to what speaks against it.
_SHARE_AGAINST = 1 / 3
# The fields of evidence that every format has.
_PLAIN = ("text", "weight", "start", "end", "occurrences")


class Shares(NamedTuple):
    """Where the tokens of one reader stand, the word that each belongs to (-1 for none), and what each adds.

    Without their vectors, which are large: answers wait for their record, and may be remembered for long.
    """

    starts: Ints
    ends: Ints
    owners: Ints
    weights: Scores

    def alone(self) -> tuple[Ints, Ints, Scores]:
        """Those in no word: their starts, their ends, and what each adds."""
        rows = np.flatnonzero(self.owners < 0)
        return self.starts[rows], self.ends[rows], self.weights[rows]


class Table(NamedTuple):
    """A row for each distinct string: its first place `[start, end)`, the sum of its weights, how often it stands."""

    starts: list[int]
    ends: list[int]
    weights: list[float]
    occurrences: list[int]

    def part(self, rows: slice) -> Table:
        """Some of its rows."""
        return Table(self.starts[rows], self.ends[rows], self.weights[rows], self.occurrences[rows])


class Contributions:
    """What each string of a text adds to the score `total` of a label: the words, then the pairs of them, then signs.

    `base` + the weights of all strings + `blank` = `total` to within 1e-4, where `blank` is what came from white space.
    Only what a list of the strongest needs is computed at once; the table of all strings is made when one asks for it.
    """

    def __init__(self, reading: Reading, *, base: float, total: float, owned: Scores, shares: Sequence[Shares]) -> None:
        self.base = base
        self.total = total
        self._surface = reading.surface
        self._pairs = reading.pairs
        self._owned = owned
        self._shares = shares

    @property
    def blank(self) -> float:
        """What tokens add that are nothing but white space."""
        return sum(weight for start, end, weight in self._alone() if not self._surface.characters[start:end].strip())

    def strongest(self, limit: int) -> Table:
        """The `limit` most telling strings, by their weight, the largest first; at most a third of them against.

        Words that only join others ("the", "no", "de") and lone signs are left in `rest`, as long as there is something
        else to list: they weigh, but tell nobody anything. So are pairs whose words are listed already.
        """
        heavy = np.abs(self._owned)
        table = Table([], [], [], [])
        for looked_at in (_GLANCED_AT * limit, _LOOKED_AT * limit):
            table, is_full = self._listed(_largest(heavy, looked_at), limit)
            if is_full or looked_at >= len(heavy):
                break
        return self.every().part(slice(limit)) if len(table.starts) < min(_FEWEST_TELLING, limit) else table

    def every(self) -> Table:
        """All strings that weigh anything, the largest weight first."""
        surface, pairs, signs = self._surface, self._pairs, self._signs()
        words = np.array(surface.firsts, np.int64)
        first, last = (np.concatenate([words, pairs[:, 2] + shift]) for shift in (0, 1))
        last[: len(words)] = words
        weights = np.concatenate([self._owned, signs[:, 3]])
        order = np.argsort(-np.abs(weights), kind="stable")
        order = order[weights[order] != 0]
        columns = (
            np.concatenate([surface.starts[first], signs[:, 0].astype(np.int64)]),
            np.concatenate([surface.ends[last], signs[:, 1].astype(np.int64)]),
            weights,
            np.concatenate([surface.counts, pairs[:, 3], signs[:, 2].astype(np.int64)]),
        )
        return Table(*(column[order].tolist() for column in columns))

    def explanation(self, text: Text, *, evidence: int) -> Explanation:
        """The strongest strings as evidence, and all others in `rest`."""
        table = self.strongest(evidence)
        rest = self.total - self.base - sum(table.weights)
        return Explanation(METHOD, self.base, rest, self.total, EvidenceRows(text, lambda: table))

    def whole(self, text: Text) -> Explanation:
        """Every string as evidence, and white space in `rest`; both are found when looked at."""
        return WholeExplanation(self, text)

    def _listed(self, rows: Ints, limit: int) -> tuple[Table, bool]:
        """Which of `rows` to list, and whether none after them could change that.

        Those that tell something and overlap none before them; up to a third may be against, more if few are for it.
        """
        most_against = int(limit * _SHARE_AGAINST)
        keys, firsts = self._surface.keys, self._surface.firsts
        kept: list[_Place] = []
        taken: set[int] = set()
        speaking = opposing = 0
        for row, weight in zip(rows.tolist(), self._owned[rows].tolist(), strict=True):
            if row < len(keys):
                at = last = firsts[row]
                is_telling = at not in taken and _tells(keys[row])
            else:
                first, second, at, _ = self._pairs[row - len(keys)].tolist()
                last = at + 1
                # Words never overlap each other, so what overlaps shares a word.
                is_telling = not (at in taken or last in taken or keys[first] in JOINING or keys[second] in JOINING)
            if not is_telling or not weight:
                continue
            kept.append((weight, row, at, last))
            taken.update((at, last))
            if weight > 0:
                speaking += 1
            else:
                opposing += 1
            if speaking + min(opposing, most_against) >= limit:
                break
        spare = max(most_against, limit - speaking)
        against = [place for place, each in enumerate(kept) if each[0] < 0][spare:]
        found = [each for place, each in enumerate(kept) if place not in against][:limit]
        return self._table(found), speaking + min(opposing, most_against) >= limit

    def _table(self, found: Sequence[_Place]) -> Table:
        surface, words = self._surface, len(self._surface.keys)
        return Table(
            starts=[surface.starts.item(at) for _, _, at, _ in found],
            ends=[surface.ends.item(last) for _, _, _, last in found],
            weights=[weight for weight, _, _, _ in found],
            occurrences=[
                surface.counts.item(row) if row < words else self._pairs.item(row - words, 3) for _, row, _, _ in found
            ],
        )

    def _alone(self) -> Iterator[tuple[int, int, float]]:
        """Tokens in no word: start, end, weight."""
        for each in self._shares:
            yield from zip(*(column.tolist() for column in each.alone()), strict=True)

    def _signs(self) -> Scores:
        """Tokens in no word, such as `?` and `$`, by what they read: (signs, 4) start, end, occurrences, weight."""
        characters = self._surface.characters
        weights: dict[str, float] = {}
        places: dict[str, set[int]] = {}
        for start, end, weight in self._alone():
            if sign := characters[start:end].strip():
                weights[sign] = weights.get(sign, 0.0) + weight
                places.setdefault(sign, set()).add(characters.index(sign, start))
        rows = [[min(at), min(at) + len(sign), len(at), weights[sign]] for sign, at in places.items()]
        return np.array(rows, np.float64).reshape(-1, 4)


_Place = tuple[float, int, int, int]
"""A row where it stands first: its weight, itself, and the numbers of its first and last word."""


class WholeExplanation(Explanation):
    """All contributions, of which nothing is computed before someone looks."""

    __slots__ = ("_found",)
    _found: Contributions

    def __init__(self, found: Contributions, text: Text) -> None:
        fields = {"method": METHOD, "base": found.base, "total": found.total, "_found": found}
        for name, value in (fields | {"evidence": EvidenceRows(text, found.every)}).items():
            # The explanation is frozen.
            object.__setattr__(self, name, value)

    @property
    def rest(self) -> float:
        """What white space adds."""
        return self._found.blank


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
            return list(self._each(self.table.part(index)))
        place = range(len(self))[index]
        return next(self._each(self.table.part(slice(place, place + 1))))

    def __iter__(self) -> Iterator[Evidence]:
        """All of them at once, which is much less work than one by one."""
        return self._each(self.table)

    def weights(self) -> Iterator[tuple[str, float]]:
        """The string and the weight of each, for who needs no more of them."""
        characters, table = self._text.characters, self.table
        for start, end, weight in zip(table.starts, table.ends, table.weights, strict=True):
            yield characters[start:end], weight

    def columns(self) -> dict[str, list[Any]]:
        """The fields of all as a list each, for who makes something else of them."""
        texts, pages, boxes = self._looked_up(self.table)
        starts, ends, weights, occurrences = self.table
        found: dict[str, list[Any]] = dict(zip(_PLAIN, (texts, weights, starts, ends, occurrences), strict=True))
        if self._text.has_pages:
            found["page"] = pages
            found["boxes"] = [None if page is None else each for page, each in zip(pages, boxes, strict=True)]
        return found

    def _each(self, table: Table) -> Iterator[Evidence]:
        texts, pages, boxes = self._looked_up(table)
        return map(Evidence, texts, table.weights, table.starts, table.ends, pages, boxes, table.occurrences)

    def _looked_up(self, table: Table) -> tuple[list[str], list[int | None], list[list[Box]]]:
        """What stands at the places of some rows, on which page, and in which boxes."""
        characters = self._text.characters
        texts = [characters[start:end] for start, end in zip(table.starts, table.ends, strict=True)]
        if not self._text.has_pages:
            return texts, [None] * len(texts), [[] for _ in texts]
        places = list(self._text.places(np.array(table.starts, np.int64), np.array(table.ends, np.int64)))
        return texts, [page for page, _ in places], [boxes for _, boxes in places]


def contributions_of(head: Head, reading: Reading, scored: Scored, label: int) -> Contributions:
    """What every string of the text adds to the score of `label`."""
    owned = head.owned(reading, scored, label)
    shares = []
    for name, tokens in reading.tokens.items():
        weights = head.share(tokens, scored, name=name, label=label)
        owners = reading.surface.owners(tokens.ends)
        # Those of no word are counted in front, and left out of what words own.
        owned += np.bincount(owners + 1, weights=weights, minlength=len(owned) + 1)[1:]
        shares.append(Shares(tokens.starts, tokens.ends, owners, weights))
    base, total = float(head.base[label]) * scored.factor, float(scored.scores[label])
    return Contributions(reading, base=base, total=total, owned=owned, shares=shares)


def _tells(key: str) -> bool:
    """Whether a word names something.

    In scripts without spaces a word is a single letter here, which means little: its pairs speak for it.
    """
    return key not in JOINING and len(key) > 1 and not key.isdecimal() and (key.isascii() or not is_unspaced(key))


def _largest(values: Scores, count: int) -> Ints:
    """The places of the `count` largest, the largest first."""
    rows = np.argpartition(values, -count)[-count:] if len(values) > count else np.arange(len(values))
    ordered: Ints = rows[np.argsort(-values[rows], kind="stable")]
    return ordered
