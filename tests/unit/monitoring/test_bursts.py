"""Bursts: decisions that come in bunches are worth less as evidence, and single ones are worth what they were."""

import math

import msgspec
import numpy as np
import pytest

from headrace.domain.observation import Observation
from headrace.monitoring.bets import SHARES
from headrace.monitoring.bursts import LEEWAY, Bursts, BurstsState, common_effect
from headrace.monitoring.stream import Stream
from headrace.monitoring.window import reference_of

EVENLY = np.ones(len(SHARES))


def bunched(rng, decisions, mean, kinds=4):
    """Kinds that come in bunches, whose sizes are geometric."""
    found = []
    while len(found) < decisions:
        found += [int(rng.integers(kinds))] * int(rng.geometric(1 / mean))
    return found[:decisions]


def known_after(rng, won, batch=25):
    bursts = Bursts()
    for start in range(0, len(won), batch):
        bursts.take(rng.permutation(won[start : start + batch]))
    return bursts


def gains(values):
    """As if every bet had won or lost the same by a value, (rows, bets)."""
    return np.repeat(np.array(values, np.float64)[:, None], len(SHARES), axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_single_decisions_are_worth_what_they_are(seed):
    rng = np.random.default_rng(seed)
    bursts = known_after(rng, gains(rng.normal(size=3000)))

    assert bursts.effect(EVENLY) == 1.0
    assert bursts.worth(1e6, EVENLY) == 1e6


@pytest.mark.parametrize("mean", [2, 5])
def test_of_bunches_as_many_decisions_are_worth_one_as_the_variance_of_sums_says(mean):
    """Bunches of geometric size: the mean size of the bunch that a decision belongs to is 2 mean - 1."""
    rng = np.random.default_rng(1)
    bursts = known_after(rng, gains(bunched(rng, 20_000, mean)))

    assert bursts.effect(EVENLY) == pytest.approx(2 * mean - 1, rel=0.25)
    assert common_effect([bursts, bursts]) == pytest.approx(2 * mean - 1, rel=0.25)


def test_a_change_for_good_is_no_bunch():
    rng = np.random.default_rng(1)
    bursts = known_after(rng, gains([*rng.normal(size=2000), *rng.normal(2, size=2000)]))

    assert bursts.effect(EVENLY) == 1.0


def test_evidence_is_never_worth_more_than_it_is():
    rng = np.random.default_rng(1)
    bursts = known_after(rng, gains(bunched(rng, 2000, 4)))
    effect = bursts.effect(EVENLY)

    assert all(bursts.worth(10.0**power, EVENLY) <= 10.0**power for power in range(-5, 100, 5))
    assert math.log(bursts.worth(1e90, EVENLY)) == pytest.approx((math.log(1e90) + LEEWAY) / effect - LEEWAY)


def test_what_is_known_of_bunches_is_known_after_a_restart():
    rng = np.random.default_rng(1)
    bursts = known_after(rng, gains(bunched(rng, 1010, 4)))
    stored = msgspec.msgpack.encode(bursts.state())
    again = Bursts(msgspec.msgpack.decode(stored, type=BurstsState))

    assert again.state() == bursts.state()
    assert again.effect(EVENLY) == bursts.effect(EVENLY) > 1


def test_bunches_ring_no_alarm_by_themselves_and_a_change_is_found_among_them():
    rng = np.random.default_rng(2)
    stream = Stream(learn=200)

    def highest(kinds):
        """What the capital was worth at most, by batches of 40."""
        found = 0.0
        for start in range(0, len(kinds), 40):
            seen = reference_of(
                [Observation(categories={"kind": str(each)}) for each in kinds[start : start + 40]], fewest=0
            )
            found = max(found, stream.take(seen["all"].categories["kind"], rng))
        return found

    normal = highest(bunched(rng, 6000, 3))
    changed = highest([min(kind, 2) for kind in bunched(rng, 2000, 3)])

    assert normal < 100
    assert changed > 1e4


def test_decisions_that_vary_more_after_a_change_come_in_no_bunches_for_that():
    rng = np.random.default_rng(1)
    bursts = known_after(rng, gains([*(0.02 * rng.normal(size=4000)), *rng.normal(size=4000)]))

    assert bursts.effect(EVENLY) == 1.0
