"""Rollout: its split, its states, and the plans that are refused."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headrace.domain.guard_rule import ACCURACY, ERRORS, GuardRule, Need, guards_of
from headrace.domain.rollout import IllegalRolloutChange, Rollout, RolloutPlan, RolloutState, percentages, place_of
from headrace.errors import InvalidInput

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def begun(plan=None, **others: object):
    values = {"pipeline": "mill", "champion": "sha256:a", "candidate": "sha256:b", "salt": "s", "now": NOW} | others
    return Rollout.begun("rol_1", plan=plan or RolloutPlan(), **values)


def test_the_place_of_a_key_is_what_sha_256_says_in_every_process():
    assert place_of("customer-7", salt="rol_1") == pytest.approx(0.5525485238, abs=1e-9)


def test_a_rollout_goes_from_shadow_over_its_steps_to_its_promotion():
    rollout = begun(RolloutPlan(steps=(0.1, 0.5), is_shadowed=True))
    states = [(rollout.state, rollout.share, rollout.is_shadowing)]

    while not rollout.is_over:
        rollout = rollout.stepped("no worse", now=NOW)
        states.append((rollout.state, rollout.share, rollout.is_shadowing))

    assert states == [
        (RolloutState.SHADOW, 0.0, True),
        (RolloutState.CANARY, 0.1, False),
        (RolloutState.CANARY, 0.5, False),
        (RolloutState.PROMOTED, 1.0, False),
    ]
    assert rollout.revision == 3


def test_an_a_b_test_holds_its_last_split():
    rollout = begun(RolloutPlan(steps=(0.1, 0.3), is_test=True))

    held = rollout.stepped("figures are there", now=NOW)

    assert (rollout.share, held.share, held.state) == (0.3, 0.3, RolloutState.HELD)


def test_a_held_rollout_keeps_its_split_and_goes_on_from_there():
    rollout = begun().stepped("", now=NOW).held("lunch", now=NOW)

    resumed = rollout.resumed("", now=NOW)

    assert (rollout.share, resumed.share, resumed.state) == (0.05, 0.05, RolloutState.CANARY)


@pytest.mark.parametrize("act", ["stepped", "promoted", "rolled_back", "held", "resumed"])
@pytest.mark.parametrize("end", ["promoted", "rolled_back"])
def test_what_is_over_does_not_change_any_more(end, act):
    over = getattr(begun(), end)("reasons", now=NOW)

    with pytest.raises(IllegalRolloutChange, match="rol_1"):
        getattr(over, act)("", now=NOW)


@pytest.mark.parametrize("act", ["stepped", "held"])
def test_a_held_rollout_does_not_move_by_itself(act):
    with pytest.raises(IllegalRolloutChange, match="lunch"):
        getattr(begun().held("lunch", now=NOW), act)("", now=NOW)


def test_only_a_held_rollout_can_be_resumed():
    with pytest.raises(IllegalRolloutChange, match="only a held one"):
        begun().resumed("", now=NOW)


def test_what_counts_as_slow_is_set_once():
    rollout = begun().with_slow_ms(120.0)

    with pytest.raises(IllegalRolloutChange, match="120 ms already"):
        rollout.with_slow_ms(80.0)


def test_a_release_is_not_rolled_out_against_itself():
    with pytest.raises(InvalidInput, match="already"):
        begun(candidate="sha256:a")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"steps": ()}, "none"),
        ({"steps": (0.5, 0.1)}, "50, 10 do not grow"),
        ({"steps": (0.5, 0.5)}, "do not grow"),
        ({"steps": (0.0, 0.1)}, "0, 10"),
        ({"steps": (1.0,)}, "100"),
        ({"steps": (float("nan"),)}, "nan"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"level": 1.0}, "level is 1"),
        ({"fewest_keys": 0}, "at least 1 key"),
        ({"step_s": -1.0}, "no negative time"),
        ({"guards": ()}, "weights"),
        ({"guards": (GuardRule(ERRORS, weight=0.6), GuardRule(ACCURACY, weight=0.6))}, "more than 1"),
        ({"guards": (GuardRule(ERRORS, weight=0.1), GuardRule(ERRORS, weight=0.1))}, "twice"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_value(fault, told):
    with pytest.raises(InvalidInput, match=told):
        RolloutPlan(**fault)


def test_steps_are_written_in_percent():
    assert percentages("1, 5,25") == (0.01, 0.05, 0.25)

    with pytest.raises(InvalidInput, match="ten"):
        percentages("1,ten")


def test_written_guards_are_waited_for_and_share_what_errors_leave_of_alpha():
    guards = {rule.name: rule for rule in guards_of(["accuracy", "outcome:minutes_saved=0..10", "latency=2"])}

    assert guards[ACCURACY].need is Need.ALWAYS
    assert guards["outcome:minutes_saved"].span == (0.0, 10.0)
    assert guards["latency"].limit == 2.0
    assert guards[ERRORS].weight == 0.5
    assert sum(rule.weight for rule in guards.values()) == pytest.approx(1.0)
    assert RolloutPlan(guards=tuple(guards.values())).guard(ACCURACY) == guards[ACCURACY]


@pytest.mark.parametrize(
    "written", ["", "speed", "latency=fast", "outcome:x", "outcome:x=3..1", "latency=1..2", "accuracy=;drop"]
)
def test_a_guard_that_nobody_knows_is_refused(written):
    with pytest.raises(InvalidInput, match="outcome:NAME"):
        guards_of([written])


@pytest.mark.parametrize("limit", ["0", "1", "-0.5", "50"])
def test_what_may_disagree_is_a_share_that_can_be_gone_beyond(limit):
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        guards_of([f"disagreement={limit}"])


def test_a_rollout_is_a_value():
    assert replace(begun(), reason="x") == replace(begun(), reason="x")
