"""Sighting: what was seen of one question in a rollout, and what that means to its guards and its tallies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.domain.exposure import Exposure, Observation
from headrace.domain.guard_rule import (
    ACCURACY,
    DEGRADED,
    DISAGREEMENT,
    ERRORS,
    LATENCY,
    LOW_CONFIDENCE,
    OUTCOME,
    GuardRule,
)
from headrace.domain.model import CHAMPION
from headrace.domain.rollout import CHALLENGER, Rollout, place_of
from headrace.domain.tally import (
    AGREED,
    CONFIDENCE,
    CONFIDENCE_CHANGE,
    DEGRADED_ANSWERS,
    FAILED,
    FAILED_SHADOWS,
    LOW_CONFIDENCES,
    OUTCOME_VALUE,
    REQUESTS,
    RIGHT,
    Measure,
    Tally,
    added,
    bucket_of,
)

LABEL = ""
"""What was told of a decision under no metric's name: the right label."""

SHADOW = "shadow"
"""The name under which figures and labels of a candidate go that nobody sees yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer, or that there was none: then `duration_ms` is None."""

    duration_ms: float | None = None
    confidence: float | None = None
    is_degraded: bool = False
    label: str | None = None
    decision_id: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether there was no answer."""
        return self.duration_ms is None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one question met under `rollout`; `shadow` is what the candidate said out of sight."""

    rollout: Rollout
    key: str
    is_candidate: bool
    live: Seen
    shadow: Seen | None = None

    @property
    def variant(self) -> str:
        """Whose figures these are."""
        return CHALLENGER if self.is_candidate else CHAMPION

    def observation(self) -> Observation:
        """What counts as evidence."""
        key = fingerprint(self.key, salt=self.rollout.salt)
        step, share = self.rollout.step, self.rollout.share
        if self.shadow is None:
            bad = bad_of(self.live, self.rollout, with_latency=True)
            return Observation(key, step, share, self.is_candidate, bad)
        champion, candidate = (bad_of(each, self.rollout, with_latency=False) for each in (self.live, self.shadow))
        if DISAGREEMENT in self._names and self.live.label is not None and self.shadow.label is not None:
            champion[DISAGREEMENT], candidate[DISAGREEMENT] = False, self.live.label != self.shadow.label
        return Observation(key, step, share, is_candidate=True, bad=candidate, champion_bad=champion)

    def tallies(self) -> dict[Measure, Tally]:
        """What adds up for people to look at."""
        if self.shadow is None:
            return tallies_of(self.live, self.variant, self._limit(LOW_CONFIDENCE))
        found = tallies_of(self.shadow, SHADOW, self._limit(LOW_CONFIDENCE))
        if self.shadow.is_failed:
            found[Measure(SHADOW, FAILED_SHADOWS)] = Tally.of(1.0)
        if self.live.label is not None and self.shadow.label is not None:
            found[Measure(SHADOW, AGREED)] = Tally.of(float(self.live.label == self.shadow.label))
        if self.live.confidence is not None and self.shadow.confidence is not None:
            found[Measure(SHADOW, CONFIDENCE_CHANGE)] = Tally.of(self.shadow.confidence - self.live.confidence)
        return found

    def exposure(self) -> tuple[str, Exposure] | None:
        """What later news of the decision need; a shadowed decision gives it with the shadow's label, once."""
        if not self.live.decision_id:
            return None
        answers = {self.variant: self.live, SHADOW: self.shadow}
        labels = {name: seen.label for name, seen in answers.items() if seen is not None and seen.label is not None}
        key = fingerprint(self.key, salt=self.rollout.salt)
        rollout = self.rollout
        return self.live.decision_id, Exposure(rollout.id, key, rollout.step, rollout.share, self.is_candidate, labels)

    @property
    def _names(self) -> set[str]:
        return {rule.name for rule in self.rollout.plan.guards}

    def _limit(self, guard: str) -> float:
        rule = self.rollout.plan.guard(guard)
        return 0.0 if rule is None else rule.limit


