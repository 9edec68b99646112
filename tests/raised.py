"""`headrace up` as real processes, for tests that kill, drain and overload it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx

TESTS = Path(__file__).parent
DEADLINE_S = 120


@dataclass
class Raised:
    """The process of the supervisor, what it told, and where it listens."""

    process: subprocess.Popen[str]
    told: list[dict]
    changed: Event
    has_told_all: Event

    def wait_for(self, event: str, *, count: int = 1) -> dict:
        """The `count`th telling of an event; raises when the process ends first."""

        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            # Asked before what it told is looked at: the last words of a process are read after its end.
            is_over = self.has_told_all.is_set()
            found = [each for each in self.told if each.get("event") == event]
            if len(found) >= count:
                return found[count - 1]
            if is_over:
                break
            self.changed.wait(0.05)
            self.changed.clear()
        raise AssertionError(f"No {event} was told: {self.told}")

    @property
    def url(self) -> str:
        return self.wait_for("starting")["url"]

    def members(self) -> list[int]:
        """The processes below the supervisor."""
        return children_of(self.process.pid)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=DEADLINE_S, trust_env=False)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(status[1]) == pid and status[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


def descendants_of(pid: int) -> list[int]:
    found = children_of(pid)
    return found + [below for each in found for below in descendants_of(each)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def surroundings() -> dict[str, str]:
    """The environment without settings of ours, of which tests have one for themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")} | {
        "PYTHONPATH": str(TESTS)
    }


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from headrace.cli.main import run; run()", *map(str, arguments)]


@contextmanager
def raised(folder: Path, *arguments: object, app: str = "millapp:app", **environment: str) -> Iterator[Raised]:
    """It runs while inside and is ready at the beginning; on the way out it is ended."""
    process = subprocess.Popen(
        command("up", app, "--port", 0, "--data", folder / "data", *arguments),
        cwd=folder,
        env=surroundings() | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    it = Raised(process, [], Event(), Event())
    reader = Thread(target=_read, args=(it,), daemon=True)
    reader.start()
    try:
        it.wait_for("ready")
        yield it
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(DEADLINE_S)
        finally:
            process.kill()
        reader.join(DEADLINE_S)


def _read(it: Raised) -> None:
    for line in it.process.stderr:
        try:
            it.told.append(json.loads(line))
        except ValueError:
            it.told.append({"event": "", "line": line})
        it.changed.set()
    it.has_told_all.set()
    it.changed.set()
