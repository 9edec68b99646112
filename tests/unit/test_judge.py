"""The judge: what it says, in which order, and that it can be asked again."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from headrace.domain.guard_rule import ACCURACY, DEGRADED, DISAGREEMENT, ERRORS, guards_of
from headrace.domain.rollout import Rollout, RolloutPlan
from headrace.domain.rollout_figures import Figures, GuardFigures, Judgement, Marks, Pairs, Stratum, Verdict
from headrace.rollouts.judge import judged

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = (Stratum(0.5, 1500, 1500, 3, 3, step=3),)
ARRIVED = (Stratum(0.5, 1500, 1500, step=3),)


def at_step(step, **plan: object):
    rollout = Rollout.begun(
        "rol_1", pipeline="mill", champion="a", candidate="b", plan=RolloutPlan(**plan), salt="s", now=NOW
    )
    return replace(rollout, step=step)


def figures(arrivals=ARRIVED, **guards: object):
    usual = {ERRORS: GuardFigures(strata=GOOD), DEGRADED: GuardFigures(strata=GOOD)}
    return Figures(guards=usual | guards, arrivals=arrivals)


def said(rollout, figures_, **others: object):
    return judged(rollout, figures_, at=NOW, **({"at_step_s": 100.0} | others))


def test_without_figures_there_is_not_enough_data():
    judgement = said(at_step(0), Figures())

    assert judgement.verdict is Verdict.NOT_ENOUGH_DATA
    assert "0 of 20 keys" in judgement.reason


def test_a_candidate_that_is_no_worse_at_the_last_step_is_promoted():
    assert said(at_step(3), figures()).verdict is Verdict.PROMOTE


def test_a_step_needs_less_proof_than_the_promotion():
    few = figures(
        arrivals=(Stratum(0.05, 40, 700, step=1),),
        **{name: GuardFigures(strata=(Stratum(0.05, 40, 700, 0, 2, step=1),)) for name in (ERRORS, DEGRADED)},
    )

    assert said(at_step(1), few).verdict is Verdict.NOT_ENOUGH_DATA
    assert said(at_step(0, fewest_keys=1), replace(few, arrivals=(Stratum(0.01, 40, 3960),))).verdict is Verdict.STEP


def test_harm_rolls_back_and_names_the_guard():
    judgement = said(at_step(3), figures(**{DEGRADED: GuardFigures(marks=(Marks(0.5, 60, 10),), strata=GOOD)}))

    assert judgement.verdict is Verdict.ROLL_BACK
    assert DEGRADED in judgement.reason


def test_harm_is_held_against_the_part_of_alpha_that_the_guard_has():
    marks = GuardFigures(marks=(Marks(0.5, 27, 8),), strata=GOOD)

    for_errors = said(at_step(3), figures(**{ERRORS: marks}))
    for_degraded = said(at_step(3), figures(**{DEGRADED: marks}))

    assert for_errors.verdict is Verdict.ROLL_BACK
    assert for_degraded.verdict is Verdict.PROMOTE


def test_a_wrong_sample_ratio_comes_before_everything_else():
    marks = GuardFigures(marks=(Marks(0.5, 60, 10),), strata=GOOD)

    judgement = said(at_step(3), figures(arrivals=(Stratum(0.5, 1500, 900, step=3),), **{ERRORS: marks}))

    assert judgement.verdict is Verdict.HOLD
    assert "1500 of 2400" in judgement.reason


def test_a_harmful_one_is_rolled_back_while_it_is_held_and_a_good_one_stays_held():
    held = at_step(3).held("lunch", now=NOW)
    marks = GuardFigures(marks=(Marks(0.5, 60, 10),), strata=GOOD)

    assert said(held, figures(**{ERRORS: marks})).verdict is Verdict.ROLL_BACK
    assert said(held, figures()).verdict is Verdict.NOT_ENOUGH_DATA


def test_a_step_lasts_as_long_as_was_planned():
    waiting = said(at_step(3, step_s=600.0), figures(), at_step_s=599.0)

    assert waiting.verdict is Verdict.NOT_ENOUGH_DATA
    assert "599 of 600 seconds" in waiting.reason
    assert said(at_step(3, step_s=600.0), figures(), at_step_s=600.0).verdict is Verdict.PROMOTE


def test_a_guard_that_an_operator_asks_for_is_waited_for():
    plan = {"guards": guards_of([ACCURACY])}

    assert "accuracy" in said(at_step(3, **plan), figures()).reason
    assert said(at_step(3), figures()).verdict is Verdict.PROMOTE
    right = figures(**{ACCURACY: GuardFigures(strata=GOOD)})
    assert said(at_step(3, **plan), right).verdict is Verdict.PROMOTE


def test_a_shadow_is_judged_by_its_pairs():
    shadow = at_step(-1, is_shadowed=True)
    alike = {name: GuardFigures(pairs=Pairs(100)) for name in (ERRORS, DEGRADED)}

    assert said(shadow, figures(arrivals=(), **alike)).verdict is Verdict.STEP
    failing = alike | {ERRORS: GuardFigures(pairs=Pairs(100, only_candidate=30))}
    assert said(shadow, figures(arrivals=(), **failing)).verdict is Verdict.ROLL_BACK
    other = alike | {DISAGREEMENT: GuardFigures(pairs=Pairs(100, only_candidate=90))}
    assert said(shadow, figures(arrivals=(), **other)).verdict is Verdict.ROLL_BACK


def test_an_a_b_test_is_never_promoted_by_its_figures():
    assert (
        said(at_step(0, steps=(0.5,), is_test=True), figures(arrivals=(Stratum(0.5, 1500, 1500),))).verdict
        is Verdict.HOLD
    )


@pytest.mark.parametrize(
    "case", [Figures(), figures(), figures(**{ERRORS: GuardFigures(marks=(Marks(0.5, 9000, 1),))})]
)
def test_a_judgement_can_be_computed_again_from_what_was_written_down(case):
    judgement = said(at_step(3), case)

    written = msgspec.json.decode(msgspec.json.encode(judgement), type=Judgement)

    assert written == judgement
    assert said(at_step(3), written.figures) == judgement
