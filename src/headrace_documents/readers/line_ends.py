"""Words that the engine took apart, or put together, where one line ends and the next begins.

On a page with little text it is not sure which way lines run: it ends a line within a word where a letter was drawn by
itself, and goes on in the line below without a space.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from headrace_documents.readers.mending import CharacterPlace, WordColumns

NEAR, TOUCHING, LEVEL, SIZE = 0.8, 0.1, 0.3, 0.9
"""Words nearer than this stand in one line, and nearer than that are one word, if their feet are this close: all by the
room that their letters take, in its height. Marks of notes are smaller than that share of the words beside them."""
LOST = 0.25
"""A page of which this share of the words was broken has no lines at all."""


def relined(
    columns: WordColumns, stacked: Sequence[int], place_of: CharacterPlace, room_of: CharacterPlace
) -> WordColumns:
    """The words of an upright page, each in one line and whole; `stacked` are those that stand in several lines."""
    if stacked:
        columns = _parted(columns, set(stacked), place_of)
    gaps = _gaps(columns, place_of, room_of)
    broken = {index for index, gap in gaps.items() if abs(gap) < TOUCHING and not columns.joined[index]}
    if not broken:
        return columns
    if len(broken) > LOST * len(columns.words):
        is_new = [index > 0 and line != columns.lines[index - 1] for index, line in enumerate(columns.lines)]
        numbers = np.cumsum([new and index not in gaps for index, new in enumerate(is_new)])
        # Words that go on right where the one before ended are given a line of their own until they are one with it.
        lines = (numbers + np.cumsum([index in broken for index in range(len(is_new))])).tolist()
        columns = replace(columns, lines=lines)
    return _healed(columns, broken)


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


def _gaps(columns: WordColumns, place_of: CharacterPlace, room_of: CharacterPlace) -> dict[int, float]:
    """How far the words at the beginning of a line are from the one before, of those that stand right after it."""
    boxes = columns.boxes
    starts = np.flatnonzero(np.diff(columns.lines)) + 1
    before, own = boxes[starts - 1], boxes[starts]
    height = np.maximum(before[:, 3] - before[:, 1], own[:, 3] - own[:, 1])
    is_level = np.abs(before[:, 1] + before[:, 3] - own[:, 1] - own[:, 3]) < 2 * height
    is_close = np.abs(own[:, 0] - before[:, 2]) < 2 * NEAR * height
    found = {}
    for index in starts[is_level & is_close].tolist():
        first, size = columns.characters[index - 1]
        ends = first + size - 1, columns.characters[index][0]
        left, right = map(room_of, ends)
        if left is None or right is None:
            continue
        rooms = left[3] - left[1], right[3] - right[1]
        room = max(*rooms, 1.0)
        # Of the letters of a ligature no room is known but what they fill.
        if min(rooms) < SIZE * room and left != place_of(ends[0]) and right != place_of(ends[1]):
            continue
        gap = (right[0] - left[2]) / room
        if abs(right[1] - left[1]) < LEVEL * room and -TOUCHING < gap < NEAR:
            found[index] = gap
    return found


def _healed(columns: WordColumns, broken: set[int]) -> WordColumns:
    """The words with those that are `broken` at the end of the words before them, in one line."""
    found = WordColumns([], [], [], [], columns.boxes)
    boxes: list[npt.NDArray[np.float64]] = []
    lost = 0
    for index, word in enumerate(columns.words):
        box, (first, size) = columns.boxes[index], columns.characters[index]
        if index in broken:
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
