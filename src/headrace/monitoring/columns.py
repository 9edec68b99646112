"""Columns: what was seen of decisions of one kind, feature by feature, until all of them are added up at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice

import numpy as np

from headrace.domain.observation import Observation
from headrace.monitoring.heavy_counts import LONGEST, weighed
from headrace.monitoring.window import (
    CONFIDENCE_BINS,
    LONGEST_EMBEDDING,
    MOST_FEATURES,
    QUALITY,
    WATCHED,
    WindowSketch,
    is_share,
    quality_of,
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
        numbers = [(name, float(value)) for name, value in islice(observation.numbers.items(), MOST_FEATURES)]
        named = [(name, value[:LONGEST]) for name, value in islice(observation.categories.items(), MOST_FEATURES)]
        codes = [code[:LONGEST] for code in observation.findings]
        weights = weighed(observation.contributions)
        embedding = list(observation.embedding)[:LONGEST_EMBEDDING]
        self._rows += 1
        for name, value in numbers:
            self._numbers.setdefault(name, []).append(value)
        for name, category in named:
            self._categories.setdefault(name, []).append(category)
        self._categories.setdefault(QUALITY, []).append(quality_of(observation))
        self._sketch.contributions.add(weights)
        for code in codes:
            self._sketch.findings.add(code)
        self._sketch.suspect += bool(codes)
        if embedding:
            self._embeddings.setdefault(len(embedding), []).append(embedding)
        if self._rows >= MOST_ROWS:
            self._add_up()

    def sketch(self) -> WindowSketch:
        """All that was taken in."""
        self._add_up()
        return self._sketch

    def _add_up(self) -> None:
        sketch = self._sketch
        sketch.count += self._rows
        for name, values in self._numbers.items():
            sketch.number(name).add_all(np.array(values, np.float64))
        for name, categories in self._categories.items():
            for category, times in Counter(categories).items():
                sketch.category(name).add(category, times)
        for name, value in self._tags.items():
            sketch.category(name).add(value, self._rows)
        for embeddings in self._embeddings.values():
            rows = np.array(embeddings, np.float64)
            sketch.embed(rows.sum(axis=0).tolist(), (rows * rows).sum(axis=0).tolist(), len(rows))
            for place, values in enumerate(rows.T[:WATCHED], start=1):
                sketch.number(f"meaning_{place}").add_all(values)
        sure = [value for value in self._numbers.get("confidence", ()) if is_share(value)]
        for place, times in Counter([min(int(value * CONFIDENCE_BINS), CONFIDENCE_BINS - 1) for value in sure]).items():
            sketch.confidence[place] = sketch.confidence.get(place, 0) + times
        sketch.sure += sum(sure)
        self._clear()

    def _clear(self) -> None:
        self._rows = 0
        self._numbers: dict[str, list[float]] = {}
        self._categories: dict[str, list[str]] = {}
        self._embeddings: dict[int, list[list[float]]] = {}
