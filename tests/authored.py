"""Services as authors write them, for tests; in a module of its own, so that worker processes can import it."""

# ruff: noqa: ASYNC240, ASYNC251, PTH101 - they misbehave on purpose

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace import Guard, Retry, Service, Unreadable, batched, current_context, report_progress


@dataclass(frozen=True, slots=True)
class Sheet:
    """A question with a payload."""

    content: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer with columns."""

    name: str
    size: int
    column: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EchoOptions:
    """Settings that reach every replica."""

    prefix: str = ""
    sizes: tuple[int, ...] = ()


class Echo(Service):
    """Answers, fails, lingers and reports as it is asked to."""

    options: EchoOptions = EchoOptions()
    loaded: list[str]

    def load(self, artifact: Path | None) -> list[str]:
        return ["loaded"]

    def warm_up(self) -> Iterable[tuple[str, object]]:
        return [("warm", "up")]

    async def warm(self, word: str) -> int:
        self.loaded.append(word)
        return len(self.loaded)

    async def echo(self, word: str) -> str:
        return self.options.prefix + word

    @batched(max_size=8)
    async def echo_many(self, words: list[str]) -> list[str]:
        if "refuse" in words:
            raise Unreadable("One of them cannot be read.", remedy="Leave it out.")
        return [self.options.prefix + word for word in words]

    @batched(max_size=8)
    async def lose(self, words: list[str]) -> list[str]:
        return words[:-1]

    async def echo_twice(self, word: str) -> str:
        return await self.echo(word) + await self.echo_many(word)

    async def measure(self, sheet: Sheet) -> Reading:
        return Reading(sheet.name, len(sheet.content), np.arange(3, dtype=np.float32))

    async def refuse(self, word: str) -> str:
        raise Unreadable(f"{word} is damaged.", remedy="Save it anew.")

    async def retry(self, word: str) -> str:
        raise Retry(word)

    async def stumble(self, word: str) -> str:
        raise ValueError(f"secret {word}")

    async def leave(self, word: str) -> str:
        sys.exit(3)

    async def linger(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    async def report(self, word: str) -> float | None:
        report_progress("pages", 1, 2)
        current_context().report_degraded("echo", reason="test", used=word)
        current_context().report_tokens("echo", prompt=12, completion=len(word))
        return current_context().remaining_s()


class GuardedEcho(Echo):
    """The same, in a guarded process."""

    guard = Guard(wall_s=20, memory_bytes=512 * 1024 * 1024)


class Unloadable(Service):
    """Does not come to life."""

    def load(self, artifact: Path | None) -> None:
        raise FileNotFoundError("weights.bin")


class GuardedUnloadable(Unloadable):
    """Does not come to life in a process either."""

    guard = Guard()


class Hostile(Service):
    """What a document that took a parser over may try; each answers with what came of it."""

    guard = Guard(wall_s=60, memory_bytes=512 * 1024 * 1024)

    async def greet(self, word: str) -> str:
        return word

    async def abort(self, word: str) -> str:
        os.abort()

    async def die(self, word: str) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return word

    async def fault(self, word: str) -> str:
        return str(ctypes.string_at(1))

    async def hang(self, word: str) -> str:
        while True:
            signal.pause()

    async def hoard(self, word: str) -> str:
        hoard = [bytearray(64 * 1024 * 1024) for _ in range(1024)]
        return str(len(hoard))

    async def map_memory(self, word: str) -> str:
        return _outcome(lambda: mmap.mmap(-1, 2 * 1024**3))

    async def fork(self, word: str) -> str:
        return _outcome(os.fork)

    async def run(self, program: str) -> str:
        return _outcome(lambda: subprocess.run([program], check=True))

    async def thread(self, word: str) -> str:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return "done"

    async def connect(self, port: int) -> str:
        return _outcome(lambda: socket.create_connection(("127.0.0.1", port)))

    async def listen(self, path: str) -> str:
        return _outcome(lambda: socket.socket(socket.AF_UNIX).bind(path))

    async def read(self, path: str) -> str:
        return _outcome(lambda: Path(path).read_bytes())

    async def write(self, path: str) -> str:
        return _outcome(lambda: Path(path).write_bytes(b"x"))

    async def truncate(self, path: str) -> str:
        return _outcome(lambda: os.truncate(path, 0))

    async def chmod(self, path: str) -> str:
        return _outcome(lambda: os.chmod(path, 0o777))

    async def make_device(self, name: str) -> str:
        return _outcome(lambda: os.mknod(Path(os.environ["TMPDIR"], name), 0o600 | 0o060000, os.makedev(254, 0)))

    async def kill(self, pid: int) -> str:
        return _outcome(lambda: os.kill(pid, signal.SIGKILL))

    async def leave_behind(self, name: str) -> str:
        folder = Path(os.environ["TMPDIR"])
        found = sorted(each.name for each in folder.iterdir())
        (folder / name).write_text("secret")
        return ",".join(found)

    async def shout(self, word: str) -> str:
        for _ in range(64):
            sys.stdout.write(word * 1024 * 64)
            sys.stderr.write(word * 1024 * 64)
        return "done"

    async def environment(self, name: str) -> str:
        return os.environ.get(name, "nothing")

    async def lie(self, word: str) -> int:
        return word  # type: ignore[return-value] # what a worker that was taken over may send

    async def babble(self, word: str) -> str:
        descriptor = int(sys.argv[2])
        os.write(descriptor, b"\xff" * 64)
        return word


def _outcome(attempt: object) -> str:
    try:
        attempt()  # type: ignore[operator] # a test's shorthand
    except (OSError, MemoryError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"
