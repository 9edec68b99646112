"""Columns: what was seen of decisions of one kind, feature by feature, until all of them are added up at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from headrace.domain.observation import Observation
from headrace.monitoring.heavy_counts import LONGEST, weighed
from headrace.monitoring.quantile_sketch import add_columns
from headrace.monitoring.window import (
    CONFIDENCE_BINS,
    MEANINGS,
    MOST_FEATURES,
    OK,
    QUALITY,
    WATCHED,
    WindowSketch,
    is_share,
)

MOST_ROWS = 128
"""Decisions that wait to be added up."""


class Columns:
    """The sketch of decisions that have all `tags` in common.

    To take one in is a few appends; its numbers are sorted into buckets together with those of others, by arrays.
    """

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = tags
        self._sketch = WindowSketch()
        self._clear()

    def add(self, observation: Observation) -> None:
        """Takes a decision in; raises what a number or a name that is none raises, and then nothing of it is kept."""
        numbers, meaning = tuple(observation.numbers)[:MOST_FEATURES], observation.embedding[:WATCHED]
        values = [*map(float, islice(observation.numbers.values(), MOST_FEATURES)), *map(float, meaning)]
        categories = tuple(observation.categories)[:MOST_FEATURES]
        named = [value[:LONGEST] for value in islice(observation.categories.values(), MOST_FEATURES)]
        codes = [code[:LONGEST] for code in observation.findings]
        weights = weighed(observation.contributions)
        self._rows += 1
        self._numbers.setdefault(numbers + MEANINGS[: len(meaning)], []).append(values)
        self._categories.setdefault(categories, []).append(named)
        self._quality.append(codes[0] if codes else OK)
        self._weights += weights
        if codes:
            self._codes += codes
            self._sketch.suspect += 1
        if self._rows >= MOST_ROWS:
            self._add_up()

    def sketch(self) -> WindowSketch:
        """All that was taken in."""
        self._add_up()
        return self._sketch

    def _add_up(self) -> None:
        sketch = self._sketch
        sketch.count += self._rows
        for names, rows in self._numbers.items():
            add_columns([sketch.number(name) for name in names], np.array(rows, np.float64))
            if "confidence" in names:
                place = names.index("confidence")
                _count_confidence(sketch, [row[place] for row in rows])
        for names, named in self._categories.items():
            for name, values in zip(names, zip(*named, strict=True), strict=True):
                sketch.category(name).add_all(values)
        sketch.category(QUALITY).add_all(self._quality)
        for name, value in self._tags.items():
            sketch.category(name).add(value, self._rows)
        sketch.findings.add_all(self._codes)
        sketch.contributions.add(self._weights)
        self._clear()

    def _clear(self) -> None:
        self._rows = 0
        # By the names that come together, which are mostly the same in each decision: rows of their values.
        self._numbers: dict[tuple[str, ...], list[list[float]]] = {}
        self._categories: dict[tuple[str, ...], list[list[str]]] = {}
        self._quality: list[str] = []
        self._codes: list[str] = []
        self._weights: list[tuple[str, float]] = []


def _count_confidence(sketch: WindowSketch, values: Sequence[float]) -> None:
    sure = [value for value in values if is_share(value)]
    for place, times in Counter([min(int(value * CONFIDENCE_BINS), CONFIDENCE_BINS - 1) for value in sure]).items():
        sketch.confidence[place] = sketch.confidence.get(place, 0) + times
    sketch.sure += sum(sure)
