"""The witness: what it hands on is all that it noted, whatever authors say and however often the store is away."""

from datetime import UTC, datetime
from threading import Semaphore

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


def test_an_author_who_says_what_is_no_number_is_dropped_and_all_others_are_handed_on():
    handed = []
    recorder = recorder_to(handed.append)
    for said in (3.0, "many", 4.0):
        recorder(decision(), lambda said=said: Observation(numbers={"words": said}))

    recorder.close()

    (batch,) = map(decoded, handed)
    assert (batch.count, batch.dropped) == (2, 1)
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
