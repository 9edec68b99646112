"""The judge: is the candidate no worse? Promote, go a step, hold, roll back, or not enough data; pure, and exact.

Four questions in this order. Do keys arrive as they were split? Else nothing that was counted can be trusted: hold.
Is any guard sure of harm? Roll back. Would the next step make at most `margin` of all answers worse? Else there is
not enough data. At the last step that is the proof of being no worse, and the candidate is promoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from headrace.domain.guard_rule import GuardRule, Need
from headrace.domain.rollout import Rollout, RolloutState
from headrace.domain.rollout_figures import Figures, GuardFigures, GuardFinding, Judgement, Verdict
from headrace.rollouts.evidence import (
    difference_between,
    excess,
    harm,
    sample_ratio,
    share_between,
)

LARGEST_EVIDENCE = 1e300
"""E-values above are told as this: JSON knows no infinity."""


def judged(rollout: Rollout, figures: Figures, *, at: datetime, at_step_s: float) -> Judgement:
    """What should be done with `rollout`; the same for the same arguments, which the judgement holds.

    An e-value of a guard is held against 1 / (alpha * weight): the union bound over the guards. Their mean would need
    less but is valid only if all were e-processes in one filtration, and feedback arrives after others have acted
    (Choe and Ramdas, 2024, "Combining evidence across filtrations"). Bounds for steps are at the plan's level each:
    all of them have to hold, so there is nothing to correct (Berger, 1982, intersection-union tests).
    """
    ratio = _exp(float(sample_ratio(figures.arrivals))) if figures.arrivals else 1.0
    findings = tuple(_finding(rollout, rule, figures.of(rule.name)) for rule in rollout.plan.guards)
    verdict, reason = _verdict(rollout, figures, findings, ratio=ratio, at_step_s=at_step_s)
    return Judgement(rollout.id, rollout.revision, at, verdict, reason, ratio, at_step_s, findings, figures)


def _finding(rollout: Rollout, rule: GuardRule, figures: GuardFigures) -> GuardFinding:
    plan = rollout.plan
    evidence = _exp(_harm(rule, figures))
    needed = 1 / (plan.alpha * rule.weight) if rule.weight else math.inf
    keys = figures.pairs.both + sum(each.candidate for each in figures.strata)
    best, worst = (-1.0, 1.0)
    if rule.compares and figures.is_seen:
        best, worst = difference_between(figures.strata, figures.pairs, level=2 * plan.level)
    elif figures.is_seen:
        best, worst = share_between(figures.pairs.only_candidate, figures.pairs.both, level=plan.level)
    allowed = rule.margin / rollout.next_share if _is_waited_for(rule, figures) else None
    state = "no figures"
    if evidence >= needed:
        state = "harm"
    elif figures.is_seen:
        state = "ok" if allowed is None or worst <= allowed else "not enough data"
    return GuardFinding(rule.name, evidence, min(needed, LARGEST_EVIDENCE), best, worst, allowed, keys, state)


def _harm(rule: GuardRule, figures: GuardFigures) -> float:
    """The logarithm of the evidence; what was seen in shadow and what was seen in canary are one process."""
    if not rule.compares:
        return float(excess(figures.pairs.only_candidate, figures.pairs.both, limit=rule.limit))
    return float(harm(figures.marks, figures.pairs, tolerance=rule.tolerance))


def _is_waited_for(rule: GuardRule, figures: GuardFigures) -> bool:
    if not rule.compares:
        return False
    return rule.need is Need.ALWAYS or (rule.need is Need.WHEN_SEEN and figures.is_seen)


def _verdict(
    rollout: Rollout, figures: Figures, findings: tuple[GuardFinding, ...], *, ratio: float, at_step_s: float
) -> tuple[Verdict, str]:
    harmful = [each for each in findings if each.state == "harm"]
    if ratio >= 1 / rollout.plan.ratio_alpha:
        return Verdict.HOLD, _ratio_reason(figures, ratio)
    if harmful:
        worst = max(harmful, key=lambda each: each.evidence / each.needed)
        return Verdict.ROLL_BACK, f"{worst.guard}: evidence of harm {worst.evidence:.3g}, {worst.needed:.3g} needed."
    if rollout.state is RolloutState.HELD:
        return Verdict.NOT_ENOUGH_DATA, f"Held: {rollout.reason}"
    missing = "; ".join(_missing(rollout, figures, findings, at_step_s))
    return (Verdict.NOT_ENOUGH_DATA, f"{missing}.") if missing else _onwards(rollout)


def _onwards(rollout: Rollout) -> tuple[Verdict, str]:
    shown = f"No guard is worse by more than its margin at {100 * rollout.next_share:g} % of the traffic"
    if rollout.next_share < 1:
        return Verdict.STEP, f"{shown}."
    if rollout.plan.is_test:
        return Verdict.HOLD, "The A/B test has its figures; its split is held."
    return Verdict.PROMOTE, f"{shown}: the candidate is no worse."


def _missing(rollout: Rollout, figures: Figures, findings: tuple[GuardFinding, ...], at_step_s: float) -> Iterable[str]:
    keys = keys_at_step(rollout, figures)
    if keys < rollout.plan.fewest_keys:
        yield f"{keys} of {rollout.plan.fewest_keys} keys met the candidate at this step"
    if at_step_s < rollout.plan.step_s:
        yield f"{at_step_s:.0f} of {rollout.plan.step_s:.0f} seconds at this step"
    for each in findings:
        if each.allowed is not None and each.worst > each.allowed:
            yield (
                f"{each.guard}: more answers are needed, so far it may be worse by {100 * each.worst:.3g} %, "
                f"{100 * each.allowed:.3g} % allowed at this step"
            )


def keys_at_step(rollout: Rollout, figures: Figures) -> int:
    """How many keys the candidate has answered at this step, in shadow or in sight."""
    if rollout.step < 0:
        return max((each.pairs.both for each in figures.guards.values()), default=0)
    return sum(each.candidate for each in figures.arrivals if each.step == rollout.step)


def _ratio_reason(figures: Figures, ratio: float) -> str:
    candidate = sum(each.candidate for each in figures.arrivals)
    keys = candidate + sum(each.champion for each in figures.arrivals)
    planned = sum(each.share * (each.candidate + each.champion) for each in figures.arrivals)
    return (
        f"Sample ratio: {candidate} of {keys} keys met the candidate, {planned:.0f} were planned. Some are lost "
        f"on the way, so nothing counted here can be trusted (evidence {ratio:.3g})."
    )


def _exp(log_evidence: float) -> float:
    return min(LARGEST_EVIDENCE, math.exp(min(log_evidence, 690.0)))
