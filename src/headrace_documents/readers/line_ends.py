"""Words that the engine took apart, or put together, where one line ends and the next begins.

On a page with little text it is not sure which way lines run: it ends a line within a word where a letter was drawn by
itself, and goes on in the line below without a space.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.mending import CharacterPlace, WordColumns

TOUCHING, LEVEL = 0.2, 0.6
"""Pieces closer than this, in the height of the higher one, are one word if they share this much of the lower one's."""


def relined(columns: WordColumns, stacked: Sequence[int], place_of: CharacterPlace) -> WordColumns:
    """The words of an upright page, each in one line and whole; `stacked` are those that stand in several lines."""
    if stacked:
        columns = _parted(columns, set(stacked), place_of)
    broken = _broken(columns)
    return _healed(columns, set(broken)) if broken else columns


def _parted(columns: WordColumns, several: set[int], place_of: CharacterPlace) -> WordColumns:
    """The words with each of those that stand in several lines as a word for each line."""
    found = WordColumns([], [], [], [], columns.boxes)
    boxes: list[npt.NDArray[np.float64]] = []
    added = 0
    for index, word in enumerate(columns.words):
        first, size = columns.characters[index]
        places = [place_of(first + each) for each in range(size)] if index in several and size == len(word) else []
        cuts = _cuts(places)
        for number, (begin, end) in enumerate(itertools.pairwise([0, *cuts, len(word)])):
            added += number > 0
            found.words.append(word[begin:end])
            found.lines.append(columns.lines[index] + added)
            found.joined.append(columns.joined[index] and number == 0)
            found.characters.append((first + begin, end - begin) if cuts else (first, size))
            boxes.append(_around(places[begin:end]) if cuts else columns.boxes[index])
    found.boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return found


def _broken(columns: WordColumns) -> list[int]:
    """The words at the beginning of a line that go on right where the last of the line before ended."""
    boxes = columns.boxes
    starts = np.flatnonzero(np.diff(columns.lines)) + 1
    before, own = boxes[starts - 1], boxes[starts]
    heights = np.stack((before[:, 3] - before[:, 1], own[:, 3] - own[:, 1]))
    shared = np.minimum(before[:, 3], own[:, 3]) - np.maximum(before[:, 1], own[:, 1])
    is_one = (shared > LEVEL * heights.min(axis=0)) & (
        np.abs(own[:, 0] - before[:, 2]) < TOUCHING * heights.max(axis=0)
    )
    found: list[int] = starts[is_one].tolist()
    return found


def _healed(columns: WordColumns, broken: set[int]) -> WordColumns:
    """The words with those that are `broken` at the end of the words before them, in one line."""
    found = WordColumns([], [], [], [], columns.boxes)
    boxes: list[npt.NDArray[np.float64]] = []
    lost = 0
    for index, word in enumerate(columns.words):
        box, (first, size) = columns.boxes[index], columns.characters[index]
        if index in broken and not columns.joined[index]:
            lost += 1
            begin, _ = found.characters[-1]
            found.words[-1] += word
            found.characters[-1] = (begin, first + size - begin)
            boxes[-1] = np.concatenate((np.minimum(boxes[-1][:2], box[:2]), np.maximum(boxes[-1][2:], box[2:])))
            continue
        found.words.append(word)
        found.lines.append(columns.lines[index] - lost)
        found.joined.append(columns.joined[index])
        found.characters.append((first, size))
        boxes.append(box)
    found.boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return found


def _cuts(places: Sequence[tuple[float, float, float, float] | None]) -> list[int]:
    """The numbers of the characters that stand wholly below the one before, and do not come after it."""
    cuts = []
    for number, (before, own) in enumerate(itertools.pairwise(places), 1):
        if before is not None and own is not None and own[3] < before[1] and 2 * own[0] < before[0] + before[2]:
            cuts.append(number)
    return cuts


def _around(places: Sequence[tuple[float, float, float, float] | None]) -> npt.NDArray[np.float64]:
    known = np.array([place for place in places if place is not None])
    return np.concatenate((known[:, :2].min(axis=0), known[:, 2:].max(axis=0)))
