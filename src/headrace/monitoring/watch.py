"""ReleaseWatch: all streams of one release, the reference they are held against, and the causes of what changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from headrace.domain.report import Cause, Effect, WatchState
from headrace.monitoring.bursts import common_effect
from headrace.monitoring.calming import Calming
from headrace.monitoring.detectors import BETTING, Budget
from headrace.monitoring.drift import category_shift, number_shift
from headrace.monitoring.gathered import gathered_in
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.quantile_sketch import QuantileSketch
from headrace.monitoring.shelf import SketchShelf, unpacked
from headrace.monitoring.stream import Stream, StreamState
from headrace.monitoring.window import EVERYTHING, Exemplar, WindowSketch, merged

MOST_SEGMENTS = 100
UNTESTED = frozenset({"duration_ms", "variant"})
"""Features that vary by themselves: with load, and with what a rollout is told to do. Rules and reports have them."""
LINKED = 10
WHOLE_PART = 0.5
"""The part of alpha for the streams of all traffic; those of segments, which are many more, share the rest."""
_EXEMPLARS = 512
_GENERATION = 100
_OVER_PSI, _STILL_THERE_PSI, _WORTH_A_LOOK_PSI = 0.025, 0.05, 0.1
"""A change is over where its distance is below the first and surely below the last, and is not from the second on."""
_NEARLY_ALL = 0.95
_GONE = 20
_CLEARLY = 1.5
_MORE, _MOST_TELLING = 0.5, 50
"""By so many powers of ten the evidence for a cause has to have grown for it to be told anew; beyond the other one it
says no more of where it is strongest."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`alpha`: the chance that a run of a release in which nothing changes ever raises an alarm.

    `reference_decisions` are learned from when a release brings no reference; `learn` of each stream make its bins.
    """

    alpha: float = 0.01
    reference_decisions: int = 500
    learn: int = 200


class WatchMemory(msgspec.Struct):
    """A watch as it is stored. What is many times larger unpacked, sketches and the state of streams, stays packed.

    `reference` is what came with the release where `is_given`; then `own` is what was learned from its traffic.
    `betting` names the bets that were made, as `BETTING` does.
    """

    reference: dict[str, msgspec.Raw] = {}
    mix: dict[str, WindowSketch] = {}
    recent: dict[str, WindowSketch] = {}
    former: dict[str, msgspec.Raw] = {}
    streams: list[tuple[str, str, msgspec.Raw]] = []
    alarmed: list[tuple[str, str]] = []
    exemplars: list[Exemplar] = []
    founders: int = 0
    is_given: bool = False
    own: dict[str, msgspec.Raw] = {}
    betting: str = ""


class ReleaseWatch:
    """Takes the sketches of batches in and names what changed: each stream at most once until it is reset.

    `reference` is what came with the release, by segment. With it tests begin at the first decision, and reports say
    how far traffic is from it. What traffic is like by itself is learned in any case: whether it changes, and whether
    it has calmed down again, is held against that, for examples to learn from are seldom mixed as traffic is.
    """

    def __init__(
        self,
        release: str,
        options: WatchOptions,
        rng: np.random.Generator,
        *,
        reference: Mapping[str, WindowSketch] | None = None,
    ) -> None:
        self.release = release
        self._options = options
        self._rng = rng
        self._whole = Budget(options.alpha * WHOLE_PART)
        self._parts = Budget(options.alpha * (1 - WHOLE_PART))
        self._founders = 0
        self._streams: dict[tuple[str, str], Stream] = {}
        self._alarmed: set[tuple[str, str]] = set()
        self._given = SketchShelf(reference)
        self._reference = SketchShelf()
        self._learned: dict[str, WindowSketch] = {}
        self._mix: dict[str, WindowSketch] = {}
        self._recent: dict[str, WindowSketch] = {}
        self._former = SketchShelf()
        self._exemplars: list[Exemplar] = []
        self._bunched = 1.0
        self._calming: dict[tuple[str, str], Calming] = {}

    @property
    def state(self) -> WatchState:
        """Learning until the reference has what it needs."""
        return WatchState.WATCHING if len(self._given) or EVERYTHING in self._reference else WatchState.LEARNING

    def reference(self, segment: str) -> WindowSketch | None:
        """What is normal in a segment, as far as it is known; None for one that was never seen."""
        return self._reference.get(segment) or self._given.get(segment) or self._learned.get(segment)

    def take(self, sketches: Mapping[str, WindowSketch], exemplars: Sequence[Exemplar]) -> list[Cause]:
        """What has newly changed by this batch, the clearest first; sketches are by segment."""
        self._exemplars = [*self._exemplars, *exemplars][-_EXEMPLARS:]
        crossed: list[tuple[float, str, str]] = []
        if not self._founders:
            self._name_founders(sketches)
        if EVERYTHING not in self._reference:
            merged(self._mix, {segment: labels_only(sketch) for segment, sketch in sketches.items()})
        # The whole first, then segments as they turn up: that is the order in which alpha is given out.
        for segment in sorted(sketches, key=lambda name: name != EVERYTHING):
            sketch = sketches[segment]
            if not self._has_room(segment):
                continue
            self._remember(segment, sketch)
            for feature, seen in features_of(sketch):
                evidence = self._tested(feature, segment, seen)
                if evidence >= 0.0 and (feature, segment) not in self._alarmed:
                    crossed.append((evidence, feature, segment))
            self._settle(segment)
        self._bunched = self._bunched_on_average()
        for calming in self._calming.values():
            calming.idle += sketches[EVERYTHING].count if EVERYTHING in sketches else 0
        self._alarmed |= {(feature, segment) for _, feature, segment in crossed}
        named: dict[tuple[str, str], float] = {}
        for evidence, feature, segment in sorted(crossed, reverse=True):
            named.setdefault((feature, self._home(feature, segment)), evidence)
        return [self.cause(feature, segment, evidence) for (feature, segment), evidence in named.items()]

    def _home(self, feature: str, segment: str) -> str:
        """Where a change has its home: the segment in which the evidence for it is strongest.

        What changes in one segment of many shows in the whole too, and may pass the lower bound there first.
        """
        rivals = {other: stream for (name, other), stream in self._streams.items() if name == feature}
        if EVERYTHING in rivals and rivals[EVERYTHING].won() > 10**_MOST_TELLING:
            return self._farthest(feature, rivals)
        best = max(rivals, key=lambda other: rivals[other].won(), default=segment)
        # A segment that nearly every decision belongs to says nothing beyond the whole.
        is_whole = EVERYTHING in rivals and rivals[best].tested >= _NEARLY_ALL * rivals[EVERYTHING].tested
        if not is_whole:
            return best
        return self._gathered(feature, rivals) or EVERYTHING

    def _gathered(self, feature: str, rivals: Mapping[str, Stream]) -> str | None:
        known = {segment for segment, stream in rivals.items() if not stream.is_learning}
        return gathered_in(self._exemplars, feature, rivals[EVERYTHING].lift, known=known)

    def _farthest(self, feature: str, rivals: Mapping[str, Stream]) -> str:
        """Where it has moved clearly further than in the whole.

        Capital has a bound, and where it is reached none of them has more evidence than another.
        """
        whole = self.effect(feature, EVERYTHING)
        told = {
            segment: effect.psi.low
            for segment, stream in rivals.items()
            # What a tag says of itself is no news, nor is what nearly every decision belongs to.
            if segment != EVERYTHING and not segment.startswith(f"{feature}=") and not stream.is_learning
            if stream.tested < _NEARLY_ALL * rivals[EVERYTHING].tested
            if (effect := self.effect(feature, segment)) is not None
        }
        best = max(told, key=lambda segment: told[segment], default=EVERYTHING)
        if whole is not None and best in told and told[best] > _CLEARLY * whole.psi.value:
            return best
        return self._gathered(feature, rivals) or EVERYTHING

    def renewed(self, cause: Cause) -> Cause:
        """A cause as it looks now, when there is more evidence for it than there was; else as it was."""
        stream = self._streams.get((cause.feature, EVERYTHING)) or self._streams.get((cause.feature, cause.segment))
        if stream is None:
            return cause
        evidence = max(self._evidence(cause.feature, each) for each in {cause.segment, EVERYTHING})
        if evidence <= cause.evidence + _MORE:
            return cause
        return self.cause(cause.feature, self._home(cause.feature, cause.segment), evidence)

    def _evidence(self, feature: str, segment: str) -> float:
        stream = self._streams.get((feature, segment))
        if stream is None or not self._founders:
            return -math.inf
        return math.log10(max(stream.capital(), 1e-300) * self._share(feature, segment))

    def cause(self, feature: str, segment: str, evidence: float) -> Cause:
        """What happened to a feature in words, and ten decisions that show it."""
        effect = self.effect(feature, segment)
        words = f"{feature} in {segment}: {effect.words}" if effect else f"{feature} in {segment} has changed"
        return Cause(feature, segment, words, round(evidence, 2), self._linked(feature, segment))

    def effect(self, feature: str, segment: str) -> Effect | None:
        """How far it has moved of late; None while there is nothing to hold it against."""
        reference, lately = self.reference(segment), self.lately(segment)
        if reference is None or not lately.count:
            return None
        if feature in reference.numbers and feature in lately.numbers:
            return number_shift(feature, segment, reference.numbers[feature], lately.numbers[feature]).effect()
        if feature in reference.categories and feature in lately.categories:
            return category_shift(feature, segment, reference.categories[feature], lately.categories[feature]).effect()
        return None

    def is_calm(self, feature: str, segment: str) -> bool | None:
        """Whether it is back near its reference: clearly below what is worth a look; None while that cannot be said."""
        # From the first time that it is asked, which is when the alarm was raised or the watch began anew.
        calming, reference = self._calming.setdefault((feature, segment), Calming()), self.reference(segment)
        known = None if reference is None else reference.numbers.get(feature) or reference.categories.get(feature)
        if calming.idle >= _GONE * self._options.learn:
            # A source that sends no more, a feature that is told no more: there is nothing left to be changed.
            return True
        if known is None or calming.decisions < self._options.learn:
            return None
        psi = calming.distance(known, bunched=self._bunched)
        if psi.value >= _STILL_THERE_PSI:
            return False
        return True if psi.value < _OVER_PSI and psi.high < _WORTH_A_LOOK_PSI else None

    def reset(self, feature: str, segment: str) -> None:
        """Begins the test of a stream anew after its alarm is over; also of those segments that rang with it."""
        for key in [each for each in self._alarmed if each[0] == feature or each == (feature, segment)]:
            self._alarmed.discard(key)
            self._streams[key].restart()
        self._calming = {key: calming for key, calming in self._calming.items() if key[0] != feature}

    def lately(self, segment: str) -> WindowSketch:
        """The last few hundred decisions of a segment."""
        lately = self._former.get(segment) or WindowSketch()
        if segment in self._recent:
            lately.merge(self._recent[segment])
        return lately

    def memory(self) -> WatchMemory:
        """What has to be stored to go on from here."""
        own = self._reference.packed() | SketchShelf(self._learned).packed()
        return WatchMemory(
            reference=self._given.packed() or own,
            own=own if len(self._given) else {},
            mix=self._mix,
            recent=self._recent,
            former=self._former.packed(),
            # One by one: the states of all at once are lists of a million numbers.
            streams=[
                (*key, msgspec.Raw(msgspec.msgpack.encode(stream.state()))) for key, stream in self._streams.items()
            ],
            alarmed=sorted(self._alarmed),
            exemplars=self._exemplars,
            founders=self._founders,
            is_given=bool(len(self._given)),
            betting=BETTING,
        )

    def resume(self, memory: WatchMemory) -> bool:
        """Goes on from what was stored; alpha is given out in the same order again.

        Whether its tests begin anew, with a promise of their own for the run from here on: capital that other bets have
        won is none under these, and no promise holds for what goes on with it.
        """
        is_anew = bool(memory.streams) and memory.betting != BETTING
        self._recent, self._former = memory.recent, SketchShelf(unpacked(memory.former))
        self._mix, self._reference, self._learned = memory.mix, SketchShelf(), {}
        self._given = SketchShelf(unpacked(memory.reference) if memory.is_given else None)
        for segment, sketch in unpacked(memory.own if memory.is_given else memory.reference).items():
            self._learned[segment] = sketch
            if sketch.count >= self._options.reference_decisions:
                self._reference.put(segment, self._learned.pop(segment))
        self._exemplars = list(memory.exemplars)
        self._alarmed = {(feature, segment) for feature, segment in memory.alarmed}
        for feature, segment, state in memory.streams:
            stored = msgspec.msgpack.decode(state, type=StreamState)
            self._streams[feature, segment] = Stream.resumed(stored, learn=self._options.learn, is_anew=is_anew)
        self._found(memory.founders)
        for feature, segment in self._streams:
            self._share(feature, segment)
        self._bunched = self._bunched_on_average()
        return is_anew

    def _tested(self, feature: str, segment: str, seen: QuantileSketch | HeavyCounts) -> float:
        """Powers of ten by which the capital passed what its share of alpha asks for; below 0 is not enough."""
        stream = self._stream(feature, segment)
        capital = stream.take(seen, self._rng, bunched=self._bunched)
        calming = self._calming.get((feature, segment))
        if calming is not None:
            calming.take(seen, generation=round(2 * self._options.learn * self._bunched))
        # Without founders every stream is still learning, for they are named before the first one is tested.
        return math.log10(capital * self._share(feature, segment)) if self._founders else -math.inf

    def _bunched_on_average(self) -> float:
        """How many decisions are worth one, by all features that are tested."""
        tested = [
            each for (_, segment), each in self._streams.items() if segment == EVERYTHING and not each.is_learning
        ]
        return common_effect([each.bursts for each in tested])

    def _stream(self, feature: str, segment: str) -> Stream:
        """The stream of a feature; a new one learns its bins from the reference that came with the release."""
        stream = self._streams.get((feature, segment))
        if stream is None:
            stream = self._streams[feature, segment] = Stream(learn=self._options.learn)
            given = self._given.get(segment)
            known = None if given is None else given.numbers.get(feature) or given.categories.get(feature)
            if known is not None:
                stream.take(known, self._rng)
        return stream

    def _name_founders(self, sketches: Mapping[str, WindowSketch]) -> None:
        """Once any stream can be tested, those that are known share alpha; with a reference that is at once."""
        if len(self._given):
            for segment, sketch in sketches.items():
                for feature, _ in features_of(sketch):
                    self._stream(feature, segment)
        if any(not stream.is_learning for stream in self._streams.values()):
            self._found(len(self._streams))

    def _found(self, founders: int) -> None:
        """Divides alpha among the streams that are known before any of them is tested."""
        self._founders = founders
        known = list(self._streams)[:founders]
        self._whole.found(key for key in known if key[1] == EVERYTHING)
        self._parts.found(key for key in known if key[1] != EVERYTHING)

    def _share(self, feature: str, segment: str) -> float:
        return (self._whole if segment == EVERYTHING else self._parts).of((feature, segment))

    def _remember(self, segment: str, sketch: WindowSketch) -> None:
        if segment not in self._reference:
            self._learned.setdefault(segment, WindowSketch()).merge(sketch)
        lately = self._recent.setdefault(segment, WindowSketch())
        lately.merge(sketch)
        if lately.count >= _GENERATION:
            self._former.put(segment, self._recent.pop(segment))

    def _settle(self, segment: str) -> None:
        """Puts what was learned of a segment on the shelf once it is enough.

        Streams that began with the bins of a reference go on with those of traffic, which may be where that had none.
        """
        known = self._learned.get(segment)
        if known is None or known.count < self._options.reference_decisions:
            return
        if segment in self._given:
            for feature, seen in features_of(known):
                self._streams[feature, segment].refit(seen)
        self._reference.put(segment, self._learned.pop(segment))

    def _has_room(self, segment: str) -> bool:
        is_known = segment in self._reference or segment in self._learned
        return is_known or len(self._reference) + len(self._learned) <= MOST_SEGMENTS

    def _linked(self, feature: str, segment: str) -> tuple[str, ...]:
        stream = self._streams.get((feature, segment))
        if stream is None:
            return ()
        lifts = []
        for age, each in enumerate(reversed(self._exemplars)):
            value = each.numbers.get(feature, each.categories.get(feature))
            if segment in each.segments and value is not None:
                lifts.append((-stream.lift(value), age, each.decision_id))
        return tuple(decision_id for _, _, decision_id in sorted(lifts)[:LINKED])


def labels_only(sketch: WindowSketch) -> WindowSketch:
    """How many decisions, and their labels. Segments fill their references in their own time; this is of one time."""
    labels = sketch.categories.get("label")
    return WindowSketch(count=sketch.count, categories={} if labels is None else {"label": labels})


def features_of(sketch: WindowSketch) -> Iterator[tuple[str, QuantileSketch | HeavyCounts]]:
    """Every feature of a sketch that is tested, in a fixed order."""
    for name in sorted({*sketch.numbers} - UNTESTED):
        yield name, sketch.numbers[name]
    for name in sorted({*sketch.categories} - UNTESTED):
        yield name, sketch.categories[name]
