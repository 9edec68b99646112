"""Where something was made: the commit of the working folder, and the versions of the libraries that compute."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from headrace.domain.model import Provenance

COMPUTING = ("headrace", "numpy", "scipy", "scikit-learn", "onnxruntime", "tokenizers", "safetensors")
_WAIT_S = 5.0


def working_copy(folder: Path) -> tuple[str | None, bool | None]:
    """The commit that `folder` is at, and whether files of it were changed since; None where git cannot tell."""
    git = shutil.which("git")
    if git is None:
        return None, None
    commit = _said(git, folder, "rev-parse", "HEAD")
    if not commit:
        return None, None
    changes = _said(git, folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def provenance_of(folder: Path, *, source: str = "") -> Provenance:
    """Now, at the commit of the working folder, with the libraries that are installed."""
    commit, is_dirty = working_copy(folder)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(now, commit, is_dirty, library_versions(), source)


def library_versions() -> dict[str, str]:
    """The installed versions of what decides about numbers, by distribution."""
    found = {}
    for name in COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _said(git: str, folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - a program found by name, with fixed arguments
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
