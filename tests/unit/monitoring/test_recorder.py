"""The witness: what it hands on is all that it noted, whatever authors say and however often the store is away."""

from datetime import UTC, datetime

from headrace.domain.decision import Decision, new_id
from headrace.domain.observation import Observation
from headrace.monitoring.recorder import WatchRecorder
from headrace.monitoring.window import decoded

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


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


def recorder_to(hand_on):
    return WatchRecorder(hand_on, clock=NOW.timestamp, flush_s=3600.0, share=1.0)


def test_an_author_who_says_what_is_no_number_is_dropped_and_all_others_are_handed_on():
    handed = []
    recorder = recorder_to(handed.append)
    for said in (3.0, "many", 4.0):
        recorder(decision(), lambda said=said: Observation(numbers={"words": said}))

    recorder.close()

    (batch,) = map(decoded, handed)
    assert (batch.count, batch.dropped) == (2, 1)
    assert [each.numbers["words"] for each in batch.exemplars] == [3.0, 4.0]
