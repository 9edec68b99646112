"""What is told of decisions counts once as evidence, and as the last word in figures."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.domain.decision import new_id
from headrace.domain.exposure import Exposure
from headrace.domain.feedback import Feedback, Outcome
from headrace.domain.guard_rule import ACCURACY, guards_of
from headrace.domain.rollout import CHALLENGER, Rollout, RolloutPlan
from headrace.domain.rollout_store import Manifests
from headrace.domain.tally import OUTCOME_VALUE, RIGHT, Measure, Tally
from headrace.rollouts.news import NewsReader
from headrace.rollouts.sighting import News
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Told:
    """All that is said, oldest first, read by a reader whose clock is well ahead of it."""

    def __init__(self) -> None:
        self.store = SqlRollouts(opened_database("sqlite://"))
        plan = RolloutPlan(guards=guards_of([ACCURACY]))
        self.rollout = Rollout.begun(
            new_id("rol"), pipeline="mill", champion="sha256:a", candidate="sha256:b", plan=plan, salt="s", now=NOW
        )
        self.store.begin(self.rollout, Manifests(champion=b"{}", candidate=b"[]"))
        exposure = Exposure(self.rollout.id, "key", 0, 0.5, is_candidate=True, labels={CHALLENGER: "rye"})
        self.store.observe(self.rollout.id, [], {}, exposures={"dec_1": exposure})
        self.said: list[tuple[Feedback | Outcome, News]] = []
        sources = {"fbk": self.since("fbk"), "out": self.since("out")}
        self.reader = NewsReader(self.store, sources, now=lambda: datetime.now(UTC) + timedelta(hours=1))

    def since(self, prefix):
        def source(cursor, limit):
            return [(each, news) for each, news in self.said if each.id.startswith(prefix) and each.id > cursor][:limit]

        return source

    def label(self, label):
        said = Feedback(new_id("fbk"), "dec_1", datetime.now(UTC), "", "", "", label)
        self.said.append((said, News("dec_1", label=label)))

    def value(self, value):
        said = Outcome(new_id("out"), "dec_1", datetime.now(UTC), "", "", "", "grain", value)
        self.said.append((said, News("dec_1", outcomes={"grain": value})))

    def looked(self):
        self.reader.read(self.rollout)
        figures = self.store.figures(self.rollout.id).of(ACCURACY)
        return sum(each.candidate for each in figures.strata), sum(each.bad_candidate for each in figures.strata)

    def right(self):
        return self.store.tallies(self.rollout.id)[Measure(CHALLENGER, RIGHT)]


@pytest.fixture
def told():
    return Told()


def test_of_what_is_told_between_two_looks_the_last_word_counts(told):
    told.label("oats")
    told.label("wheat")
    told.label("rye")

    assert told.looked() == (1, 0)
    assert told.right() == Tally.of(1.0)


def test_a_correction_after_the_look_moves_the_figures_and_not_the_evidence(told):
    told.label("rye")
    assert told.looked() == (1, 0)

    told.label("wheat")

    assert told.looked() == (1, 0)
    assert told.right() == Tally.of(0.0)


def test_the_same_word_again_changes_nothing(told):
    for _ in range(3):
        told.label("rye")
        told.looked()

    assert told.right() == Tally.of(1.0)


def test_outcomes_are_corrected_by_name_beside_labels(told):
    told.label("rye")
    told.value(4.0)
    told.looked()
    told.value(6.5)
    told.looked()

    assert told.store.tallies(told.rollout.id)[Measure(CHALLENGER, f"{OUTCOME_VALUE}grain")] == Tally.of(6.5)
    assert told.right() == Tally.of(1.0)
    assert told.store.exposures(["dec_1"])["dec_1"].told == {"": "rye", "grain": 6.5}
