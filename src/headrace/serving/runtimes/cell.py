"""Cell: the one folder that a guarded worker may write to, and the sweeping of cells whose parents were killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from headrace.serving.own_folder import OLD_ENOUGH_S, OwnFolder, abandoned_folders

PREFIX = "headrace-worker-"


class Cell(OwnFolder):
    """A fresh folder, locked for as long as this process lives and has not removed it."""

    def __init__(self) -> None:
        super().__init__(PREFIX)

    def tidy(self) -> None:
        """Empties it, so that no document finds traces of another."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)


def sweep_cells(folder: Path | None = None, *, older_than_s: float = OLD_ENOUGH_S) -> int:
    """Removes the cells in `folder` that nobody holds: their parents were killed. How many there were."""
    return sum(1 for _ in abandoned_folders(PREFIX, folder, older_than_s=older_than_s))
