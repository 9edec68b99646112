"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = QUOTA) -> int:
    """The cores of the scheduler's mask, or fewer where a container's quota allows fewer; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError):
        # No control group of the second version, or "max": nothing is taken away.
        return cores
    return max(1, cores)
