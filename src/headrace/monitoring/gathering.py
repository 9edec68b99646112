"""Gathering: the sketches of a batch while it fills, with less work than adding each decision to all its segments."""

from __future__ import annotations

from headrace.domain.observation import Observation
from headrace.monitoring.columns import Columns
from headrace.monitoring.heavy_counts import HeavySums
from headrace.monitoring.window import EVERYTHING, Batch, Seen, WindowSketch, segments_of, tags_of

MOST_SEGMENTS = 120
_MOST_TOGETHER = 8


class Gathering:
    """Decisions that have the same tags are added up once, and merged into each of their segments when it is settled.

    Most traffic is of few kinds: the first `_MOST_TOGETHER` that come have columns of their own, so memory is bounded,
    and decisions of any other kind are added one by one, segment by segment.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._together: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[tuple[str, ...], Columns]] = {}

    def add(self, release: str, observation: Observation) -> None:
        """Takes a decision in; raises what a number or a name that is none raises, and then nothing of it is kept."""
        kind = release, tuple(observation.tags.items())
        together = self._together.get(kind)
        if together is None and len(self._together) < _MOST_TOGETHER:
            tags = tags_of(observation)
            together = self._together[kind] = segments_of(tags), Columns(tags)
        if together is not None:
            together[1].add(observation)
            return
        seen = Seen.of(observation)
        self._sketch(release, EVERYTHING).add(seen)
        part = seen.of_a_part()
        for segment in seen.segments[1:]:
            self._sketch(release, segment).add(part)

    def settle(self) -> None:
        """Puts all that was added into the batch."""
        for (release, _), (segments, together) in self._together.items():
            sketch = together.sketch()
            for segment in segments:
                self._sketch(release, segment).merge(sketch)
                # The first is that of everything: what comes after it are parts, which go without.
                sketch.contributions = HeavySums()
        self._together = {}

    def absorb(self, other: Batch) -> None:
        """Takes in what another batch has gathered, by as many segments as fit."""
        for release, segments in other.sketches.items():
            for segment, sketch in segments.items():
                self._sketch(release, segment).merge(sketch)

    def _sketch(self, release: str, segment: str) -> WindowSketch:
        segments = self._batch.sketches.setdefault(release, {})
        sketch = segments.get(segment)
        if sketch is None:
            name = segment if len(segments) < MOST_SEGMENTS else f"{segment.partition('=')[0]}=(others)"
            sketch = segments.setdefault(name, WindowSketch())
        return sketch
