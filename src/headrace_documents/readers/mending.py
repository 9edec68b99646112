"""Words of Thai, Devanagari, Hangul and their kin that the engine has taken apart, put together again.

Where signs are set above and below letters, a program moves the pen back and forth, and the engine takes the movement
for a space, or gives a sign at the wrong end of the line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BEYOND_LATIN = re.compile("[\u0590-\u1dff\u1f00-\u1fff\u2e80-\ua4cf\ua800-\ud7ff\uf900-\ufaff]")
TOUCHING = 0.15
"""Words closer than this share of their height are one."""

CharacterPlace = Callable[[int], tuple[float, float, float, float] | None]
"""The left, bottom, right and top of one character of the engine's count."""


@dataclass(slots=True)
class WordColumns:
    """The words of a page in the engine's order, in columns of one length.

    `lines` rises; `joined` tells whether a word goes on where the one before broke off; `characters` are the first and
    the number of its characters in the engine's count; `boxes` (n, 4) left, bottom, right, top in page space.
    """

    words: list[str]
    lines: list[int]
    joined: list[bool]
    characters: list[tuple[int, int]]
    boxes: npt.NDArray[np.float64]


def may_be_broken(text: str) -> bool:
    """Whether there is any letter in a text that can be broken in this way."""
    return not text.isascii() and _BEYOND_LATIN.search(text) is not None


def mended(columns: WordColumns, place_of: CharacterPlace) -> WordColumns:
    """The words with stray signs back on their letters and touching pieces as one."""
    words = list(columns.words)
    strays = {index for index, word in enumerate(words) if _is_marks(word)}
    for stray in strays:
        _put_back(stray, words, columns, place_of)
    kept = WordColumns([], [], [], [], columns.boxes)
    boxes: list[npt.NDArray[np.float64]] = []
    for index, word in enumerate(words):
        if index in strays and not word:
            continue
        is_same_line = bool(kept.words) and kept.lines[-1] == columns.lines[index]
        if is_same_line and _are_one(kept.words[-1], word, boxes[-1], columns.boxes[index]):
            kept.words[-1] += word
            boxes[-1] = _union(boxes[-1], columns.boxes[index])
            continue
        kept.words.append(word)
        kept.lines.append(columns.lines[index])
        kept.joined.append(columns.joined[index])
        kept.characters.append(columns.characters[index])
        boxes.append(columns.boxes[index])
    kept.boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return kept


def _is_marks(word: str) -> bool:
    return all(unicodedata.category(each) == "Mn" for each in word)


def _union(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.array([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])


def _are_one(before: str, word: str, box: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> bool:
    if not (_BEYOND_LATIN.match(before[-1]) or _BEYOND_LATIN.match(word[0])):
        return False
    gap, height = own[0] - box[2], box[3] - box[1]
    is_sign = unicodedata.category(word[0]) in {"Mn", "Mc"}
    return bool(-height < gap < (2 * TOUCHING if is_sign else TOUCHING) * height)


def _put_back(stray: int, words: list[str], columns: WordColumns, place_of: CharacterPlace) -> None:
    """Writes the signs of one stray into the word of its row that they stand above or below; it is then empty."""
    left, bottom, right, top = columns.boxes[stray].tolist()
    middle = (left + right) / 2
    away = np.abs(columns.boxes[:, 1] + columns.boxes[:, 3] - bottom - top)
    for index in np.argsort(away, kind="stable").tolist():
        x0, y0, x1, y1 = columns.boxes[index].tolist()
        is_beside = y0 - (y1 - y0) < (bottom + top) / 2 < y1 + (y1 - y0)
        if index == stray or not (x0 - 1 <= middle <= x1 + 1 and is_beside) or _is_marks(words[index]):
            continue
        first, size = columns.characters[index]
        if words[index] != columns.words[index] or size != len(words[index]):
            continue
        edges = [place_of(first + each) for each in range(size)]
        at = [each for each, edge in enumerate(edges) if edge is not None and edge[0] - 1 <= middle <= edge[2] + 1]
        bases = [each for each in at if unicodedata.category(words[index][each]) != "Mn"]
        if not bases:
            continue
        end = bases[-1] + 1
        while end < size and unicodedata.category(words[index][end]) == "Mn":
            end += 1
        words[index] = words[index][:end] + words[stray] + words[index][end:]
        words[stray] = ""
        return
