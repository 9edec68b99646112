"""Why a text got its label: what each word, pair and sign adds to the score, in columns until someone looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np

from headrace import Columns, Excerpts
from headrace_documents.classifier.head import Floats, Head, Reading, Scored, Scores
from headrace_documents.classifier.joining_words import JOINING
from headrace_documents.classifier.surface import Ints, is_unspaced
from headrace_documents.schema import Evidence, Explanation, Text

METHOD = "additive"
# How many of the heaviest strings are looked at for each one listed: at first, and if too few of them tell anything.
_GLANCED_AT, _LOOKED_AT = 3, 12
_FEWEST_TELLING = 3
# A listing of what speaks for the label leaves a third of its places to what speaks against it.
_SHARE_AGAINST = 1 / 3
# The fields of evidence that every format has.
_PLAIN = ("text", "weight", "start", "end", "occurrences")


class Shares(NamedTuple):
    """Where the tokens of one reader stand, 1 + the kind of word that each belongs to (0 for none), what each adds.

    Without their vectors, which are large: answers wait for their record, and may be remembered for long.
    """

    starts: Ints
    ends: Ints
    owners: Ints
    weights: Floats

    def alone(self) -> tuple[Ints, Ints, Floats]:
        """Those in no word: their starts, their ends, and what each adds."""
        rows = np.flatnonzero(self.owners == 0)
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
        return self._lone.blank

    def strongest(self, limit: int) -> Table:
        """The `limit` most telling strings, by their weight, the largest first; at most a third of them against.

        Words that only join others ("the", "no", "de") and lone signs are left in `rest`, as long as there is something
        else to list: they weigh, but tell nobody anything. So are pairs whose words are listed already.
        """
        heavy = np.abs(self._owned)
        table, is_full = self._listed(_largest(heavy, _GLANCED_AT * limit), limit)
        if not is_full and len(heavy) > _GLANCED_AT * limit:
            table, _ = self._listed(_largest(heavy, _LOOKED_AT * limit), limit)
        return self.every().part(slice(limit)) if len(table.weights) < min(_FEWEST_TELLING, limit) else table

    def every(self) -> Table:
        """All strings that weigh anything, the largest weight first."""
        columns = self.columns()
        weights = columns[2]
        order = np.argsort(-np.abs(weights), kind="stable")
        order = order[weights[order] != 0]
        return Table(*(column[order].tolist() for column in columns))

    def columns(self) -> tuple[Ints, Ints, Scores, Ints]:
        """All strings in no order, also those that weigh nothing: starts, ends, weights, occurrences."""
        surface, pairs, signs = self._surface, self._pairs, self._lone.signs
        words = np.array(surface.firsts, np.int64)
        first, last = (np.concatenate([words, pairs[:, 2] + shift]) for shift in (0, 1))
        last[: len(words)] = words
        weights = np.concatenate([self._owned, signs.weights])
        return (
            np.concatenate([surface.starts[first], _ints(signs.starts)]),
            np.concatenate([surface.ends[last], _ints(signs.ends)]),
            weights,
            np.concatenate([surface.counts, pairs[:, 3], _ints(signs.occurrences)]),
        )

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
        surface, keys, firsts, words = self._surface, self._surface.keys, self._surface.firsts, len(self._surface.keys)
        bound, counted = surface.bounds.item, surface.counts.item
        found = Table([], [], [], [])
        starts, ends, weights, occurrences = found
        taken: set[int] = set()
        left, most_against, opposing = limit, int(limit * _SHARE_AGAINST), 0
        for row, weight in zip(rows.tolist(), self._owned[rows].tolist(), strict=True):
            if row < words:
                key, at = keys[row], firsts[row]
                if key in JOINING or len(key) < 2 or key.isdecimal() or at in taken or _is_letter(key):
                    continue
                last, times = at, counted(row)
            else:
                first, second, at, times = self._pairs[row - words].tolist()
                last = at + 1
                # Words never overlap each other, so what overlaps shares a word.
                if at in taken or last in taken or keys[first] in JOINING or keys[second] in JOINING:
                    continue
                taken.add(last)
            if weight > 0:
                left -= 1
            elif weight < 0:
                opposing += 1
                left -= opposing <= most_against
            else:
                break
            taken.add(at)
            starts.append(bound(2 * at))
            ends.append(bound(2 * last + 1))
            weights.append(weight)
            occurrences.append(times)
            if left <= 0:
                break
        return _trimmed(found, limit, opposing=opposing), left <= 0

    @cached_property
    def _lone(self) -> _Lone:
        """What the tokens add that are in no word."""
        characters, blank = self._surface.characters, 0.0
        weights: dict[str, float] = {}
        places: dict[str, set[int]] = {}
        for each in self._shares:
            for start, end, weight in zip(*(column.tolist() for column in each.alone()), strict=True):
                read = characters[start:end]
                sign = read.strip()
                if not sign:
                    blank += weight
                elif sign in weights:
                    weights[sign] += weight
                    places[sign].add(start + read.index(sign))
                else:
                    weights[sign], places[sign] = weight, {start + read.index(sign)}
        starts = [min(at) for at in places.values()]
        ends = [start + len(sign) for start, sign in zip(starts, places, strict=True)]
        return _Lone(blank, Table(starts, ends, list(weights.values()), [len(at) for at in places.values()]))


class _Lone(NamedTuple):
    """Tokens in no word: white space, and signs such as `?` and `$`, by what they read."""

    blank: float
    signs: Table


class WholeExplanation(Explanation):
    """All contributions, of which nothing is computed before someone looks."""

    __slots__ = ("_found",)
    _found: Contributions

    def __init__(self, found: Contributions, text: Text) -> None:
        # The explanation is frozen.
        put = object.__setattr__
        put(self, "method", METHOD)
        put(self, "base", found.base)
        put(self, "total", found.total)
        put(self, "evidence", WholeRows(text, found))
        put(self, "_found", found)

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


def kept_columns(evidence: Sequence[Evidence]) -> Columns:
    """The same, in the form that is quickest to make."""
    return evidence.kept() if isinstance(evidence, WholeRows) else Columns(columns_of(evidence))


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
        starts, ends, weights, occurrences = self.table
        texts = self._texts(self.table)
        found: dict[str, list[Any]] = dict(zip(_PLAIN, (texts, weights, starts, ends, occurrences), strict=True))
        return found | self._places(_ints(starts), _ints(ends))

    def _each(self, table: Table) -> Iterator[Evidence]:
        starts, ends, weights, occurrences = table
        if not self._text.has_pages:
            characters = self._text.characters
            return (
                Evidence(characters[start:end], weight, start, end, None, [], times)
                for start, end, weight, times in zip(*table, strict=True)
            )
        found = self._places(_ints(starts), _ints(ends))
        boxes = [each or [] for each in found["boxes"]]
        return map(Evidence, self._texts(table), weights, starts, ends, found["page"], boxes, occurrences)

    def _texts(self, table: Table) -> list[str]:
        characters = self._text.characters
        return [characters[start:end] for start, end in zip(table.starts, table.ends, strict=True)]

    def _places(self, starts: Ints, ends: Ints) -> dict[str, list[Any]]:
        """On which page strings stand, and in which boxes; nothing where there are no pages."""
        if not self._text.has_pages:
            return {}
        places = list(self._text.places(starts, ends))
        return {
            "page": [page for page, _ in places],
            "boxes": [None if page is None else boxes for page, boxes in places],
        }


class WholeRows(EvidenceRows):
    """All contributions."""

    def __init__(self, text: Text, found: Contributions) -> None:
        super().__init__(text, found.every)
        self._contributions = found

    def kept(self) -> Columns:
        """As they are kept: whoever reads them puts them in order."""
        starts, ends, weights, occurrences = self._contributions.columns()
        # Most pairs of words weigh nothing.
        rows = np.flatnonzero(weights)
        starts, ends, weights, occurrences = starts[rows], ends[rows], weights[rows], occurrences[rows]
        numbers = {"start": starts, "end": ends, "occurrences": occurrences}
        fields: dict[str, Any] = {
            "text": Excerpts(self._text.characters, "start", "end"),
            "weight": weights.data,
        } | {name: each.astype(np.int32).data for name, each in numbers.items()}
        return Columns(fields | self._places(starts, ends), largest_first="weight")


def contributions_of(head: Head, reading: Reading, scored: Scored, label: int) -> Contributions:
    """What every string of the text adds to the score of `label`."""
    owned = head.owned(reading, scored, label)
    shares = []
    for name, tokens in reading.tokens.items():
        weights = head.share(tokens, scored, name=name, label=label)
        owners = reading.surface.owners(tokens.ends)
        # Those of no word are counted in front, and left out of what words own.
        owned += np.bincount(owners, weights=weights, minlength=len(owned) + 1)[1:]
        shares.append(Shares(tokens.starts, tokens.ends, owners, weights))
    base, total = float(head.base[label]) * scored.factor, float(scored.scores[label])
    return Contributions(reading, base=base, total=total, owned=owned, shares=shares)


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def _trimmed(found: Table, limit: int, *, opposing: int) -> Table:
    """At most `limit` rows, a third of them against unless few are for it; `opposing` of those found are against."""
    weights = found.weights
    spare = max(int(limit * _SHARE_AGAINST), limit - len(weights) + opposing)
    if opposing > spare:
        against = [place for place, weight in enumerate(weights) if weight < 0][spare:]
        for place in reversed(against):
            for column in found:
                del column[place]
    return found.part(slice(limit)) if len(weights) > limit else found


def _is_letter(key: str) -> bool:
    """Whether a word is a single letter, as in scripts without spaces: that means little, its pairs speak for it."""
    return not key.isascii() and is_unspaced(key)


def _largest(values: Scores, count: int) -> Ints:
    """The places of the `count` largest, the largest first."""
    rows = values.argpartition(-count)[-count:] if len(values) > count else np.arange(len(values))
    ordered: Ints = rows[values[rows].argsort(kind="stable")[::-1]]
    return ordered
