"""Siblings: what the processes of a server share, and what is left when all of them are killed at once."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from headrace.assembly.siblings import PREFIX, TURNS, Siblings
from headrace.serving.turns import Turns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Turns are those of Linux.")

LONG_S = 30.0
AN_HOUR_S = 3600.0


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed_server():
    """Founded in a process that is killed; where, and the name of its turns."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        siblings = Siblings.founded(cores=2)
        os.write(writable, str(siblings._folder).encode())
        time.sleep(LONG_S)
        os._exit(0)
    folder = Path(os.read(readable, 4096).decode())
    os.close(readable)
    os.close(writable)
    return pid, folder


def aged(folder):
    then = time.time() - AN_HOUR_S
    os.utime(folder, (then, then))


def test_what_a_server_left_that_was_killed_is_removed_by_the_next_one(temporary):
    pid, folder = killed_server()
    name = (folder / TURNS).read_text()
    aged(folder)
    while_it_lives = Siblings.founded(cores=2)
    assert folder.exists()

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    after = Siblings.founded(cores=2)

    assert not folder.exists()
    assert Turns.remove(name) is False
    assert while_it_lives.turns.take(within_s=0.0)
    for each in (while_it_lives, after):
        each.remove()
    assert list(temporary.glob(f"{PREFIX}*")) == []
