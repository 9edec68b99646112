"""What every store of the watch promises."""

import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from headrace.domain.report import Alert, QualityFinding, QuarantinedInput, QuarantineState, Severity
from headrace.domain.report_store import StoredWindow, WatchCheckpoint
from headrace.storage.reports import SqlReports, memories
from headrace.storage.schema import opened_database

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


HEAD_START_S = 0.3
"""In which a call that has to wait for another transaction gets as far as it can."""


@pytest.fixture
def database(store_url):
    database = opened_database(store_url)
    yield database
    database.close()


@pytest.fixture
def store(database):
    return SqlReports(database)


def alert(number):
    facts = {"key": "k", "rule": "drift", "severity": Severity.WARNING, "title": "t", "detail": "d", "raised_at": NOON}
    return Alert(id=f"alt_{number}", **facts)


def kept(number):
    return QuarantinedInput(
        id=f"qua_{number}",
        created_at=NOON,
        endpoint="mill/grind",
        release="sha256:1",
        digest="sha256:2",
        filename="a.txt",
        media_type="text/plain",
        size_bytes=3,
        findings=(QualityFinding("garbled", "81 %", page=1),),
        tags=(("source", "erp"),),
    )


def test_batches_come_in_order_and_go_with_the_checkpoint_that_took_them_in(store):
    for content in (b"one", b"two", b"three"):
        store.add_batch(content)
    first, second, _ = store.batches(after=0, limit=10)
    window = StoredWindow(300.0, "sha256:1", "all", b"sketch")

    is_saved = store.save_checkpoint(WatchCheckpoint(second.number, b"memory"), [window], follows=0, now=NOON)

    assert is_saved
    assert (first.content, second.content) == (b"one", b"two")
    assert [each.content for each in store.batches(after=0, limit=10)] == [b"three"]
    assert store.checkpoint() == WatchCheckpoint(second.number, b"memory")
    assert store.windows(since=300.0, until=301.0) == [window]
    assert store.windows(since=0.0, until=300.0) == []
    assert store.windows(since=0.0, until=900.0, release="sha256:other") == []


def test_of_two_that_watch_one_saves_and_the_other_is_told(store):
    store.save_checkpoint(WatchCheckpoint(1, b"first"), [], follows=0, now=NOON)

    is_saved = store.save_checkpoint(
        WatchCheckpoint(1, b"second"), [StoredWindow(0.0, "r", "all", b"x")], follows=0, now=NOON
    )

    assert not is_saved
    assert store.checkpoint() == WatchCheckpoint(1, b"first")
    assert store.windows(since=0.0, until=1.0) == []


@pytest.mark.parametrize("before", [0, 1])
def test_of_two_that_save_at_the_same_moment_one_is_told(store, database, before):
    if before:
        store.save_checkpoint(WatchCheckpoint(before, b"first"), [], follows=0, now=NOON)
    saved = update(memories).values(through=3) if before else insert(memories)
    row = {} if before else {"name": "watch", "through": 3, "saved_at": NOON, "content": zlib.compress(b"theirs")}

    with ThreadPoolExecutor(1) as other:
        with database.transaction() as theirs:
            theirs.execute(saved, row)
            ours = other.submit(store.save_checkpoint, WatchCheckpoint(2, b"ours"), [], follows=before, now=NOON)
            wait([ours], timeout=HEAD_START_S)
        is_saved = ours.result(timeout=60)

    assert not is_saved
    assert store.checkpoint().through == 3


def test_numbers_of_batches_are_never_given_twice(store):
    store.add_batch(b"one")
    (one,) = store.batches(after=0, limit=1)
    store.save_checkpoint(WatchCheckpoint(one.number, b""), [], follows=0, now=NOON)

    store.add_batch(b"two")

    (two,) = store.batches(after=one.number, limit=10)
    assert two.content == b"two"


def test_a_window_is_replaced_and_forgotten(store):
    store.save_checkpoint(WatchCheckpoint(1, b""), [StoredWindow(0.0, "r", "all", b"old")], follows=0, now=NOON)
    store.save_checkpoint(WatchCheckpoint(2, b""), [StoredWindow(0.0, "r", "all", b"new")], follows=1, now=NOON)

    (found,) = store.windows(since=0.0, until=1.0)

    assert found.content == b"new"
    assert store.forget_windows(before=1.0) == 1
    assert store.windows(since=0.0, until=1.0) == []


