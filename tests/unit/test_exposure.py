"""Exposure: each key counts once, with the chance that it had."""

import numpy as np
import pytest

from headrace.domain.exposure import Observation, Tables, counted, figures_of, wanted
from headrace.domain.guard_rule import ACCURACY, ERRORS
from headrace.domain.rollout import place_of
from headrace.domain.rollout_figures import GuardFigures, Marks, Pairs, Stratum


def seen(key="k", *, share=0.5, candidate=False, step=0, bad=False, guard=ERRORS, **others: object):
    return Observation(key, step, share, candidate, {guard: bad}, **others)


def figures(*observations: object):
    return figures_of(counted(observations, Tables()))


def test_a_busy_key_counts_once():
    found = figures(*[seen(candidate=True, bad=True)] * 50)

    assert found.arrivals == (Stratum(0.5, 1, 0, 0, 0),)
    assert found.of(ERRORS) == GuardFigures(marks=(Marks(0.5, 1, 0),), strata=(Stratum(0.5, 1, 0, 1, 0),))


def test_the_first_answer_of_a_key_counts_and_its_first_bad_one_marks_it():
    found = figures(seen(bad=False), seen(bad=True), seen(bad=True))

    assert found.of(ERRORS) == GuardFigures(marks=(Marks(0.5, 0, 1),), strata=(Stratum(0.5, 0, 1, 0, 0),))


def test_a_key_counts_again_when_a_larger_share_could_have_moved_it():
    found = figures(seen(share=0.2), seen(share=0.2), seen(share=0.6, candidate=True, step=1), seen(share=0.8, step=2))

    assert found.arrivals == (Stratum(0.2, 0, 1, 0, 0, 0), Stratum(pytest.approx(0.5), 1, 0, 0, 0, 1))


def test_what_the_chance_of_a_key_is_said_to_be_is_how_often_it_is_moved():
    keys = [f"key-{number}" for number in range(20_000)]
    walks = [
        seen(key, share=share, candidate=place_of(key, salt="s") < share, step=step)
        for step, share in enumerate((0.1, 0.4))
        for key in keys
    ]

    arrivals = figures(*walks).arrivals

    for each in arrivals:
        total = each.candidate + each.champion
        assert each.candidate / total == pytest.approx(each.share, abs=4 * np.sqrt(0.25 / total))
    assert sum(each.candidate + each.champion for each in arrivals) == 20_000 + arrivals[0].champion


def test_a_mark_has_the_share_of_the_traffic_at_its_time():
    found = figures(seen(share=0.1), seen(share=0.5, candidate=True, bad=True, step=1))

    assert found.of(ERRORS).marks == (Marks(0.5, 1, 0),)


def test_without_any_share_only_pairs_count():
    found = figures(seen(share=0.0, bad=True), seen(share=0.0, bad=True, champion_bad={ERRORS: False}))

    assert found.arrivals == ()
    assert found.of(ERRORS) == GuardFigures(pairs=Pairs(1, 1, 0))


def test_pairs_tell_who_answered_badly():
    found = figures(
        *(
            seen(key=f"{bad}{champion_bad}", share=0.0, bad=bad, champion_bad={ERRORS: champion_bad})
            for bad in (True, False)
            for champion_bad in (True, False)
        )
    )

    assert found.of(ERRORS).pairs == Pairs(both=4, only_candidate=1, only_champion=1, each_badly=1)


def test_what_is_told_late_counts_once_and_is_no_arrival():
    late = [seen(guard=ACCURACY, bad=True, is_late=True, candidate=True)] * 2

    found = figures(*late)

    assert found.arrivals == ()
    assert found.of(ACCURACY) == GuardFigures(marks=(Marks(0.5, 1, 0),), strata=(Stratum(0.5, 1, 0, 1, 0),))


def test_counting_in_parts_gives_the_same_as_counting_at_once():
    walk = [seen(f"k{n % 7}", share=(0.1, 0.5)[n > 20], candidate=n % 3 == 0, bad=n % 5 == 0) for n in range(40)]

    parts = Tables()
    for begin in range(0, 40, 6):
        part = walk[begin : begin + 6]
        known = {name: parts.seen[name] for name in wanted(part) if name in parts.seen}
        step = counted(part, Tables(known, parts.counts))
        parts = Tables({**parts.seen, **step.seen}, step.counts)

    assert figures_of(parts) == figures(*walk)
