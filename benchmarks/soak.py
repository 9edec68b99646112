"""A soak of the tiny model's server with churn, to see whether anything piles up.

`python benchmarks/soak.py [--seconds 1800] [--rate R] [--quick]` asks at a steady rate, by default 80 % of what eight
callers get in the beginning. Every round opens its connections anew; some callers leave in mid-answer, some in
mid-question, some send nonsense. Memory (PSS) and descriptors of all processes are looked at after each round; the
first third is left out, and what follows it is held against the end. One JSON line a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from onnx_graphs import write_mlp  # noqa: E402
from serving_parts.load import Target, closed_loop, open_loop, post  # noqa: E402
from serving_parts.servers import Running, headrace, running, tree  # noqa: E402
from serving_parts.tiny import WIDTH  # noqa: E402

ROUND_S, SHARE = 10.0, 0.8
GONE_S = 1.5
"""So long after a round those who left in it may still be on their way out."""
LEAVERS = 20


@dataclass(frozen=True)
class Look:
    """What all processes hold together after a round."""

    memory_bytes: int
    descriptors: int
    processes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0, help="How long.")
    parser.add_argument("--rate", type=float, default=0.0, help="Questions a second; 80 % of the most by default.")
    parser.add_argument("--quick", action="store_true", help="Two minutes.")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="headrace-soak-") as folder:
        env = {"TINY_MODEL": str(write_mlp(Path(folder) / "tiny.onnx", width=WIDTH))}
        server = headrace("tiny")
        request = post(server.path, json.dumps({"text": "the amount due is 100"}).encode())
        with running(server, request, b'"label"', env) as up:
            target = Target("127.0.0.1", up.port, [request], [b'"label"'])
            soak(up, target, seconds=120.0 if arguments.quick else arguments.seconds, rate=arguments.rate)


def soak(up: Running, target: Target, *, seconds: float, rate: float) -> None:
    rate = rate or SHARE * closed_loop(target, callers=8, seconds=5.0).rate
    looks, statuses, cpu_s, commit = [], Counter[str](), up.cpu_s(), commit_now()
    begun = perf_counter()
    while perf_counter() - begun < seconds:
        outcome = open_loop(target, rate=rate, seconds=ROUND_S, connections=64)
        statuses.update(outcome.statuses)
        churn(target)
        sleep(GONE_S)
        looks.append(look(up))
    third = len(looks) // 3
    early, late = looks[third : third + max(1, third // 2)], looks[-max(1, third // 2) :]
    held = [statistics.median(each.memory_bytes for each in part) for part in (early, late)]
    opened = [statistics.median(each.descriptors for each in part) for part in (early, late)]
    figure = {
        "benchmark": "soak",
        "figure": "tiny model, steady rate with churn",
        "seconds": round(perf_counter() - begun),
        "rate": round(rate),
        "answers": statuses["200"],
        "others": {status: count for status, count in statuses.items() if status != "200" and count},
        "memory_mb": [round(each / 1e6, 1) for each in held],
        "memory_grew_percent": round(100 * (held[1] / held[0] - 1), 2),
        "descriptors": opened,
        "processes": sorted({each.processes for each in looks}),
        "cpu_s": round(up.cpu_s() - cpu_s),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "commit": commit,
    }
    print(json.dumps(figure), flush=True)


def commit_now() -> str:
    """That of the code that is about to run; while it does, others may work on."""
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


def churn(target: Target) -> None:
    """Callers who leave in mid-question and in mid-answer, and some who send what is no question."""
    request = target.requests[0]
    nonsense = post("/v1/tiny-classifier/classify", b'{"text": 7')
    for sent in (request[: len(request) // 2], request, request[:10], nonsense):
        for _ in range(LEAVERS):
            with socket.create_connection((target.host, target.port), timeout=10) as leaver:
                leaver.sendall(sent)


def look(up: Running) -> Look:
    pids = tree(up.pid)
    descriptors = 0
    for pid in pids:
        try:
            descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            continue
    return Look(up.proportional_bytes(), descriptors, len(pids))


if __name__ == "__main__":
    main()
