"""The watch of one release: what a reference that comes with it is good for, and what it does not get in the way of."""

import msgspec
import numpy as np
import pytest

from headrace.domain.observation import Observation
from headrace.domain.report import WatchState
from headrace.monitoring.stream import StreamState
from headrace.monitoring.watch import ReleaseWatch, WatchOptions
from headrace.monitoring.window import reference_of

OPTIONS = WatchOptions(alpha=0.01, reference_decisions=500, learn=200)


def weighed(values):
    return reference_of([Observation(numbers={"weight": float(value)}) for value in values], fewest=0)


def fed(watch, rng, *, around, decisions, spread=1, at_once=25):
    """What is raised meanwhile, each with how many decisions it took."""
    found = []
    for taken in range(at_once, decisions + 1, at_once):
        found += [(cause, taken) for cause in watch.take(weighed(rng.normal(around, spread, at_once)), [])]
    return found


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_with_a_reference_a_change_among_the_first_decisions_is_found(rng):
    reference = weighed(rng.normal(10, 1, 400))
    watch, learner = (ReleaseWatch("sha256:a", OPTIONS, rng, reference=each) for each in (reference, None))

    assert watch.state is WatchState.WATCHING
    assert fed(watch, rng, around=10, decisions=100) == []
    (found, taken), *_ = fed(watch, rng, around=13, decisions=300)

    assert (found.feature, found.segment) == ("weight", "all")
    assert taken <= 100
    assert fed(learner, rng, around=10, decisions=100) + fed(learner, rng, around=13, decisions=300) == []


def test_traffic_that_was_never_like_the_reference_raises_nothing_until_it_changes_and_recovers_by_itself(rng):
    """All of it lies above everything in the reference, whose bins would tell none of it from another."""
    watch = ReleaseWatch("sha256:a", OPTIONS, rng, reference=weighed(rng.normal(10, 1, 400)))

    assert fed(watch, rng, around=1000, spread=100, decisions=1000) == []
    (found, taken), *_ = fed(watch, rng, around=1200, spread=100, decisions=500)
    assert (found.feature, found.segment) == ("weight", "all")
    assert taken <= 100
    calm = []
    for around in [1200] * 10 + [1000] * 70:
        fed(watch, rng, around=around, spread=100, decisions=25)
        calm.append(watch.is_calm("weight", "all"))
    assert not any(calm[:10])
    assert any(calm[20:])


@pytest.mark.parametrize("names", [3, 30])
def test_an_alarm_over_a_mix_of_few_or_many_names_recovers_once_it_is_as_it_was_however_long_the_traffic(rng, names):
    """What is calm for now and then not, by chance alone, would never be calm for a minute of quick traffic."""
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)

    def looks(shares, batches):
        """What is said at each look whether it is calm; the causes."""
        said, causes = [], []
        for _ in range(batches):
            drawn = rng.choice(names, 50, p=np.array(shares) / sum(shares))
            observed = [Observation(categories={"kind": str(each)}) for each in drawn]
            causes += watch.take(reference_of(observed, fewest=0), [])
            said.append(watch.is_calm("kind", "all"))
        return said, causes

    looks([1] * names, 40)
    changed, (cause, *_) = looks([1] * (names - 1) + [names], 40)
    normal, _ = looks([1] * names, 80)

    assert (cause.feature, cause.segment) == ("kind", "all")
    assert set(changed[20:]) == {False}
    assert normal[40:].count(False) < 4
    assert normal[40:].count(True) > 5


def test_what_is_told_of_a_cause_grows_with_what_is_seen_and_does_not_wander_between_segments(rng):
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)

    def take(around, batches):
        causes = []
        for _ in range(batches):
            observed = [
                Observation(numbers={"weight": float(value)}, tags={"source": str(source)})
                for value, source in zip(rng.normal(around, 1, 50), rng.choice(["a", "b"], 50), strict=True)
            ]
            causes += watch.take(reference_of(observed, fewest=0), [])
        return causes

    take(10, 40)
    (first, *_) = take(11, 4)
    told = []
    for _ in range(30):
        take(11, 2)
        told.append(watch.renewed(told[-1] if told else first))

    assert {each.segment for each in told} == {"all"}
    assert told[-1].evidence > first.evidence
    assert first.words != told[-1].words
    assert told[-1].words.startswith("weight in all: median 9.98 → 11")


