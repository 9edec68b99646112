"""The witness: what it hands on is all that it noted, whatever authors say and however often the store is away."""

from datetime import UTC, datetime, timedelta
from threading import Event, Semaphore

from msgspec.structs import replace

from headrace.domain.decision import Decision, new_id
from headrace.domain.observation import Observation
from headrace.monitoring.recorder import WatchRecorder
from headrace.monitoring.window import decoded

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PATIENCE_S = 60.0


def decision():
    return Decision(
        id=new_id("dec"),
        created_at=NOW,
        endpoint="mill/grind",
        release="sha256:a",
        variant="champion",
        input_digest="",
        body=b"{}",
        duration_ms=1.0,
    )


def recorder_to(hand_on, *, on_outcome=lambda _outcome, _count: None):
    return WatchRecorder(hand_on, clock=NOW.timestamp, on_outcome=on_outcome, flush_s=3600.0, share=1.0)


def test_an_author_who_says_what_is_no_number_is_told_apart_and_all_others_are_handed_on():
    handed, outcomes = [], []
    recorder = recorder_to(handed.append, on_outcome=lambda outcome, count: outcomes.append((outcome, count)))
    for said in (3.0, "many", 4.0):
        recorder(decision(), lambda said=said: Observation(numbers={"words": said}))

    recorder.close()

    (batch,) = map(decoded, handed)
    assert (batch.count, batch.dropped, batch.unseen) == (2, 0, 1)
    assert batch.unseen_because == "ValueError: could not convert string to float: 'many'"
    assert ("failed", 1) in outcomes
    assert [each.numbers["words"] for each in batch.exemplars] == [3.0, 4.0]


def test_what_waits_is_looked_at_before_its_time_where_the_line_is_half_full(monkeypatch):
    monkeypatch.setattr("headrace.monitoring.recorder.GATHER_S", PATIENCE_S)
    seen = Semaphore(0)

    def observe():
        seen.release()
        return Observation()

    recorder = WatchRecorder(lambda _content: None, clock=NOW.timestamp, flush_s=3600.0, share=1.0, bound=8)
    for _ in range(4):
        recorder(decision(), observe)

    assert all(seen.acquire(timeout=PATIENCE_S / 2) for _ in range(4))
    recorder.close()


def test_at_its_end_it_tries_again_where_the_store_is_away_for_a_moment():
    handed, outcomes = [], []

    def hand_on(content):
        handed.append(content)
        if len(handed) == 1:
            raise OSError("database is locked")

    recorder = recorder_to(hand_on, on_outcome=lambda outcome, count: outcomes.append((outcome, count)))
    recorder(decision(), Observation)

    recorder.close()

    assert [decoded(content).count for content in handed] == [1, 1]
    assert ("seen", 1) in outcomes
    assert ("dropped", 1) not in outcomes


def test_what_nobody_takes_until_the_end_is_counted_as_lost():
    outcomes = []

    def hand_on(_content):
        raise OSError("the disc is gone")

    recorder = recorder_to(hand_on, on_outcome=lambda outcome, count: outcomes.append((outcome, count)))
    recorder(decision(), Observation)

    recorder.close(within_s=0.0)

    assert outcomes[-1] == ("dropped", 1)


def test_while_the_store_is_away_windows_are_joined_and_every_decision_still_counts():
    handed, times, is_away = [], iter(range(0, 300_000, 300)), [True]

    def hand_on(content):
        if is_away[0]:
            raise OSError("the store is away")
        handed.append(decoded(content))

    recorder = recorder_to(hand_on)
    for moment in times:
        recorder(replace(decision(), created_at=NOW - timedelta(seconds=moment % 80_000)), Observation)
        recorder.flush()
    waiting = len(recorder._batches)
    is_away[0] = False

    recorder.close()

    assert waiting == len(handed) <= 6
    assert sum(batch.count for batch in handed) == 1000
    assert all(len(batch.exemplars) <= 64 for batch in handed)


def test_what_is_dropped_while_the_store_is_away_is_counted_at_once():
    outcomes, hung, may_go_on = [], Event(), Event()

    def observe():
        hung.set()
        may_go_on.wait(PATIENCE_S)
        return Observation()

    def away(_content):
        raise OSError("the store is away")

    counted = lambda outcome, count: outcomes.append((outcome, count))  # noqa: E731 - one line is plainer here
    recorder = WatchRecorder(away, clock=NOW.timestamp, on_outcome=counted, flush_s=3600.0, share=1.0, bound=2)
    recorder(decision(), observe)
    assert hung.wait(PATIENCE_S)
    for _ in range(5):
        recorder(decision(), Observation)
    may_go_on.set()
    recorder.flush()

    assert recorder.dropped == 3
    assert ("dropped", 3) in outcomes
    recorder.close(within_s=0.0)
