"""Cell: the one folder that a guarded worker may write to, and the sweeping of cells whose parents were killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "headrace-worker-"
OLD_ENOUGH_S = 60.0


class Cell:
    """A fresh folder, locked for as long as this process lives and has not removed it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix=PREFIX)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def tidy(self) -> None:
        """Empties it, so that no document finds traces of another."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)

    def remove(self) -> None:
        """Gives it up; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep_cells(folder: Path | None = None, *, older_than_s: float = OLD_ENOUGH_S) -> int:
    """Removes the cells in `folder` that nobody holds: their parents were killed. How many there were.

    Young ones are left alone, as they may be about to be locked.
    """
    swept = 0
    for found in Path(folder or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if time.time() - os.fstat(lock).st_mtime >= older_than_s:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
                swept += 1
        except OSError:
            # Someone holds it, or it is someone else's.
            continue
        finally:
            os.close(lock)
    return swept
