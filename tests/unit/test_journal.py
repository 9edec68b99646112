"""The journal survives the death of its process at any byte, and tells who is dead."""

import os
import signal
import struct
import subprocess
import sys
import zlib

import pytest

from headrace.errors import Overloaded
from headrace.serving.journal import Journal, abandoned_in, records_of

DYING = """
import os, sys
from pathlib import Path
from headrace.serving.journal import Journal
journal = Journal(Path(sys.argv[1]), segment_bytes=64)
for number in range(int(sys.argv[2])):
    journal.append(b"record %d" % number)
print("ready", flush=True)
sys.stdin.read()
"""


# A settled record whose content looks like records, right where the next one will end.
REFILLING = """
import sys
from pathlib import Path
from headrace.serving.journal import Journal
journal = Journal(Path(sys.argv[1]), segment_bytes=4096)
journal.append(bytes(16 + 3) + bytes.fromhex(sys.argv[2]))
journal.settle(1)
journal.append(b"")
journal.append(b"new")
print("ready", flush=True)
sys.stdin.read()
"""


def frame(number, content):
    """A record as every version has written it."""
    numbered = struct.pack("<Q", number) + content
    return struct.pack("<II", len(content), zlib.crc32(numbered)) + numbered


@pytest.fixture
def dead(tmp_path):
    """A folder with the journal of a process that was killed after ten records."""
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, str(tmp_path), "10"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    return tmp_path


def test_what_was_appended_is_read_back_in_order(tmp_path):
    journal = Journal(tmp_path, segment_bytes=100)

    numbers = [journal.append(b"x" * size) for size in (0, 1, 50, 90, 3)]

    assert numbers == [1, 2, 3, 4, 5]
    assert [(each.number, len(each.content)) for each in journal.unsettled(2)] == [(3, 50), (4, 90), (5, 3)]


def test_segments_are_deleted_when_all_in_them_is_settled(tmp_path):
    journal = Journal(tmp_path, segment_bytes=40)
    for _ in range(6):
        journal.append(b"x" * 30)
    before = journal.size_bytes

    journal.settle(3)

    assert 0 < journal.size_bytes < before
    assert [each.number for each in journal.unsettled(3)] == [4, 5, 6]
    journal.close(settled=6)
    assert list(tmp_path.iterdir()) == []


def test_a_settled_segment_is_filled_again_from_its_beginning(tmp_path):
    journal = Journal(tmp_path, segment_bytes=200)
    for _ in range(30):
        journal.append(b"x" * 30)
    journal.settle(30)
    files = sorted(tmp_path.glob("*.journal"))

    for _ in range(6):
        journal.append(b"y" * 40)

    assert sorted(tmp_path.glob("*.journal")) == files
    assert [(each.number, each.content) for each in journal.unsettled(30)] == [(n, b"y" * 40) for n in range(31, 37)]


def test_what_stood_in_a_segment_before_is_never_read_again_after_a_kill(tmp_path):
    forged = b"".join(frame(number, b"forged") for number in range(1000, 1100))
    process = subprocess.Popen(
        [sys.executable, "-c", REFILLING, str(tmp_path), forged.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    (path,) = tmp_path.glob("*.journal")
    assert b"forged" in path.read_bytes()

    (abandoned,) = abandoned_in(tmp_path)

    assert [(each.number, each.content) for each in abandoned.records()] == [(2, b""), (3, b"new")]


def test_a_record_of_any_length_has_the_same_checksum_as_ever(tmp_path):
    journal = Journal(tmp_path)
    contents = [os.urandom(size) for size in (0, 1, 5120, 5121, 100_000)]
    for each in contents:
        journal.append(each)

    (path,) = tmp_path.glob("*.journal")

    assert path.read_bytes().startswith(b"".join(frame(n, each) for n, each in enumerate(contents, 1)))
    assert [each.content for each in records_of(path)] == contents


def test_a_full_journal_refuses_and_takes_again_when_there_is_room(tmp_path):
    journal = Journal(tmp_path, segment_bytes=10, bound_bytes=100)
    journal.append(b"x" * 40)

    with pytest.raises(Overloaded, match="full"):
        journal.append(b"x" * 40)
    assert journal.skip() == 2
    journal.settle(1)

    assert journal.append(b"x" * 40) == 3


def test_a_killed_process_leaves_all_it_appended(dead):
    (abandoned,) = abandoned_in(dead)

    assert [each.content for each in abandoned.records()] == [b"record %d" % number for number in range(10)]
    assert [each.number for each in abandoned.records()] == list(range(1, 11))
    abandoned.delete()
    assert list(dead.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 5, 16, 20])
def test_half_a_record_at_the_end_is_none(dead, cut):
    (abandoned,) = abandoned_in(dead)
    last = max(dead.glob("*.journal"))
    whole = len(list(records_of(last)))
    end = last.read_bytes().rindex(b"record 9") + len(b"record 9")
    os.truncate(last, end - cut)

    assert len(list(records_of(last))) == whole - 1
    assert len(list(abandoned.records())) == 9


def test_a_flipped_bit_ends_the_reading_and_raises_nothing(dead):
    (abandoned,) = abandoned_in(dead)
    last = max(dead.glob("*.journal"))
    content = bytearray(last.read_bytes())
    content[content.rindex(b"9")] ^= 1
    last.write_bytes(content)

    assert len(list(abandoned.records())) == 9


def test_the_journal_of_a_living_process_is_its_own(tmp_path):
    journal = Journal(tmp_path)
    journal.append(b"mine")

    assert list(abandoned_in(tmp_path)) == []
    journal.close(settled=0)
    assert len(list(abandoned_in(tmp_path))) == 1


def test_an_abandoned_journal_is_taken_by_one(dead):
    walk = abandoned_in(dead)
    next(walk)

    assert list(abandoned_in(dead)) == []
    walk.close()
    assert len(list(abandoned_in(dead))) == 1
