"""The digest of source code: which code answered, where no commit tells."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path


@cache
def digest_of_sources(*packages: str) -> str:
    """`sha256:` over the names and contents of all Python files of the imported top-level `packages`.

    Taken once in a process: what is imported does not change when a file does.
    A package that has no files (a notebook's `__main__`) counts by its name alone.
    """
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        digest.update(f"\0{package}\0".encode())
        file = getattr(sys.modules.get(package), "__file__", None)
        if file is None:
            continue
        home = Path(file).parent
        sources = sorted(home.rglob("*.py")) if Path(file).name == "__init__.py" else [Path(file)]
        for source in sources:
            digest.update(f"{source.relative_to(home)}\0".encode())
            digest.update(source.read_bytes())
    return f"sha256:{digest.hexdigest()}"
