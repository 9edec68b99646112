"""Texts that another process of the same server has seen are as near as this one's own."""

import errno
import os
from contextlib import AsyncExitStack

import pytest

from headrace.assembly.quality import opened_texts
from headrace.assembly.siblings import Siblings
from headrace.monitoring import shared_texts
from headrace.monitoring.near_duplicates import RecentTexts, fingerprint
from headrace.monitoring.shared_texts import SLOTS, SharedTexts


def text_of(number, *, words=60):
    return " ".join(f"w{number}x{word}" for word in range(words))


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch):
    monkeypatch.setattr(shared_texts, "LOOK_S", 0.0)


def in_another_process(work):
    """Runs `work` in a process forked from this one, and waits for its end."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_near_copy_of_what_another_process_has_seen_is_found(tmp_path):
    here = RecentTexts(others=SharedTexts(tmp_path))

    def elsewhere():
        there = RecentTexts(others=SharedTexts(tmp_path))
        there.add(fingerprint(text_of(1)), "one")

    in_another_process(elsewhere)

    assert here.near(fingerprint(text_of(1) + " and more")) is not None
    assert here.near(fingerprint(text_of(2))) is None


def test_both_hear_of_each_other_in_turn(tmp_path):
    one, other = (RecentTexts(others=SharedTexts(tmp_path)) for _ in range(2))

    found = []
    for number in range(40):
        mine, yours = (one, other) if number % 2 else (other, one)
        mine.add(fingerprint(text_of(number)), str(number))
        found.append(yours.near(fingerprint(text_of(number))) is not None)

    assert all(found)


def test_who_has_not_listened_for_long_knows_the_newest(tmp_path):
    teller, listener = (SharedTexts(tmp_path) for _ in range(2))
    list(listener.heard())
    for number in range(SLOTS + 50):
        teller.tell(fingerprint(text_of(number, words=31)))

    heard = [mark.hashes for mark in listener.heard()]

    assert len(heard) == SLOTS
    assert heard[-1] == fingerprint(text_of(SLOTS + 49, words=31)).hashes
    assert list(listener.heard()) == []


def test_a_process_that_ended_is_forgotten_and_what_it_told_is_not(tmp_path):
    shared = SharedTexts(tmp_path)
    here = RecentTexts(others=SharedTexts(tmp_path))
    assert here.near(fingerprint(text_of(2))) is None
    RecentTexts(others=shared).add(fingerprint(text_of(1)), "one")

    shared.close()

    assert here.near(fingerprint(text_of(1))) is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_on_a_full_disc_a_process_knows_its_own_texts_alone_and_says_so(tmp_path, monkeypatch):
    def full(_descriptor, _offset, _length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    told = []
    recent = opened_texts(AsyncExitStack(), Siblings(tmp_path), tell=lambda event, facts: told.append((event, facts)))
    recent.add(fingerprint(text_of(1)), "one")

    assert recent.near(fingerprint(text_of(1))) is not None
    assert told == [("seen_texts_not_shared", {"error": "No space left on device"})]
    assert list(tmp_path.iterdir()) == []
