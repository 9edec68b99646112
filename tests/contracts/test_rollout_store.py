"""The promise of the rollout store, in memory, in SQLite and in Postgres."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import insert

from headrace.domain.decision import new_id
from headrace.domain.exposure import Exposure, Observation, Tables, counted, figures_of
from headrace.domain.guard_rule import ERRORS, guards_of
from headrace.domain.rollout import IllegalRolloutChange, Rollout, RolloutPlan, RolloutState
from headrace.domain.rollout_figures import Figures, GuardFigures, Pairs, Verdict
from headrace.domain.rollout_store import Manifests, NewsMove
from headrace.domain.tally import Measure, Tally
from headrace.errors import Conflict, NotFound
from headrace.rollouts.judge import judged
from headrace.storage.rollout_tables import serving_releases
from headrace.storage.rollouts import SqlRollouts
from headrace.storage.schema import opened_database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DEADLINE_S = 60
HEAD_START_S = 0.3
"""In which a call that has to wait for another transaction gets as far as it can."""

MANIFESTS = Manifests(champion=b"{}", candidate=b"[]")


@pytest.fixture
def database(store_url):
    opened = opened_database(store_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    return SqlRollouts(database)


def begun(pipeline="mill", **plan: object):
    return Rollout.begun(
        new_id("rol"), pipeline=pipeline, champion="sha256:a", candidate="sha256:b",
        plan=RolloutPlan(guards=guards_of(["outcome:grain=0..10"]), **plan), salt="s", now=NOW,
    )  # fmt: skip


def seen(key, *, share=0.5, candidate=False, bad=False, step=0):
    return Observation(key, step, share, candidate, {ERRORS: bad})


def together(*acts: object):
    """Runs them at the same moment, each in a thread; what each returned or raised."""
    barrier, outcomes = Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        barrier.wait(30)
        try:
            outcomes[place] = act()
        except Exception as error:  # noqa: BLE001 - the outcome is what is looked at
            outcomes[place] = error

    threads = [Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def test_a_rollout_comes_back_as_it_went_in(store):
    rollout = begun(is_shadowed=True)

    store.begin(rollout, MANIFESTS)

    assert store.find(rollout.id) == rollout
    assert store.latest("mill") == rollout
    assert store.manifests(rollout.id) == MANIFESTS
    assert store.latest("other") is None
    assert store.find("rol_none") is None
    with pytest.raises(NotFound):
        store.manifests("rol_none")


def test_of_one_pipeline_one_rollout_runs(store):
    first = begun()
    store.begin(first, MANIFESTS)

    with pytest.raises(Conflict, match=first.id):
        store.begin(begun(), MANIFESTS)
    store.begin(begun("other"), MANIFESTS)
    store.change(first.rolled_back("bad", now=NOW))
    second = begun()
    store.begin(second, MANIFESTS)

    assert store.latest("mill") == second


def test_of_two_that_begin_at_once_one_wins(store):
    outcomes = together(*(lambda: store.begin(begun(), MANIFESTS) for _ in range(4)))

    assert outcomes.count(None) == 1
    assert sum(isinstance(each, Conflict) for each in outcomes) == 3


def test_of_two_changes_at_once_one_wins_and_the_other_is_told_what_was_done(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)

    outcomes = together(
        lambda: store.change(rollout.promoted("is better", now=NOW)),
        lambda: store.change(rollout.rolled_back("is worse", now=NOW)),
    )

    won = store.find(rollout.id)
    assert outcomes.count(None) == 1
    refused = next(each for each in outcomes if each is not None)
    assert isinstance(refused, IllegalRolloutChange)
    assert won.reason in str(refused)
    assert won.state in {RolloutState.PROMOTED, RolloutState.ROLLED_BACK}


def test_a_judgement_stands_with_the_change_that_it_led_to_or_not_at_all(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    judgement = judged(rollout, Figures(), at=NOW, at_step_s=1.0)
    store.note(judgement)
    stepped = rollout.stepped("on", now=NOW)

    store.change(stepped, judgement=replace(judgement, verdict=Verdict.STEP))
    with pytest.raises(IllegalRolloutChange):
        store.change(stepped, judgement=judgement)

    assert [each.verdict for each in store.judgements(rollout.id, limit=9)] == [Verdict.STEP, Verdict.NOT_ENOUGH_DATA]
    assert store.judgements(rollout.id, limit=9)[1] == judgement
    assert store.judgements(rollout.id, limit=1)[0].verdict is Verdict.STEP


def test_a_change_of_a_rollout_that_is_not_there_is_told(store):
    with pytest.raises(NotFound):
        store.change(begun().promoted("", now=NOW))
    with pytest.raises(NotFound):
        store.observe("rol_none", [seen("k")], {})


def test_what_is_counted_in_parts_is_what_is_counted_at_once(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    walk = [
        seen(f"k{n % 40}", share=(0.1, 0.3)[n > 60], candidate=n % 4 == 0, bad=n % 7 == 0, step=int(n > 60))
        for n in range(120)
    ]
    walk.append(Observation("k1", -1, 0.0, True, {ERRORS: True}, champion_bad={ERRORS: False}))

    for begin in range(0, len(walk), 17):
        store.observe(rollout.id, walk[begin : begin + 17], {})

    assert store.figures(rollout.id) == figures_of(counted(walk, Tables()))
    assert store.figures(rollout.id).of(ERRORS).pairs == Pairs(1, 1, 0)


def test_processes_that_count_at_once_count_each_key_once(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    keys = [f"k{number}" for number in range(50)]

    outcomes = together(
        *(
            lambda: store.observe(
                rollout.id, [seen(key, bad=True) for key in keys], {Measure("champion", "requests"): Tally(50)}
            )
            for _ in range(4)
        )
    )

    assert outcomes == [None] * 4
    figures = store.figures(rollout.id)
    assert figures.arrivals[0].champion == 50
    assert figures.of(ERRORS).marks[0].champion == 50
    assert store.tallies(rollout.id) == {Measure("champion", "requests"): Tally(200)}


def test_tallies_add_up(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)

    store.observe(rollout.id, [], {Measure("champion", "confidence"): Tally.of(0.5)})
    store.observe(rollout.id, [], {Measure("champion", "confidence"): Tally.of(1.0)})

    assert store.tallies(rollout.id)[Measure("champion", "confidence")] == Tally(2, 1.5, 1.25)
    assert store.figures(rollout.id) == Figures()
    assert store.figures(rollout.id).of(ERRORS) == GuardFigures()


def test_lists_go_on_where_a_page_ends(store):
    all_ = [begun(f"mill-{number}") for number in range(5)]
    for rollout in all_:
        store.begin(rollout, MANIFESTS)

    first = store.listed(cursor=None, limit=3)
    rest = store.listed(cursor=first.next, limit=3)

    assert [each.id for each in (*first.items, *rest.items)] == sorted((each.id for each in all_), reverse=True)
    assert rest.next is None


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_rollout_survives_the_process(kind, request, tmp_path):
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path}/a.db"
    store = SqlRollouts(opened_database(url))
    rollout = begun(f"mill-{kind}")
    store.begin(rollout, MANIFESTS)
    store.observe(rollout.id, [seen("k", candidate=True)], {})
    store.close()

    again = SqlRollouts(opened_database(url))

    assert again.latest(f"mill-{kind}") == rollout
    assert again.figures(rollout.id).arrivals[0].candidate == 1
    again.close()


def test_what_is_over_counts_no_more_and_forgets_its_keys(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    exposure = Exposure(rollout.id, "k", 0, 0.5, is_candidate=True, labels={"champion": "corn"})
    store.observe(rollout.id, [seen("k")], {}, exposures={"dec_1": exposure})
    known = store.exposures(["dec_1", "dec_2"])

    store.change(rollout.rolled_back("bad", now=NOW))
    store.observe(rollout.id, [seen("other")], {Measure("champion", "requests"): Tally(1)})

    assert known == {"dec_1": exposure}
    assert store.exposures(["dec_1"]) == {}
    assert store.figures(rollout.id).arrivals[0].champion == 1
    assert store.tallies(rollout.id) == {}


def test_what_is_over_is_unsettled_until_somebody_settles_it(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    before = store.unsettled()
    over = rollout.promoted("good", now=NOW)
    store.change(over)

    unsettled = store.unsettled()
    store.settle(rollout.id)

    assert (before, unsettled, store.unsettled()) == ([], [over], [])


def test_news_are_counted_by_one_process_only(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    right = {Measure("champion", "right"): Tally(1)}

    outcomes = together(*(lambda: store.observe(rollout.id, [], right, news=NewsMove("", "fbk_1")) for _ in range(3)))

    assert outcomes == [None] * 3
    assert store.news_cursor(rollout.id) == "fbk_1"
    assert store.tallies(rollout.id) == right


def test_what_servers_answer_by_is_known(store):
    before = store.serving("mill")
    store.note_serving("mill", b"a")

    store.note_serving("mill", b"b")

    assert (before, store.serving("mill"), store.serving("other")) == (None, b"b", None)


def test_many_answers_are_counted_at_once_and_grow_what_is_there(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    first, second = ([seen(f"key {key}", share=share, bad=key % 3 == 0) for key in range(60)] for share in (0.5, 1 / 3))
    tallies = {Measure("champion", f"outcome {number}"): Tally.of(number) for number in range(20)}
    exposures = {f"dec_{key}": Exposure(rollout.id, str(key), 0, 0.5, True, {"champion": "rye"}) for key in range(60)}

    store.observe(rollout.id, first, tallies, exposures=exposures)
    store.observe(rollout.id, second, tallies, exposures=exposures)

    assert store.figures(rollout.id) == figures_of(counted([*first, *second], Tables()))
    assert store.tallies(rollout.id) == {measure: tally.plus(tally) for measure, tally in tallies.items()}
    assert store.exposures([*exposures, "dec_none"]) == exposures


def test_processes_that_start_at_the_same_moment_all_note_what_serves(store, database):
    with ThreadPoolExecutor(1) as other:
        with database.transaction() as first:
            first.execute(insert(serving_releases).values(pipeline="mill", manifest=b"a"))
            second = other.submit(store.note_serving, "mill", b"b")
            wait([second], timeout=HEAD_START_S)
        second.result(timeout=DEADLINE_S)

    assert store.serving("mill") == b"b"


def test_judgements_noted_at_the_same_moment_all_stand(store):
    rollout = begun()
    store.begin(rollout, MANIFESTS)
    judgement = judged(rollout, store.figures(rollout.id), at=NOW, at_step_s=1.0)

    outcomes = together(*(lambda: store.note(judgement) for _ in range(6)))

    assert outcomes == [None] * 6
    assert len(store.judgements(rollout.id, limit=10)) == 6


def test_what_old_rollouts_counted_is_forgotten_and_why_they_ended_is_not(store):
    old, recent = begun(), begun("press")
    for each in (old, recent):
        store.begin(each, MANIFESTS)
        store.observe(each.id, [seen("a", bad=True)], {Measure("champion", "requests"): Tally.of(1.0)})
        figures = store.figures(each.id)
        for second in range(3):
            store.note(judged(each, figures, at=NOW, at_step_s=second))
    ended = old.rolled_back("enough", now=NOW)
    last = judged(old, store.figures(old.id), at=NOW, at_step_s=9)
    store.change(ended, judgement=last)
    store.change(recent.rolled_back("enough", now=NOW.replace(day=3)))

    assert store.forget(before=NOW.replace(day=2)) == 1
    assert store.forget(before=NOW.replace(day=2)) == 0

    assert store.find(old.id) == ended
    assert store.judgements(old.id, limit=10) == [last]
    assert store.figures(old.id) == Figures({}, ())
    assert store.tallies(old.id) == {}
    assert len(store.judgements(recent.id, limit=10)) == 3
    assert store.tallies(recent.id)
