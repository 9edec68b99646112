"""Report: a rollout in figures for people and other programs, by variant, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from headrace.domain.model import CHAMPION
from headrace.domain.rollout import CHALLENGER, Rollout
from headrace.domain.rollout_figures import Figures, GuardFinding
from headrace.domain.tally import (
    AGREED,
    CONFIDENCE,
    CONFIDENCE_CHANGE,
    DEGRADED_ANSWERS,
    DROPPED_SHADOWS,
    FAILED,
    LOW_CONFIDENCES,
    OUTCOME_VALUE,
    REQUESTS,
    RIGHT,
    Measure,
    Tally,
    mean_between,
    quantile_ms,
)
from headrace.rollouts.desk import RolloutStatus
from headrace.rollouts.evidence import share_between
from headrace.rollouts.judge import judged
from headrace.rollouts.sighting import SHADOW

LEVEL = 0.05
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share or a mean over `count`, and the ends of its confidence sequence where there is enough to give one."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class VariantReport:
    """The figures of one variant over all its requests. Shares and confidences are from 0 to 1."""

    variant: str
    release: str
    requests: int
    keys: int
    failed: Estimate | None
    degraded: Estimate | None
    low_confidence: Estimate | None
    confidence: Estimate | None
    accuracy: Estimate | None
    agreement: Estimate | None
    confidence_change: Estimate | None
    latency_ms: Mapping[str, float]
    outcomes: Mapping[str, Estimate]
    dropped: int


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """One rollout: how it stands, its variants, what each guard says now, and what was judged lately."""

    id: str
    pipeline: str
    state: str
    percent: float
    next_percent: float | None
    champion: str
    candidate: str
    reason: str
    created_at: datetime
    changed_at: datetime
    revision: int
    verdict: str
    verdict_reason: str
    sample_ratio_evidence: float
    guards: tuple[GuardFinding, ...]
    variants: tuple[VariantReport, ...]
    steps: tuple[float, ...]
    is_test: bool


def report_of(status: RolloutStatus, *, at: datetime) -> RolloutReport:
    """From what was counted; the verdict is what the judge says to these figures, without any wait at a step."""
    rollout = status.rollout
    judgement = judged(rollout, status.figures, at=at, at_step_s=rollout.plan.step_s)
    return RolloutReport(
        id=rollout.id,
        pipeline=rollout.pipeline,
        state=rollout.state.value,
        percent=_percent(rollout.share),
        next_percent=None if rollout.is_over else _percent(rollout.next_share),
        champion=rollout.champion,
        candidate=rollout.candidate,
        reason=rollout.reason,
        created_at=rollout.created_at,
        changed_at=rollout.changed_at,
        revision=rollout.revision,
        verdict=rollout.state.value if rollout.is_over else judgement.verdict.value,
        verdict_reason=rollout.reason if rollout.is_over else judgement.reason,
        sample_ratio_evidence=judgement.ratio_evidence,
        guards=judgement.findings,
        variants=variants_of(rollout, status.figures, status.tallies),
        steps=tuple(_percent(step) for step in rollout.plan.steps),
        is_test=rollout.plan.is_test,
    )


def variants_of(rollout: Rollout, figures: Figures, tallies: Mapping[Measure, Tally]) -> tuple[VariantReport, ...]:
    """Those that were seen: the champion, the challenger, and the shadow."""
    arrived = figures.arrivals
    keys = {
        CHAMPION: sum(each.champion for each in arrived),
        CHALLENGER: sum(each.candidate for each in arrived),
        SHADOW: max((each.pairs.both for each in figures.guards.values()), default=0),
    }
    seen = {measure.variant for measure in tallies} | {CHAMPION, CHALLENGER}
    return tuple(
        _variant(name, rollout.champion if name == CHAMPION else rollout.candidate, keys[name], tallies)
        for name in (CHAMPION, CHALLENGER, SHADOW)
        if name in seen
    )


def _variant(name: str, release: str, keys: int, tallies: Mapping[Measure, Tally]) -> VariantReport:
    own = {measure.name: tally for measure, tally in tallies.items() if measure.variant == name}
    latency = {label: quantile_ms(tallies, [name], at=at) for label, at in QUANTILES.items()}
    return VariantReport(
        variant=name,
        release=release,
        requests=own.get(REQUESTS, Tally()).count,
        keys=keys,
        failed=_share(own.get(FAILED)),
        degraded=_share(own.get(DEGRADED_ANSWERS)),
        low_confidence=_share(own.get(LOW_CONFIDENCES)),
        confidence=_mean(own.get(CONFIDENCE)),
        accuracy=_share(own.get(RIGHT)),
        agreement=_share(own.get(AGREED)),
        confidence_change=_mean(own.get(CONFIDENCE_CHANGE)),
        latency_ms={label: value for label, value in latency.items() if value is not None},
        outcomes={
            measure.removeprefix(OUTCOME_VALUE): estimate
            for measure, tally in sorted(own.items())
            if measure.startswith(OUTCOME_VALUE) and (estimate := _mean(tally)) is not None
        },
        dropped=own.get(DROPPED_SHADOWS, Tally()).count,
    )


def _share(tally: Tally | None) -> Estimate | None:
    if tally is None or not tally.count:
        return None
    low, high = share_between(round(tally.total), tally.count, level=LEVEL)
    return Estimate(tally.total / tally.count, low, high, tally.count)


def _mean(tally: Tally | None) -> Estimate | None:
    if tally is None or not tally.count:
        return None
    low, high = mean_between(tally, level=LEVEL) or (None, None)
    return Estimate(tally.total / tally.count, low, high, tally.count)


def _percent(share: float) -> float:
    return round(100 * share, 6)
