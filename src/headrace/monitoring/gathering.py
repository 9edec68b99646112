"""Gathering: the sketches of a batch while it fills, with less work than adding each decision to all its segments."""

from __future__ import annotations

from headrace.monitoring.window import Batch, Seen, WindowSketch

MOST_SEGMENTS = 120
_MOST_TOGETHER = 8


class Gathering:
    """Decisions that belong to the same segments are added up once, and merged into each of these when it is settled.

    Most traffic is of few kinds: the first `_MOST_TOGETHER` that come have a sketch of their own, so memory is bounded,
    and decisions of any other kind are added segment by segment.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._together: dict[tuple[str, tuple[str, ...]], WindowSketch] = {}

    def add(self, release: str, seen: Seen) -> None:
        """Takes a decision in."""
        kind = release, seen.segments
        together = self._together.get(kind)
        if together is None and len(self._together) < _MOST_TOGETHER:
            together = self._together[kind] = WindowSketch()
        if together is not None:
            together.add(seen)
            return
        for segment in seen.segments:
            self._sketch(release, segment).add(seen)

    def settle(self) -> None:
        """Puts all that was added into the batch."""
        for (release, segments), sketch in self._together.items():
            for segment in segments:
                self._sketch(release, segment).merge(sketch)
        self._together = {}

    def _sketch(self, release: str, segment: str) -> WindowSketch:
        segments = self._batch.sketches.setdefault(release, {})
        sketch = segments.get(segment)
        if sketch is None:
            name = segment if len(segments) < MOST_SEGMENTS else f"{segment.partition('=')[0]}=(others)"
            sketch = segments.setdefault(name, WindowSketch())
        return sketch
