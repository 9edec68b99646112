"""The histogram counts as Prometheus does, and loses nothing whoever observes."""

from threading import Thread

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram

from headrace.telemetry.histogram import SORTED_AT, Histogram

BUCKETS = (0.1, 0.5, 1.0)
VALUES = (0.0, 0.1, 0.1000001, 0.5, 0.7, 1.0, 3.5, float("inf"))


def test_the_exposition_is_that_of_the_library() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("headrace_seconds", "What it took.", ["route"], buckets=BUCKETS, registry=ours)
    other = TheirHistogram("headrace_seconds", "What it took.", ["route"], buckets=BUCKETS, registry=theirs)
    for value in VALUES:
        mine.labels("/v1").observe(value)
        other.labels("/v1").observe(value)
    expected = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == expected


def test_threads_lose_nothing_to_each_other() -> None:
    series = Histogram("headrace_seconds", "What it took.", buckets=BUCKETS, registry=CollectorRegistry()).labels()
    count = 20 * SORTED_AT + 3

    def observe() -> None:
        for _ in range(count):
            series.observe(0.2)

    threads = [Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    reads = [sum(series.read()[0]) for _ in range(50)]
    for thread in threads:
        thread.join()
    assert reads == sorted(reads)
    assert series.read()[0] == [0, 4 * count, 0, 0]
