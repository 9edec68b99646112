"""Gathering: what a batch holds is what it would hold had every decision been added to each of its segments."""

import math

import numpy as np
import pytest

from headrace.domain.observation import Observation
from headrace.monitoring.gathering import MOST_SEGMENTS, Gathering
from headrace.monitoring.heavy_counts import HeavySums
from headrace.monitoring.window import Batch, Seen, WindowSketch


def observed(rng, *, source: str) -> Observation:
    return Observation(
        numbers={
            "words": float(rng.integers(1, 500)),
            "confidence": float(rng.random()),
            "balance": float(rng.choice([-3.5, -1e-12, 0.0, 1e-7, math.nan, math.inf, -math.inf, 1e200])),
        }
        | ({"pages": float(rng.integers(1, 9))} if rng.random() < 0.5 else {}),
        categories={"label": f"label {rng.integers(0, 4)}", "note": "long " * 40},
        tags={"source": source, "language": "en" if rng.random() < 0.7 else "de", "none": ""},
        contributions={"base": 0.5, "due": float(rng.normal())},
        embedding=rng.normal(size=5).tolist(),
        findings=("garbled",) if rng.random() < 0.1 else (),
    )


def gathered(decisions):
    batch = Batch(process="p", window_start=0.0)
    gathering = Gathering(batch)
    for each in decisions:
        gathering.add("r", each)
    gathering.settle()
    return batch.sketches["r"]


@pytest.mark.parametrize("sources", [2, 40])
def test_it_is_as_if_each_decision_had_been_added_to_its_segments(sources):
    rng = np.random.default_rng(1)
    decisions = [observed(rng, source=f"s{rng.integers(0, sources)}") for _ in range(400)]
    singly: dict[str, WindowSketch] = {}
    for each in map(Seen.of, decisions):
        for segment in each.segments:
            singly.setdefault(segment, WindowSketch()).add(each)

    found = gathered(decisions)

    assert set(found) == set(singly)
    for segment, sketch in singly.items():
        other = found[segment]
        assert (other.count, other.suspect, other.confidence) == (sketch.count, sketch.suspect, sketch.confidence)
        assert (other.categories, other.findings) == (sketch.categories, sketch.findings)
        terms = sketch.contributions if segment == "all" else HeavySums()
        assert other.contributions.counts == terms.counts
        assert other.contributions.sums == pytest.approx(terms.sums)
        assert other.sure == pytest.approx(sketch.sure)
        for name, numbers in sketch.numbers.items():
            assert other.numbers[name].buckets == numbers.buckets
            assert other.numbers[name].origin == numbers.origin
            assert (other.numbers[name].least, other.numbers[name].most) == (numbers.least, numbers.most)
            assert (other.numbers[name].count, other.numbers[name].missing) == (numbers.count, numbers.missing)
            # What is left where the largest cancel out depends on the order in which all are summed.
            largest = max(abs(numbers.least), abs(numbers.most))
            assert other.numbers[name].total == pytest.approx(numbers.total, abs=1e-9 * largest)
            assert other.numbers[name].squares == pytest.approx(numbers.squares)


def test_segments_beyond_the_bound_share_one():
    rng = np.random.default_rng(2)

    found = gathered([observed(rng, source=f"s{number}") for number in range(3 * MOST_SEGMENTS)])

    assert len(found) <= MOST_SEGMENTS + 2
    assert found["all"].count == 3 * MOST_SEGMENTS
    assert sum(sketch.count for name, sketch in found.items() if name.startswith("source=")) == 3 * MOST_SEGMENTS


def test_what_is_settled_is_not_counted_again():
    rng = np.random.default_rng(3)
    batch = Batch(process="p", window_start=0.0)
    gathering = Gathering(batch)
    gathering.add("r", observed(rng, source="a"))
    gathering.settle()

    gathering.settle()

    assert batch.count == 1


@pytest.mark.parametrize(
    "wrong", [Observation(numbers={"words": "many"}), Observation(categories={"label": 3}), Observation(findings=(7,))]
)
def test_what_is_no_number_and_no_name_is_refused_and_nothing_of_it_is_kept(wrong):
    batch = Batch(process="p", window_start=0.0)
    gathering = Gathering(batch)
    gathering.add("r", Observation(numbers={"words": 3.0}))

    with pytest.raises((ValueError, TypeError)):
        gathering.add("r", wrong)

    gathering.settle()
    assert batch.count == 1
    assert batch.sketches["r"]["all"].numbers["words"].count == 1
