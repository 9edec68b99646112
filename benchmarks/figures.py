"""Figures of a benchmark: one JSON line each, with the machine and the commit they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Figures:
    """Tells figures of one benchmark; `is_quick` figures say so, as they are not comparable."""

    benchmark: str
    is_quick: bool = False
    where: dict[str, Any] = field(default_factory=lambda: {"machine": machine(), "commit": commit()})

    def tell(self, figure: str, value: float, *, unit: str, **facts: Any) -> None:
        """Prints one figure; `facts` say of what: the data, the peer, the size."""
        line = {"benchmark": self.benchmark, "figure": figure, "value": round(float(value), 6), "unit": unit}
        quick = {"quick": True} if self.is_quick else {}
        print(json.dumps(line | facts | quick | self.where, ensure_ascii=False), flush=True)


def machine() -> str:
    """The processor, its cores and the interpreter, in one line."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, Python {platform.python_version()}"


def commit() -> str:
    """The commit that was measured; a plus sign stands for changes on top of it."""
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}+" if head and _git("status", "--porcelain", "--", "src") else head or "unknown"


def shared_folder(part: str) -> Path | None:
    """`part` of the shared data beside the repository or in `HEADRACE_SHARED`; says loudly when it is not there."""
    for home in filter(None, (os.environ.get("HEADRACE_SHARED"), ROOT.parent / "shared")):
        if (Path(home) / part).is_dir():
            return Path(home) / part
    print(f"SKIPPED: no shared data at ../shared/{part}; set HEADRACE_SHARED to where it is.", file=sys.stderr)
    return None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
