"""Pages of a PDF in Hebrew, Arabic and their kin, put together from where each glyph stands.

The engine takes lines apart where marks or numbers stand in them and turns ligatures round, so on these pages alone it
is asked for the place of each character. Rows are then read back from how they look, the reverse of the Unicode
Bidirectional Algorithm (UAX 9) as far as printed pages need it.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as engine

RTL_SHARE = 0.3
"""From this share of a page's letters on it is read by its glyphs."""
SPACE = 0.15
"""A gap that parts words, in sizes of the font: within Arabic words letters that do not join stand closer."""
SAME_ROW = 0.35
ALIGNED_POINTS = 3.0
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_OPENING, _CLOSING = "([{\u00ab<", ")]}\u00bb>"
_MIRRORED = str.maketrans(_OPENING + _CLOSING, _CLOSING + _OPENING)
_BETWEEN_FIGURES = ".,:/-+"
_ENDS = ".,;:!?\u061f\u060c\u061b\u05c3"


@dataclass(slots=True)
class _Glyph:
    """What one glyph stands for and where it is, in page space; `begins` and `ends` are those of its advance."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    baseline: float
    index: int
    begins: float
    ends: float
    first: int = 0

    @property
    def middle(self) -> float:
        return (self.x0 + self.x1) / 2


@dataclass(slots=True)
class _Row:
    baseline: float
    glyphs: list[_Glyph] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowsOfWords:
    """Words in logical order, the row of each, and their boxes `(n, 4)`: left, bottom, right, top in page space."""

    words: list[str]
    rows: list[int]
    boxes: npt.NDArray[np.float64]


def has_right_to_left(text: str) -> bool:
    """Whether any letter of `text` is written from right to left."""
    return not text.isascii() and _RTL.search(text) is not None


def is_right_to_left(text: str) -> bool:
    """Whether enough letters of `text` are written from right to left."""
    if not has_right_to_left(text):
        return False
    letters = Counter(_is_rtl(character) for character in text if character.isalpha())
    return letters[True] > RTL_SHARE * letters.total()


def stretches_of(words: Sequence[str], lines: Sequence[int]) -> list[tuple[int, int]]:
    """The words `[first, last)` of a page that stand in lines which mostly run from right to left."""
    bounds = [*(number for number, line in enumerate(lines) if number == 0 or line != lines[number - 1]), len(words)]
    found: list[tuple[int, int]] = []
    for first, last in itertools.pairwise(bounds):
        letters = Counter(_is_rtl(each) for word in words[first:last] for each in word if each.isalpha())
        if letters[True] <= letters[False]:
            continue
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def rows_of(raw: engine.FPDF_TEXTPAGE) -> RowsOfWords:
    """All words of a page."""
    return _words(_glyphs(raw))


def rows_within(raw: engine.FPDF_TEXTPAGE, characters: Sequence[Sequence[tuple[int, int]]]) -> list[RowsOfWords]:
    """The words of some stretches of a page, each of which is the first and the number of characters of its words."""
    glyphs = _glyphs(raw)
    at = [each.first for each in glyphs]
    found = []
    for stretch in characters:
        own = {
            index for first, size in stretch for index in range(bisect_left(at, first), bisect_left(at, first + size))
        }
        found.append(_words([glyphs[index] for index in sorted(own)]))
    return found


def _words(glyphs: list[_Glyph]) -> RowsOfWords:
    if not glyphs:
        return RowsOfWords([], [], np.zeros((0, 4)))
    size = float(np.median([glyph.y1 - glyph.y0 for glyph in glyphs])) * 1.3
    rows = _rows([each for each in glyphs if not _is_mark(each.text)], size)
    for mark in (each for each in glyphs if _is_mark(each.text)):
        _attach(mark, rows, size)
    is_ltr = _runs_from_left(rows)
    words: list[str] = []
    turned: list[bool] = []
    numbers: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    for number, row in enumerate(rows):
        for token in _read(_tokens(row, size), is_ltr=is_ltr):
            words.append(_logical(token) if is_ltr else _ended(token, _logical(token)))
            turned.append(_kind(token) == "R" or not (is_ltr or _kind(token) == "L"))
            numbers.append(number)
            boxes.append(_box(token, size))
    words = _unmirrored(words, turned)
    return RowsOfWords(words, numbers, np.array(boxes, dtype=np.float64).reshape(-1, 4))


def _box(token: list[_Glyph], size: float) -> tuple[float, float, float, float]:
    """Around the glyphs of a word; a mark that was read into it from the other end of its row is left out."""
    while len(token) > 1 and token[0].text in _ENDS and token[0].x0 > max(each.x1 for each in token[1:]) + size:
        token = token[1:]
    left, bottom = min(each.x0 for each in token), min(each.y0 for each in token)
    return left, bottom, max(each.x1 for each in token), max(each.y1 for each in token)


def _is_rtl(character: str) -> bool:
    return _RTL.match(character) is not None


def _is_mark(text: str) -> bool:
    return all(unicodedata.category(each) == "Mn" for each in text)


def _glyphs(raw: engine.FPDF_TEXTPAGE) -> list[_Glyph]:
    """The glyphs that show something: spaces, where there are any, are seen by the gap that they leave."""
    left, right, bottom, top, x, y = (ctypes.c_double() for _ in range(6))
    loose = engine.FS_RECTF()
    at = [ctypes.byref(each) for each in (left, right, bottom, top)]
    glyphs: list[_Glyph] = []
    for index in range(engine.FPDFText_CountChars(raw)):
        code = engine.FPDFText_GetUnicode(raw, index)
        is_shown = 0x20 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF and code not in {0xFFFE, 0xFFFF}
        if not is_shown or engine.FPDFText_IsGenerated(raw, index) == 1:
            continue
        if not engine.FPDFText_GetCharBox(raw, index, *at):
            continue
        engine.FPDFText_GetCharOrigin(raw, index, ctypes.byref(x), ctypes.byref(y))
        box = (left.value, bottom.value, right.value, top.value)
        has_advance = engine.FPDFText_GetLooseCharBox(raw, index, ctypes.byref(loose)) and loose.right > loose.left
        advance = (loose.left, loose.right) if has_advance else (left.value, right.value)
        glyph = _Glyph(chr(code), *box, y.value, index, advance[0], advance[1], index)
        if glyph.text.isspace():
            continue
        if glyphs and _is_one(glyphs[-1], glyph):
            # The parts of a ligature share its place, and the engine has turned their order round.
            last = glyphs[-1]
            last.text = glyph.text + last.text if _is_rtl(glyph.text) else last.text + glyph.text
            last.index = index
        else:
            glyphs.append(glyph)
    return glyphs


def _is_one(a: _Glyph, b: _Glyph) -> bool:
    return b.index == a.index + 1 and (a.x0, a.y0, a.x1, a.y1) == (b.x0, b.y0, b.x1, b.y1)


def _rows(glyphs: list[_Glyph], size: float) -> list[_Row]:
    """Glyphs by baseline, in the order in which the engine came to each row first."""
    rows: list[_Row] = []
    for glyph in sorted(glyphs, key=lambda each: -each.baseline):
        if rows and abs(rows[-1].baseline - glyph.baseline) <= SAME_ROW * size:
            rows[-1].glyphs.append(glyph)
        else:
            rows.append(_Row(glyph.baseline, [glyph]))
    return sorted(rows, key=lambda row: min(each.index for each in row.glyphs))


def _attach(mark: _Glyph, rows: list[_Row], size: float) -> None:
    """Writes a mark after the glyph that it stands above or below."""
    height = (mark.y0 + mark.y1) / 2
    near = [row for row in rows if row.baseline - 0.7 * size < height < row.baseline + 1.4 * size]
    found = min(
        (glyph for row in near for glyph in row.glyphs),
        key=lambda each: (
            max(each.x0 - mark.middle, mark.middle - each.x1, 0.0) + 0.2 * abs(each.baseline - mark.baseline)
        ),
        default=None,
    )
    if found is not None:
        found.text += mark.text


def _runs_from_left(rows: list[_Row]) -> bool:
    """Whether rows run from left to right, with what is written from right to left in them.

    The marks that end sentences stand at the right of such rows; without any it is told by where rows begin.
    """
    ends = Counter[bool]()
    for row in rows:
        if any(_is_rtl(each.text[0]) for each in row.glyphs):
            ends[False] += min(row.glyphs, key=lambda each: each.x0).text in _ENDS
            ends[True] += max(row.glyphs, key=lambda each: each.x1).text in _ENDS
    return ends[True] > ends[False] if ends[True] != ends[False] else _aligns_left(rows)


def _aligns_left(rows: list[_Row]) -> bool:
    """Whether rows begin at one place on the left rather than on the right: then the page runs from left to right."""

    def most_common(edges: list[float]) -> int:
        return max(Counter(round(edge / ALIGNED_POINTS) for edge in edges).values())

    left = most_common([min(each.x0 for each in row.glyphs) for row in rows])
    return left > most_common([max(each.x1 for each in row.glyphs) for row in rows])


def _tokens(row: _Row, size: float) -> list[list[_Glyph]]:
    """The glyphs of a row from left to right, parted where a gap is as wide as a space."""
    tokens: list[list[_Glyph]] = []
    reach = -np.inf
    for glyph in sorted(row.glyphs, key=lambda each: each.middle):
        if not tokens or glyph.begins - reach > SPACE * size:
            tokens.append([])
        tokens[-1].append(glyph)
        reach = max(reach, glyph.ends)
    return tokens


def _kind(token: list[_Glyph]) -> str:
    """What a token is to the order of its row: R, L, a number (D) or neutral (N)."""
    text = "".join(each.text for each in token)
    if any(_is_rtl(each) and each.isalpha() for each in text):
        return "R"
    if any(each.isalpha() for each in text):
        return "L"
    return "D" if any(each.isdigit() for each in text) else "N"


def _read(tokens: list[list[_Glyph]], *, is_ltr: bool) -> list[list[_Glyph]]:
    """Tokens from left to right put into the order in which they are read."""
    if not is_ltr:
        return [each for run in _runs(tokens[::-1], "L") for each in run]
    ordered: list[list[_Glyph]] = []
    for run in _runs(tokens, "R"):
        first, last = run[0], run[-1]
        # In a row that runs from left to right, what ends a sentence stands to the right of its first word.
        while _kind(first) == "R" and len(first) > 1 and first[-1].text in _ENDS:
            last.insert(0, first.pop())
        ordered += run
    return ordered


def _runs(tokens: list[list[_Glyph]], kind: str) -> list[list[list[_Glyph]]]:
    """Tokens grouped so that each stretch from one of `kind` to another is turned round; all others stay."""
    kinds = [_kind(each) for each in tokens]
    other = "L" if kind == "R" else "R"
    runs: list[list[list[_Glyph]]] = []
    position = 0
    while position < len(tokens):
        last = position
        if kinds[position] == kind:
            for index in range(position, len(tokens)):
                if kinds[index] == other:
                    break
                last = index if kinds[index] == kind else last
        runs.append(tokens[position : last + 1][::-1])
        position = last + 1
    return runs


def _logical(token: list[_Glyph]) -> str:
    """The text of one token as it is written: from right to left, but numbers and foreign letters from the left."""
    if _kind(token) in {"L", "D"}:
        return "".join(each.text for each in token)
    texts = [each.text for each in reversed(token)]
    runs_left = [_runs_left(text) for text in texts]
    for index, (before, text, after) in enumerate(zip(texts, texts[1:], texts[2:], strict=False), 1):
        # A point or the like between two figures is part of the number.
        runs_left[index] |= text in _BETWEEN_FIGURES and before.isdigit() and after.isdigit()
    pieces: list[str] = []
    for is_foreign, found in groupby(zip(runs_left, texts, strict=True), key=lambda each: each[0]):
        run = [text for _, text in found]
        pieces += run[::-1] if is_foreign else run
    return "".join(pieces)


def _ended(token: list[_Glyph], text: str) -> str:
    """The `text` of a number or foreign word in a row from the right: marks that stand left of it come after it."""
    if _kind(token) == "R" or len(text) < 2:
        return text
    first = next((at for at, each in enumerate(text) if each not in _ENDS + "()[]"), 0)
    after, rest = text[:first], text[first:]
    core = rest.rstrip("()[]")
    return rest[len(core) :] + core + after[::-1]


def _unmirrored(words: list[str], turned: list[bool]) -> list[str]:
    """The words with the brackets of those that run from the right as written, where the page says how they look.

    Some programs note for a bracket what was written, others what is seen, which looks the other way: the one that
    gives more pairs is believed.
    """
    written = "".join(each for word, is_turned in zip(words, turned, strict=True) if is_turned for each in word)
    if _pairs(written.translate(_MIRRORED)) <= _pairs(written):
        return words
    return [word.translate(_MIRRORED) if is_turned else word for word, is_turned in zip(words, turned, strict=True)]


def _pairs(text: str) -> int:
    """How many brackets are closed after they were opened."""
    opened = count = 0
    for each in text:
        if each in _OPENING:
            opened += 1
        elif each in _CLOSING and opened:
            opened, count = opened - 1, count + 1
    return count


def _runs_left(text: str) -> bool:
    return (text.isalnum() and not _is_rtl(text[0])) or text.isdigit()