@dataclass(frozen=True, slots=True)
class News:
    """What is told of a decision later: the right label, or the value of an outcome."""

    decision_id: str
    label: str | None = None
    outcomes: Mapping[str, float] = field(default_factory=dict)

    def told(self, rollout: Rollout, exposure: Exposure) -> tuple[list[Observation], dict[Measure, Tally], Exposure]:
        """What it means to the rollout that the decision took part in, and the exposure with what is known now.

        Figures lose what was told before and is corrected by this. As evidence a key counts once, by what was told
        first: see `docs/explanation/rollout-statistics.md` for why a correction may not take that back.
        """
        variant = CHALLENGER if exposure.is_candidate else CHAMPION
        bad: dict[str, bool] = {}
        tallies: list[dict[Measure, Tally]] = []
        now: dict[str, str | float] = {**self.outcomes} if self.label is None else {LABEL: self.label, **self.outcomes}
        for what, value in now.items():
            tallies.append(_figures(exposure, variant, what, value))
            if what in exposure.told:
                before = _figures(exposure, variant, what, exposure.told[what])
                tallies.append({measure: Tally().less(tally) for measure, tally in before.items()})
        if self.label is not None and rollout.plan.guard(ACCURACY) is not None and variant in exposure.labels:
            bad[ACCURACY] = exposure.labels[variant] != self.label
        for metric, value in self.outcomes.items():
            rule = rollout.plan.guard(f"{OUTCOME}{metric}")
            if rule is not None:
                bad[rule.name] = is_bad_outcome(rule, value, key=exposure.key)
        if SHADOW in exposure.labels:
            was_bad = {ACCURACY: bad[ACCURACY]} if ACCURACY in bad else {}
            now_bad = {ACCURACY: exposure.labels[SHADOW] != self.label} if was_bad else {}
            observation = Observation(exposure.key, exposure.step, 0.0, True, now_bad, champion_bad=was_bad)
        else:
            observation = Observation(
                exposure.key, exposure.step, exposure.share, exposure.is_candidate, bad, is_late=True
            )
        known = replace(exposure, told={**exposure.told, **now})
        return [observation] if observation.bad else [], added(*tallies), known


def _figures(exposure: Exposure, variant: str, what: str, value: str | float) -> dict[Measure, Tally]:
    """What adds up for people of one thing that was told."""
    if what == LABEL:
        return {Measure(name, RIGHT): Tally.of(float(label == value)) for name, label in exposure.labels.items()}
    return {Measure(variant, f"{OUTCOME_VALUE}{what}"): Tally.of(float(value))}


def bad_of(seen: Seen, rollout: Rollout, *, with_latency: bool) -> dict[str, bool]:
    """What was bad about an answer, by guard; a guard that cannot tell is left out."""
    found: dict[str, bool] = {}
    for rule in rollout.plan.guards:
        if rule.name == ERRORS:
            found[ERRORS] = seen.is_failed
        elif seen.duration_ms is None:
            continue
        elif rule.name == DEGRADED:
            found[DEGRADED] = seen.is_degraded
        elif rule.name == LATENCY and with_latency and rollout.slow_ms is not None:
            found[LATENCY] = seen.duration_ms > rollout.slow_ms
        elif rule.name == LOW_CONFIDENCE and seen.confidence is not None:
            found[LOW_CONFIDENCE] = seen.confidence < rule.limit
    return found


def tallies_of(seen: Seen, variant: str, low_confidence: float) -> dict[Measure, Tally]:
    """The figures of one answer."""
    found = {Measure(variant, REQUESTS): Tally.of(1.0), Measure(variant, FAILED): Tally.of(float(seen.is_failed))}
    if seen.duration_ms is not None:
        found[Measure(variant, bucket_of(seen.duration_ms))] = Tally.of(seen.duration_ms)
        found[Measure(variant, DEGRADED_ANSWERS)] = Tally.of(float(seen.is_degraded))
    if seen.confidence is not None:
        found[Measure(variant, CONFIDENCE)] = Tally.of(seen.confidence)
        found[Measure(variant, LOW_CONFIDENCES)] = Tally.of(float(seen.confidence < low_confidence))
    return found


def is_bad_outcome(rule: GuardRule, value: float, *, key: str) -> bool:
    """Below the limit; or, of a quantity, with the chance that grows with its distance from the greatest value.

    The chance is drawn by the key, so that it is the same in every process and in every recount. The share of bad keys
    then follows the mean, and all that holds of shares holds of means.
    """
    if rule.span is None:
        return value < rule.limit
    least, greatest = rule.span
    badness = min(1.0, max(0.0, (greatest - value) / (greatest - least)))
    return place_of(key, salt=rule.name) < badness


def fingerprint(key: str, *, salt: str) -> str:
    """A key as a rollout remembers it: it cannot be read back without the salt and the key."""
    return hashlib.sha256(f"fingerprint\0{salt}\0{key}".encode()).hexdigest()[:32]
