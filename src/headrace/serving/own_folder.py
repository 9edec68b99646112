"""OwnFolder: a temporary folder of living processes, and the sweeping of those whose processes were all killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

OLD_ENOUGH_S = 60.0


class OwnFolder:
    """A fresh folder, locked for as long as this process or one forked from it lives and has not removed it."""

    def __init__(self, prefix: str) -> None:
        self.path = tempfile.mkdtemp(prefix=prefix)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Gives it up; safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def abandoned_folders(prefix: str, folder: Path | None = None, *, older_than_s: float = OLD_ENOUGH_S) -> Iterator[Path]:
    """Yields this user's folders in `folder` that nobody holds; each is removed once it was looked at.

    Young ones are left alone, as they may be about to be locked.
    """
    for found in Path(folder or tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            lock = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if _is_ours(lock, older_than_s) and _is_free(lock):
                yield found
                shutil.rmtree(found, ignore_errors=True)
        finally:
            os.close(lock)


def _is_ours(lock: int, older_than_s: float) -> bool:
    """What another user put there is not believed, whoever we are."""
    state = os.fstat(lock)
    return state.st_uid == os.geteuid() and time.time() - state.st_mtime >= older_than_s


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
