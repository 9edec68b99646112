"""WindowSketch: all that was seen of one segment of one release within one window of time, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from headrace.domain.observation import Observation
from headrace.errors import UnreadableArtifact
from headrace.monitoring.heavy_counts import HeavyCounts, HeavySums, weighed
from headrace.monitoring.quantile_sketch import QuantileSketch, bucket_of

EVERYTHING = "all"
"""The segment that every decision belongs to; others are `field=value`."""
CONFIDENCE_BINS = 50
MOST_FEATURES = 64
ORIGINS = {"confidence": 1.0}
"""Where numbers are looked at most closely, if not next to 0: 0.99 and 0.999 are not the same confidence."""
QUALITY = "quality"
"""The category that says what was first found of an input."""
OK = "ok"
"""What that category says of an input in which nothing was found."""
WATCHED = 4
"""Directions of the embedding that are watched as numbers: a shift of subject moves nearly every one."""
MEANINGS = tuple(f"meaning_{place}" for place in range(1, WATCHED + 1))
"""What these numbers are called."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation made ready to be added to many sketches."""

    numbers: tuple[tuple[str, float, int], ...]
    categories: tuple[tuple[str, str], ...]
    contributions: list[tuple[str, float]]
    findings: tuple[str, ...]
    segments: tuple[str, ...]
    confidence: float | None

    @classmethod
    def of(cls, observation: Observation) -> Seen:
        """Its buckets and segments; tags are categories too, so that a flood from one source is seen in the whole."""
        numbers = [(name, float(value)) for name, value in list(observation.numbers.items())[:MOST_FEATURES]]
        numbers += zip(MEANINGS, map(float, observation.embedding[:WATCHED]), strict=False)
        confidence = observation.numbers.get("confidence")
        tags = tags_of(observation)
        return cls(
            numbers=tuple((name, value, bucket_of(value - ORIGINS.get(name, 0.0))) for name, value in numbers),
            categories=(
                *list(observation.categories.items())[:MOST_FEATURES],
                *tags.items(),
                (QUALITY, quality_of(observation)),
            ),
            contributions=weighed(observation.contributions),
            findings=observation.findings,
            segments=segments_of(tags),
            confidence=confidence if confidence is not None and is_share(confidence) else None,
        )

    def of_a_part(self) -> Seen:
        """What of it is added to segments: which terms spoke for an answer is told of all decisions together only."""
        return replace(self, contributions=[])


def tags_of(observation: Observation) -> dict[str, str]:
    """The tags that say anything."""
    return {name: value for name, value in observation.tags.items() if value}


