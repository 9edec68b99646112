"""The document pipeline under load, whole and with its services apart, each of which is killed in turn.

`python benchmarks/pipeline.py [--quick] [--only load,kills]` sends one PDF of ten pages. `load`: the highest rate of
four callers, and the latency at half of it, arrivals at random times. `kills`: extractor, classifier and summarizer
live in processes of their own; under load the process of each is killed by SIGKILL, and its supervisor raises another:
what callers got meanwhile, and after how long answers were whole again. One JSON line a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from http_latency import ten_pages  # noqa: E402
from serving_parts.load import Outcome, Target, closed_loop, open_loop, post  # noqa: E402
from serving_parts.servers import tree  # noqa: E402

SERVICES = ("text_extractor", "classifier", "summarizer")
START_S, GOAL_MS, GOAL_RECOVERY_S = 120.0, 1000.0, 3.0


class Up:
    """One `headrace up` of the document application, ready."""

    def __init__(self, home: Path, *roles: str, **environment: str) -> None:
        home.mkdir()
        self._log = (home / "log").open("w+")
        command = [sys.executable, "-c", "from headrace.cli.main import run; run()", "up", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--data", str(home / "data"), *roles],
            cwd=home,
            env=os.environ | environment,
            stderr=self._log,
            start_new_session=True,
        )
        self.url = self._ready()["url"]
        self.port = int(self.url.rpartition(":")[2])

    def _ready(self) -> dict[str, str]:
        deadline, told = monotonic() + START_S, {}
        while monotonic() < deadline and self.process.poll() is None:
            self._log.seek(0)
            told = {each["event"]: each for each in map(_line, self._log) if each}
            if "ready" in told:
                return told["starting"]
            sleep(0.05)
        self._log.seek(0)
        raise SystemExit(f"A server did not start: {self._log.read()[-2000:]}")

    def end(self) -> None:
        """Asks it to end, and waits."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()


def _line(text: str) -> dict[str, str] | None:
    return json.loads(text) if text.startswith("{") else None


@contextmanager
def up(home: Path, *roles: str, **environment: str) -> Iterator[Up]:
    it = Up(home, *roles, **environment)
    try:
        yield it
    finally:
        it.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A third of the time.")
    parser.add_argument("--only", default="load,kills", help="Which parts to run.")
    arguments = parser.parse_args()
    seconds = 15.0 if arguments.quick else 45.0
    with TemporaryDirectory(prefix="headrace-pipeline-") as home:
        if "load" in arguments.only:
            with up(Path(home) / "whole", "--only", "gateway") as server:
                load(target_of(server), seconds)
        if "kills" in arguments.only:
            kills(Path(home), seconds)


def target_of(server: Up) -> Target:
    request = post("/v1/document-analyzer/analyze", ten_pages(), media_type="application/pdf")
    return Target("127.0.0.1", server.port, [request], [b'"pages":10'])


def load(target: Target, seconds: float) -> None:
    closed_loop(target, callers=4, seconds=seconds / 3)
    highest = closed_loop(target, callers=4, seconds=seconds).rate
    outcome = open_loop(target, rate=highest / 2, seconds=seconds)
    say(
        "ten-page PDF at half of the highest rate",
        highest_rate=round(highest, 1),
        answers=len(outcome.latencies_s),
        p50_ms=round(outcome.percentile_ms(50)),
        p99_ms=round(outcome.percentile_ms(99)),
        goal_p99_ms=GOAL_MS,
        others=others(outcome),
        degraded=len(outcome.degraded_at),
    )


def kills(home: Path, seconds: float) -> None:
    with ExitStack() as stack:
        apart = {name: stack.enter_context(up(home / name, "--only", f"service:{name}")) for name in SERVICES}
        hosts = {f"HEADRACE_SERVICES__{name.upper()}__HOST": server.url for name, server in apart.items()}
        front = stack.enter_context(up(home / "front", "--only", "gateway", **hosts))
        target = target_of(front)
        closed_loop(target, callers=2, seconds=seconds / 3)
        rate = closed_loop(target, callers=2, seconds=seconds / 3).rate / 2
        for name, server in apart.items():
            killed_at: list[float] = []

            def kill(server: Up = server, killed_at: list[float] = killed_at) -> None:
                member = tree(server.process.pid)[1]
                os.kill(member, signal.SIGKILL)
                killed_at.append(perf_counter())

            timer = threading.Timer(seconds / 4, kill)
            timer.start()
            outcome = open_loop(target, rate=rate, seconds=seconds)
            timer.join()
            lesser = [at for at in outcome.degraded_at + outcome.failed_at if at > killed_at[0]]
            say(
                f"{name} killed under load",
                rate=round(rate, 1),
                offered=outcome.offered,
                answered=len(outcome.latencies_s),
                p99_ms=round(outcome.percentile_ms(99)),
                degraded=len(outcome.degraded_at),
                others=others(outcome),
                whole_again_after_s=round(max(lesser, default=killed_at[0]) - killed_at[0], 2),
                goal_recovery_s=GOAL_RECOVERY_S,
            )


def others(outcome: Outcome) -> dict[str, int]:
    return {status: count for status, count in outcome.statuses.items() if status != "200" and count}


def say(figure: str, **values: object) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(json.dumps({"benchmark": "pipeline", "figure": figure, **values, "machine": machine, "commit": commit}))


if __name__ == "__main__":
    main()
