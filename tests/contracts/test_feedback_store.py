"""What every store of feedback and of releases promises: SQLite in memory and on disc, Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.domain.decision import Decision
from headrace.domain.feedback import feedback_on, latest, outcome_of
from headrace.domain.release import Release, ReleaseRecord
from headrace.errors import InvalidInput
from headrace.storage.feedback import SqlFeedback
from headrace.storage.releases import SqlReleases
from headrace.storage.schema import opened_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(store_url):
    database = opened_database(store_url)
    yield database
    database.close()


def decision(name, *, release="sha256:r", variant="champion"):
    return Decision(name, NOON, "mill/run", release, variant, "", b"", 1.0)


def later(minutes):
    return NOON + timedelta(minutes=minutes)


def test_all_feedback_is_kept_and_the_last_one_wins(database):
    store = SqlFeedback(database)
    one = decision("dec_1", release="sha256:a", variant="challenger")
    store.add([feedback_on(one, "invoice", by="Ada", now=later(2)), outcome_of(one, "minutes", 4.5, now=later(1))])
    store.add([feedback_on(one, "letter", now=later(5)), outcome_of(one, "minutes", -1, now=later(3))])
    store.add([feedback_on(one, "early", now=later(0)), outcome_of(one, "clicks", 2, now=later(2))])

    found = store.of("dec_1")

    assert [each.label for each in found.feedback] == ["early", "invoice", "letter"]
    assert found.label == "letter"
    assert found.values() == {"minutes": -1.0, "clicks": 2.0}
    assert {(each.release, each.variant) for each in (*found.feedback, *found.outcomes)} == {("sha256:a", "challenger")}
    assert found.feedback[1].by == "Ada"
    assert store.of("dec_2").label is None


def test_much_that_is_said_at_once_is_kept_as_it_was_said(database):
    store = SqlFeedback(database)
    decisions = [decision(f"dec_{number}") for number in range(30)]
    labels = [feedback_on(each, "letter", by="Ada", now=later(1 / 3)) for each in decisions]
    values = [outcome_of(each, "minutes", 1 / (3 + number), now=later(2)) for number, each in enumerate(decisions)]

    store.add([*labels, *values])

    assert sorted(store.feedback_after("", limit=99), key=lambda each: each.decision_id) == sorted(
        labels, key=lambda each: each.decision_id
    )
    assert {each.decision_id: each for each in store.outcomes_after("", limit=99)} == {
        each.decision_id: each for each in values
    }


def test_what_came_since_is_read_page_by_page(database):
    store = SqlFeedback(database)
    for number in range(5):
        each = decision(f"dec_{number % 2}", release=f"sha256:{number % 2}")
        store.add([feedback_on(each, str(number), now=later(number)), outcome_of(each, "m", number, now=later(number))])

    first = store.feedback_after("", limit=3)
    rest = store.feedback_after(first[-1].id, limit=3)

    assert [each.label for each in (*first, *rest)] == list("01234")
    assert [each.label for each in store.feedback_after("", limit=9, release="sha256:1")] == ["1", "3"]
    assert [each.value for each in store.outcomes_after("", limit=9, metric="m", release="sha256:0")] == [0, 2, 4]
    assert store.outcomes_after("", limit=9, metric="other") == []
    assert {identity: each.label for identity, each in latest((*first, *rest)).items()} == {"dec_0": "4", "dec_1": "3"}


def test_what_is_old_is_forgotten(database):
    store = SqlFeedback(database)
    one = decision("dec_1")
    store.add([feedback_on(one, "old", now=later(0)), outcome_of(one, "m", 1, now=later(0))])
    store.add([feedback_on(one, "new", now=later(5))])

    assert store.forget(before=later(1)) == 2
    assert [each.label for each in store.of("dec_1").feedback] == ["new"]


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "x" * 201])
def test_a_label_that_is_none_is_refused(label):
    with pytest.raises(InvalidInput):
        feedback_on(decision("dec_1"), label, now=NOON)


@pytest.mark.parametrize(("metric", "value"), [("m", float("nan")), ("m", float("inf")), ("", 1.0)])
def test_an_outcome_that_is_none_is_refused(metric, value):
    with pytest.raises(InvalidInput):
        outcome_of(decision("dec_1"), metric, value, now=NOON)


def test_releases_are_kept_as_they_were_first_seen(database):
    store = SqlReleases(database)
    release = Release("mill", "sha256:c", {"stone": "sha256:m"}, {"stone": {"ending": "é"}})

    store.add(ReleaseRecord(release, NOON, "abc", is_dirty=True))
    store.add(ReleaseRecord(release, later(5), "def", is_dirty=False))

    found = store.find(release.id)
    assert found == ReleaseRecord(release, NOON, "abc", is_dirty=True)
    assert store.find(release.id[7:15]) == found
    assert store.find("sha256:ffffffff") is None
    assert store.find("%") is None
    store.add(ReleaseRecord(Release("mill", "sha256:d"), NOON))
    with pytest.raises(InvalidInput, match="Several"):
        store.find("")


def test_releases_are_listed_newest_first(database):
    store = SqlReleases(database)
    releases = [Release("mill", f"sha256:{number}") for number in range(5)]
    for number, release in enumerate(releases):
        store.add(ReleaseRecord(release, later(number // 2)))

    first, cursor = store.listed(cursor=None, limit=3)
    rest, end = store.listed(cursor=cursor, limit=3)

    found = [each.release.id for each in (*first, *rest)]
    assert sorted(found) == sorted(release.id for release in releases)
    assert found[0] == releases[4].id
    assert end is None
    with pytest.raises(InvalidInput, match="cursor"):
        store.listed(cursor="nonsense", limit=1)