def segments_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The segments that decisions with these tags belong to."""
    return EVERYTHING, *[f"{name}={value[:80]}" for name, value in tags.items()]


def quality_of(observation: Observation) -> str:
    """What was first found of the input, in one word."""
    return observation.findings[0] if observation.findings else OK


def is_share(value: float) -> bool:
    """Whether it is from 0 to 1, as a confidence has to be."""
    return 0 <= value <= 1


class WindowSketch(msgspec.Struct):
    """Sketches by feature. `confidence` counts by `CONFIDENCE_BINS` bins of equal width from 0 to 1.

    `contributions` are those of `EVERYTHING` only: nobody asks for them by segment, and they are half of all there is.
    """

    count: int = 0
    numbers: dict[str, QuantileSketch] = {}
    categories: dict[str, HeavyCounts] = {}
    contributions: HeavySums = msgspec.field(default_factory=HeavySums)
    findings: HeavyCounts = msgspec.field(default_factory=HeavyCounts)
    suspect: int = 0
    confidence: dict[int, int] = {}
    sure: float = 0.0

    def add(self, seen: Seen) -> None:
        """Takes a decision in."""
        self.count += 1
        for name, value, bucket in seen.numbers:
            self.number(name).add(value, bucket)
        for name, category in seen.categories:
            self.category(name).add(category)
        self.contributions.add(seen.contributions)
        for code in seen.findings:
            self.findings.add(code)
        self.suspect += bool(seen.findings)
        if seen.confidence is not None:
            place = min(int(seen.confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)
            self.confidence[place] = self.confidence.get(place, 0) + 1
            self.sure += seen.confidence

    def number(self, name: str) -> QuantileSketch:
        """The sketch of a number, which begins now if there was none."""
        sketch = self.numbers.get(name)
        if sketch is None:
            sketch = self.numbers[name] = QuantileSketch(origin=ORIGINS.get(name, 0.0))
        return sketch

    def category(self, name: str) -> HeavyCounts:
        """The counts of a category, which begin now if there were none."""
        counts = self.categories.get(name)
        if counts is None:
            counts = self.categories[name] = HeavyCounts()
        return counts

    def merge(self, other: WindowSketch) -> None:
        """Takes in all that `other` has seen; the order of merging does not matter."""
        self.count += other.count
        for name, sketch in other.numbers.items():
            self.numbers.setdefault(name, QuantileSketch()).merge(sketch)
        for name, counts in other.categories.items():
            self.categories.setdefault(name, HeavyCounts()).merge(counts)
        self.contributions.merge(other.contributions)
        self.findings.merge(other.findings)
        self.suspect += other.suspect
        for place, times in other.confidence.items():
            self.confidence[place] = self.confidence.get(place, 0) + times
        self.sure += other.sure


class Exemplar(msgspec.Struct, frozen=True):
    """One decision with what was seen of it, kept so that an alarm can point at decisions to look at."""

    decision_id: str
    release: str
    segments: tuple[str, ...]
    numbers: dict[str, float]
    categories: dict[str, str]


def exemplar_of(decision_id: str, release: str, observation: Observation) -> Exemplar:
    """What an alarm needs to know of a decision."""
    seen = Seen.of(observation)
    return Exemplar(
        decision_id=decision_id,
        release=release,
        segments=seen.segments,
        numbers={name: value for name, value, _ in seen.numbers},
        categories=dict(seen.categories),
    )


class Batch(msgspec.Struct):
    """What one process saw within one window: sketches by release and segment, and what it could not take in.

    `unseen` are decisions of which the author's code could not say what is to be watched, with the last reason why.
    `recalibrate` names releases whose estimates an operator wants to go by their labels from now on.
    """

    process: str
    window_start: float
    sketches: dict[str, dict[str, WindowSketch]] = {}
    exemplars: list[Exemplar] = []
    dropped: int = 0
    skewed: int = 0
    recalibrate: list[str] = []
    unseen: int = 0
    unseen_because: str = ""

    @property
    def count(self) -> int:
        """How many decisions it holds."""
        return sum(segments[EVERYTHING].count for segments in self.sketches.values() if EVERYTHING in segments)


def encoded(batch: Batch) -> bytes:
    """The batch as MessagePack."""
    return msgspec.msgpack.encode(batch)


def decoded(content: bytes) -> Batch:
    """The batch from its MessagePack."""
    return msgspec.msgpack.decode(content, type=Batch)


def merged(into: dict[str, WindowSketch], others: Mapping[str, WindowSketch]) -> None:
    """Adds sketches by segment."""
    for segment, sketch in others.items():
        into.setdefault(segment, WindowSketch()).merge(sketch)


class _Reference(msgspec.Struct):
    """What a reference says to the watch; a trainer may write more into it for people."""

    sketches: dict[str, WindowSketch] = {}


def reference_of(observations: Iterable[Observation], *, fewest: int) -> dict[str, WindowSketch]:
    """The sketches of what was observed, of those segments that `fewest` or more belong to.

    Where no finding was made nobody has looked for any, so they say nothing of how often inputs are in doubt.
    """
    sketches: dict[str, WindowSketch] = {}
    for observation in observations:
        seen = Seen.of(observation)
        sketches.setdefault(EVERYTHING, WindowSketch()).add(seen)
        part = seen.of_a_part()
        for segment in seen.segments[1:]:
            sketches.setdefault(segment, WindowSketch()).add(part)
    for sketch in sketches.values():
        if not sketch.suspect:
            sketch.categories.pop(QUALITY, None)
    return {segment: sketch for segment, sketch in sketches.items() if sketch.count >= fewest}


def reference_written(sketches: Mapping[str, WindowSketch], *, beside: bytes = b"{}") -> bytes:
    """A reference by segment, as the JSON file that a release names by its digest; `all` has every decision.

    `beside` is a JSON object with what else is to stand in it.
    """
    content = msgspec.json.decode(beside, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(content | msgspec.to_builtins(_Reference(dict(sketches)), str_keys=True))


def reference_read(content: bytes) -> dict[str, WindowSketch]:
    """The sketches in a reference, none where its trainer made none; raises `UnreadableArtifact` for what is none."""
    try:
        return msgspec.json.decode(content, type=_Reference).sketches
    except (msgspec.DecodeError, msgspec.ValidationError) as failure:
        raise UnreadableArtifact(
            f"It holds no drift reference: {failure}.", remedy="Train the release anew."
        ) from failure