def test_windows_take_the_place_of_others(store):
    narrow = [StoredWindow(start, "sha256:a", "all", b"some") for start in (3600.0, 3900.0)]
    wide = StoredWindow(3600.0, "sha256:a", "all", b"both")
    store.replace_windows([], narrow)

    store.replace_windows(narrow, [wide])

    assert store.windows(since=0.0, until=9000.0) == [wide]


def test_alerts_are_listed_newest_first_and_by_state(store):
    for number in range(3):
        store.save_alert(alert(number))
    store.save_alert(alert(1).recovered(now=NOON + timedelta(hours=1)))

    page = store.alerts(is_open=None, cursor=None, limit=2)
    rest = store.alerts(is_open=None, cursor=page.next, limit=2)

    assert [each.id for each in (*page.items, *rest.items)] == ["alt_2", "alt_1", "alt_0"]
    assert rest.next is None
    assert [each.id for each in store.alerts(is_open=True, cursor=None, limit=9).items] == ["alt_2", "alt_0"]
    assert store.alert("alt_1").recovered_at == NOON + timedelta(hours=1)
    assert store.alert("alt_9") is None
    assert store.counts() == {"held": 0, "open": 2, "batches": 0}


def test_who_saves_an_alert_does_not_undo_what_people_said_of_its_silence_meanwhile(store):
    store.save_alert(alert(1))

    silenced = store.silence_alert("alt_1", until=NOON + timedelta(hours=1))
    store.save_alert(alert(1).recovered(now=NOON))

    assert silenced.silenced_until == NOON + timedelta(hours=1)
    assert store.alert("alt_1") == silenced.recovered(now=NOON)


def test_who_silences_an_alert_that_has_recovered_meanwhile_does_not_open_it_again(store):
    store.save_alert(alert(1).recovered(now=NOON))

    silenced = store.silence_alert("alt_1", until=NOON + timedelta(hours=1))

    assert silenced == alert(1).recovered(now=NOON)
    assert store.alerts(is_open=True, cursor=None, limit=10).items == ()
    assert store.silence_alert("alt_none", until=NOON) is None


def test_what_is_kept_back_is_let_go_once(store):
    store.keep(kept(1))
    first, second = (kept(1).released(now=NOON, decision_id=f"dec_{number}") for number in (1, 2))

    assert [store.let_go(first), store.let_go(second)] == [True, False]
    assert store.kept("qua_1") == first


def test_what_is_kept_back_comes_back_as_it_was(store):
    store.keep(kept(1))
    store.keep(kept(2))
    store.keep(kept(1).released(now=NOON, decision_id="dec_1"))

    held = store.quarantine(state=QuarantineState.HELD, cursor=None, limit=10)

    assert held.items == (kept(2),)
    assert store.kept("qua_1").decision_id == "dec_1"
    assert store.kept("qua_9") is None
    assert store.counts()["held"] == 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_hold_each_alert_and_each_kept_input_once_though_some_change_and_some_come_meanwhile(store, limit):
    for number in range(10, 17):
        store.save_alert(alert(number))
        store.keep(kept(number))

    alerts, inputs, cursors = [], [], [None, None]
    while True:
        page = store.alerts(is_open=None, cursor=cursors[0], limit=limit)
        held = store.quarantine(state=None, cursor=cursors[1], limit=limit)
        alerts += [each.id for each in page.items]
        inputs += [each.id for each in held.items]
        store.save_alert(alert(20))
        store.save_alert(alert(12).recovered(now=NOON))
        store.keep(kept(15).released(now=NOON, decision_id="dec_1"))
        cursors = [page.next, held.next]
        if None in cursors:
            break

    assert alerts == [f"alt_{number}" for number in range(16, 9, -1)]
    assert inputs == [f"qua_{number}" for number in range(16, 9, -1)]
    assert cursors == [None, None]


def test_who_reads_on_from_the_last_number_meets_every_batch_that_many_hand_in_at_once(store):
    def hand_in(name):
        for number in range(25):
            store.add_batch(f"{name}-{number}".encode())

    with ThreadPoolExecutor(4) as threads:
        handing = [threads.submit(hand_in, name) for name in range(4)]
        seen, last, is_over = [], 0, False
        while not is_over:
            # Asked before the look: what was handed in by then has to be in it.
            is_over = all(each.done() for each in handing)
            for batch in store.batches(after=last, limit=7 if not is_over else 1000):
                seen.append(batch.content)
                last = batch.number
        for each in handing:
            each.result()

    assert len(seen) == 100
    assert set(seen) == {f"{name}-{number}".encode() for name in range(4) for number in range(25)}