@pytest.mark.parametrize(("moved", "home"), [({"a"}, "source=a"), ({"a", "b", "c"}, "all")])
def test_a_change_that_comes_with_overwhelming_evidence_at_once_has_its_home_where_it_is(rng, moved, home):
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)

    def take(decisions, moved):
        observed = [
            Observation(numbers={"weight": rng.normal(14 if source in moved else 10, 1)}, tags={"source": source})
            for source in rng.choice(["a", "b", "c"], decisions).tolist()
        ]
        return watch.take(reference_of(observed, fewest=0), [])

    for _ in range(60):
        take(50, set())
    causes = take(500, moved) + take(500, moved)

    (weight, *_) = [cause for cause in causes if cause.feature == "weight"]
    assert watch.renewed(weight).segment == weight.segment == home


def test_an_alarm_about_a_source_that_sends_no_more_is_over(rng):
    """It could not come back to what it was, and as long as it is open nobody is told of the next change."""
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)

    def take(sources, batches, around):
        said = []
        for _ in range(batches):
            observed = [
                Observation(numbers={"weight": rng.normal(around[source], 1)}, tags={"source": source})
                for source in rng.choice(sources, 50).tolist()
            ]
            watch.take(reference_of(observed, fewest=0), [])
            said.append(watch.is_calm("weight", "source=fax"))
        return said

    take(["mail", "fax"], 40, {"mail": 10, "fax": 10})
    changed = take(["mail", "fax"], 40, {"mail": 10, "fax": 13})
    gone = take(["mail"], 90, {"mail": 10})

    assert changed[-1] is False
    assert gone[:70] == [False] * 70
    assert gone[-1] is True


def test_a_small_change_that_stays_is_not_over(rng):
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)
    assert fed(watch, rng, around=10, decisions=2000) == []
    ((found, _), *_) = fed(watch, rng, around=10.35, decisions=3000)
    assert not watch.is_calm(found.feature, found.segment)
    calm = []
    for _ in range(80):
        fed(watch, rng, around=10.35, decisions=50)
        calm.append(watch.is_calm("weight", "all"))

    assert calm.count(False) > 40
    assert calm.count(True) < 8


def test_decisions_that_come_in_bunches_raise_nothing_by_themselves_and_a_change_among_them_is_found(rng):
    """Three of a kind at a time, in the mean: where each is taken for news of its own, alarms ring within hundreds."""
    watch = ReleaseWatch("sha256:a", OPTIONS, rng)

    def found(labels, decisions):
        observed = []
        while len(observed) < decisions:
            label, around = str(rng.choice(labels)), rng.normal(10, 1)
            observed += [
                Observation(numbers={"weight": rng.normal(around, 0.3)}, categories={"label": label})
                for _ in range(rng.geometric(1 / 3))
            ]
        causes = []
        for start in range(0, decisions, 40):
            causes += watch.take(reference_of(observed[start : start + 40], fewest=0), [])
        return causes

    assert found(["invoice", "letter", "report", "cv"], 4000) == []
    (cause, *_) = found(["invoice", "invoice", "letter", "memo"], 1500)
    assert (cause.feature, cause.segment) == ("label", "all")


def test_a_watch_with_a_reference_goes_on_from_what_was_stored(rng):
    options = WatchOptions(alpha=0.01, reference_decisions=300)
    watch = ReleaseWatch("sha256:a", options, rng, reference=weighed(rng.normal(10, 1, 400)))
    fed(watch, rng, around=20, decisions=200)
    again = ReleaseWatch("sha256:a", options, rng)

    again.resume(watch.memory())

    assert again.state is WatchState.WATCHING
    assert again.memory().reference == watch.memory().reference
    assert fed(again, rng, around=20, decisions=300) == []
    assert again.reference("all").numbers["weight"].mean == pytest.approx(20, abs=0.2)


def test_a_test_whose_bets_were_made_by_another_version_begins_anew_and_knows_what_is_normal(rng):
    options = WatchOptions(alpha=0.01, reference_decisions=300)
    watch = ReleaseWatch("sha256:a", options, rng)
    fed(watch, rng, around=10, decisions=1_000)
    kept, other = watch.memory(), watch.memory()
    other.betting = "other bets"
    again, anew = (ReleaseWatch("sha256:a", options, rng) for _ in range(2))

    assert (again.resume(kept), anew.resume(other)) == (False, True)

    states = [msgspec.msgpack.decode(each.memory().streams[0][2], type=StreamState) for each in (watch, again, anew)]
    assert [state.steps for state in states] == [states[0].steps, states[0].steps, 0]
    assert states[2].counts == states[0].counts
    assert fed(anew, rng, around=14, decisions=300)
