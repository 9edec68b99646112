"""The split of a rollout: sticky, growing, the same everywhere, and independent of every other one."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headrace.domain.rollout import Rollout, RolloutPlan, place_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
shares = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6, unique=True).map(sorted).map(tuple)


def rollout(steps, salt):
    plan = RolloutPlan(steps=steps)
    return Rollout.begun("rol_1", pipeline="mill", champion="a", candidate="b", plan=plan, salt=salt, now=NOW)


@given(shares, st.text(max_size=8), st.lists(st.text(max_size=20), max_size=30))
def test_whom_the_candidate_has_answered_it_answers_until_the_end(steps, salt, keys):
    walk = [rollout(steps, salt)]
    while not walk[-1].is_over:
        walk.append(walk[-1].stepped("", now=NOW))

    for key in keys:
        answers = [each.is_candidate(key) for each in walk]
        assert answers == sorted(answers)
        assert answers[-1]
        assert not walk[-2].rolled_back("", now=NOW).is_candidate(key)


@given(shares, st.text(max_size=8), st.text(max_size=20))
def test_a_key_is_answered_by_the_same_release_whatever_else_the_rollout_went_through(steps, salt, key):
    begun = rollout(steps, salt)

    again = replace(begun.held("x", now=NOW).resumed("y", now=NOW), revision=0)

    assert begun.is_candidate(key) == again.is_candidate(key) == (place_of(key, salt=salt) < steps[0])


def test_places_are_uniform_and_those_of_two_rollouts_are_independent():
    keys = [f"customer-{number}" for number in range(20_000)]
    first = np.array([place_of(key, salt="rol_1") for key in keys])
    second = np.array([place_of(key, salt="rol_2") for key in keys])

    assert stats.kstest(first, "uniform").pvalue > 1e-4
    assert stats.kstest(second, "uniform").pvalue > 1e-4
    table = np.histogram2d(first, second, bins=8)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_other_processes_put_a_key_at_the_same_place():
    program = "from headrace.domain.rollout import place_of; print(repr(place_of('customer-7', salt='rol_1')))"

    told = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert told == {repr(place_of("customer-7", salt="rol_1"))}
