"""The promise of who attends, held against memory, SQLite and Postgres, and what workers know of each other by it."""

import asyncio
from contextlib import suppress

import pytest

from headrace.domain.attendance import Attendance
from headrace.jobs.colleagues import LOOK_S, Colleagues
from headrace.storage.attendances import SqlAttendances
from headrace.storage.schema import opened_database

OLD, NEW = "sha256:0", "sha256:1"
DEADLINE_S = 30


@pytest.fixture
def store(store_url):
    database = opened_database(store_url)
    yield SqlAttendances(database)
    database.close()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def colleagues(store, clock):
    return Colleagues(store, "new:1", {NEW}, silent_s=10, ticking=clock)


def test_a_worker_is_there_from_its_first_beat_until_it_leaves(store):
    store.attend("new:1", {NEW})
    store.attend("old:1", {OLD, NEW})
    store.attend("old:1", {OLD, NEW})

    found = store.attending()
    store.leave("old:1")
    store.leave("old:1")

    assert found == [Attendance("new:1", frozenset({NEW}), 1), Attendance("old:1", frozenset({OLD, NEW}), 2)]
    assert [each.worker for each in store.attending()] == ["new:1"]


def test_a_worker_that_has_beaten_since_is_not_forgotten(store):
    store.attend("old:1", {OLD})
    (seen,) = store.attending()
    store.attend("old:1", {OLD})

    assert not store.forget(seen)
    (seen,) = store.attending()
    assert store.forget(seen)
    assert store.attending() == []


async def test_a_colleague_lives_while_it_beats(store, clock, colleagues):
    for _ in range(4):
        store.attend("old:1", {OLD})
        clock.now += 9
        assert await colleagues.can_answer(OLD)
    store.leave("old:1")
    clock.now += LOOK_S

    assert not await colleagues.can_answer(OLD)


async def test_a_colleague_that_was_killed_is_forgotten_when_it_has_been_silent(store, clock, colleagues):
    store.attend("old:1", {OLD})
    assert await colleagues.can_answer(OLD)
    clock.now += 9.9
    assert await colleagues.can_answer(OLD)
    clock.now += LOOK_S

    assert not await colleagues.can_answer(OLD)
    assert store.attending() == []


async def test_a_worker_is_no_colleague_of_its_own(store, colleagues):
    store.attend("new:1", {NEW})

    assert not await colleagues.can_answer(NEW)


async def test_a_worker_attends_until_it_ends(store):
    attending = asyncio.create_task(Colleagues(store, "old:1", {OLD}, silent_s=0.04).attend())
    async with asyncio.timeout(DEADLINE_S):
        while not any(each.beats > 2 for each in store.attending()):
            await asyncio.sleep(0.01)
    attending.cancel()
    with suppress(asyncio.CancelledError):
        await attending

    assert store.attending() == []
