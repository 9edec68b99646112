"""One guarded worker process as its parent sees it: spawn, ask, and end it with its whole group."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from headrace.errors import ServiceFailed, Unreadable
from headrace.serving.context import Context, Progress
from headrace.serving.runtimes.cell import Cell
from headrace.serving.runtimes.frames import (
    HEAD,
    LARGEST_FRAME,
    Ask,
    Birth,
    CheckpointNote,
    DegradedNote,
    Failure,
    Frame,
    NotAFrame,
    ProgressNote,
    Ready,
    TokensNote,
    framed,
    head,
)
from headrace.serving.service import Guard
from headrace.serving.wire import Codec

BIRTH_S = 60.0
WATCH_S = 0.2
CLOSING_S = 0.5
LOG_BYTES, LONGEST_LOG = 8192, 1 << 20
SMALL = 1 << 16
LONGEST_NAME = 100
# Isolated from the environment and the working folder: only what the parent could import can be imported.
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from headrace.serving.runtimes.worker import main; main()"
)
_SINGLE = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS")


Note = TypeVar("Note", bound=msgspec.Struct)


class WorkerDied(ServiceFailed):
    """The process ended in the middle of a call; `detail` says how."""

    def __init__(self, detail: str, *, has_begun: bool) -> None:
        super().__init__(detail)
        self.has_begun = has_begun


class WorkerOverdue(Unreadable):
    """The call took longer than the guard allows, and its process was ended."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a worker is made from: the service's class as `module:name`, its encoded options, and the model's files."""

    service: str
    options: bytes
    artifact: str | None
    guard: Guard


class GuardedWorker:
    """A live process that answers one call at a time, from whatever event loop.

    After any error but a `HeadraceError` that the service raised, and after a call that was given up, it is in the
    middle of something and has to be ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], pipe: socket.socket, cell: Cell, log: IO[bytes]) -> None:
        self._process = process
        self._pipe = pipe
        self._cell = cell
        self._log = log
        self._is_spent = False
        self._has_begun = False
        self._verdict = ""
        self._watch: asyncio.TimerHandle | None = None
        self.protections: tuple[str, ...] = ()
        self.calls = 0

    @classmethod
    async def spawn(cls, origin: Origin) -> GuardedWorker:
        """A worker that is loaded and warm; raises `ServiceFailed` when it does not come to life."""
        worker = _begun(cls, origin)
        try:
            async with asyncio.timeout(BIRTH_S):
                await worker.come_to_life(origin)
        except BaseException as error:
            worker.kill()
            if isinstance(error, TimeoutError):
                raise ServiceFailed(f"A worker of {origin.service} was not ready within {BIRTH_S:g} s.") from error
            raise
        return worker

    @property
    def is_dead(self) -> bool:
        """Whether it cannot be asked any more."""
        return self._is_spent or self._process.poll() is not None

    async def ask(self, ask: Ask, question: bytes, answer: Codec, context: Context, *, memory_bytes: int) -> Any:
        """The answer to one call; the caller of this sees to the time, and ends the worker when it is over.

        A process that comes to hold more than `memory_bytes` is killed.

        Raises:
            WorkerDied: the process is gone.
            HeadraceError: what the service raised.
        """
        self.calls += 1
        self._has_begun = False
        try:
            with self._watched(memory_bytes):
                await self._send(Frame.CALL, msgspec.msgpack.encode(ask))
                await self._send(Frame.CALL, question)
                return answer.decode(await self._outcome(context))
        except (OSError, EOFError) as error:
            self._is_spent = True
            raise WorkerDied(await self._reason(), has_begun=self._has_begun) from error
        except (NotAFrame, msgspec.DecodeError, UnicodeDecodeError) as error:
            # A worker that answers what its type forbids has been taken over or is broken.
            self._is_spent = True
            raise WorkerDied("The worker's answer was not of the type it has to be.", has_begun=True) from error

    def tidy(self) -> None:
        """Takes away what a call left in the worker's folder and log, so that no document finds traces of another."""
        if os.fstat(self._log.fileno()).st_size > LONGEST_LOG:
            os.ftruncate(self._log.fileno(), 0)
        self._cell.tidy()

    async def end(self) -> None:
        """Kills the process and all it started; safe to call twice."""
        self._kill_group()
        # The kernel takes a while to take a gigabyte back.
        await asyncio.to_thread(self._process.wait)
        self._clear_away()

    def kill(self) -> None:
        """As `end`, for when there is no time or no event loop to wait with."""
        self._kill_group()
        self._process.wait()
        self._clear_away()

    @property
    def log(self) -> str:
        """The end of what the process wrote to its outputs."""
        if self._log.closed:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), LOG_BYTES, max(0, size - LOG_BYTES)).decode(errors="replace")

    def resident_bytes(self) -> int:
        """The memory that it holds now; 0 when it is gone."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def come_to_life(self, origin: Origin) -> None:
        """Tells the process what it is, and returns when it is loaded and warm."""
        birth = Birth(
            service=origin.service,
            options=origin.options,
            artifact=origin.artifact,
            memory_bytes=origin.guard.memory_bytes,
            cpu_s=origin.guard.cpu_s,
            readable=list(origin.guard.readable),
            folder=self._cell.path,
            parent=os.getpid(),
        )
        try:
            await self._send(Frame.BIRTH, msgspec.msgpack.encode(birth))
            kind, payload = await self._receive()
        except (OSError, EOFError, NotAFrame) as error:
            reason = await self._reason()
            raise ServiceFailed(f"A worker of {origin.service} died at its birth. {reason} {self.log}") from error
        if kind is not Frame.READY:
            raise _decoded(payload, Failure).error()
        self.protections = tuple(_decoded(payload, Ready).protections)

    async def _outcome(self, context: Context) -> bytearray:
        while True:
            kind, payload = await self._receive()
            match kind:
                case Frame.ANSWER:
                    return payload
                case Frame.ERROR:
                    failure = _decoded(payload, Failure)
                    self._is_spent = failure.is_last
                    raise failure.error()
                case Frame.BEGUN:
                    self._has_begun = True
                case Frame.PROGRESS:
                    note = _decoded(payload, ProgressNote)
                    context.progress(Progress(stage=note.stage, done=note.done, total=note.total))
                case Frame.CHECKPOINT:
                    part = _decoded(payload, CheckpointNote)
                    if context.checkpoints is not None and len(part.name) <= LONGEST_NAME:
                        context.checkpoints.save(context.release, part.name, part.value)
                case Frame.DEGRADED:
                    lesser = _decoded(payload, DegradedNote)
                    context.report_degraded(lesser.service, reason=lesser.reason, used=lesser.used)
                case Frame.TOKENS:
                    spent = _decoded(payload, TokensNote)
                    context.report_tokens(spent.service, prompt=spent.prompt, completion=spent.completion)
                case _:
                    raise NotAFrame(f"An unexpected frame {kind}.")

    async def _send(self, kind: Frame, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        if len(payload) <= SMALL:
            await loop.sock_sendall(self._pipe, framed(kind, payload))
            return
        await loop.sock_sendall(self._pipe, head(kind, len(payload)))
        await loop.sock_sendall(self._pipe, payload)

    async def _receive(self) -> tuple[Frame, bytearray]:
        kind, size = HEAD.unpack(await self._exactly(HEAD.size))
        if size > LARGEST_FRAME or kind not in set(Frame):
            raise NotAFrame("A frame of no known kind or size.")
        return Frame(kind), await self._exactly(size)

    async def _exactly(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        view, filled = memoryview(data), 0
        while filled < size:
            count = await loop.sock_recv_into(self._pipe, view[filled:])
            if not count:
                raise EOFError("The worker closed its end.")
            filled += count
        return data

    @contextmanager
    def _watched(self, memory_bytes: int) -> Iterator[None]:
        """Kills the process when it comes to hold more than `memory_bytes`: no limit of the kernel counts all of it."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            if self.resident_bytes() > memory_bytes:
                limit = f"{memory_bytes // 2**20} MiB"
                self._verdict = f"The worker came to hold more than {limit} of memory and was ended."
                self._kill_group()
            else:
                self._watch = loop.call_later(WATCH_S, look)

        self._watch = loop.call_later(WATCH_S, look)
        try:
            yield
        finally:
            self._watch.cancel()

    async def _reason(self) -> str:
        """How the process ended, in words."""
        try:
            code = await asyncio.to_thread(self._process.wait, CLOSING_S)
        except subprocess.TimeoutExpired:
            return "The worker closed its connection."
        if self._verdict:
            return self._verdict
        if code >= 0:
            return f"The worker ended with code {code}."
        if -code == signal.SIGXCPU:
            return "The worker used up its processor time."
        if -code == signal.SIGKILL:
            return "The worker was killed from outside, most likely because the machine ran out of memory."
        return f"The worker crashed by signal {-code} ({signal.Signals(-code).name})."

    def _kill_group(self) -> None:
        self._is_spent = True
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _clear_away(self) -> None:
        self._pipe.close()
        self._log.close()
        self._cell.remove()


def _begun(kind: type[GuardedWorker], origin: Origin) -> GuardedWorker:
    """The process, told nothing yet. The kernel ends it when the thread ends that started it: so no thread but this."""
    ours, theirs = socket.socketpair()
    cell = Cell()
    # The log has no name and is appended to, so that it can be cut while the worker lives.
    log = tempfile.TemporaryFile(mode="ab+", buffering=0)  # noqa: SIM115 - it lives as long as the worker
    search_path = json.dumps([path or str(Path.cwd()) for path in sys.path])
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and arguments of our own
            [sys.executable, "-I", "-X", "faulthandler", "-c", _BOOT, search_path, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=cell.path,
            env=_environment(cell.path),
        )
    except OSError as error:
        ours.close()
        log.close()
        cell.remove()
        raise ServiceFailed(f"No worker of {origin.service} could be started: {error}.") from error
    finally:
        theirs.close()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return kind(process, ours, cell, log)


def _decoded(payload: bytearray, kind: type[Note]) -> Note:
    return msgspec.msgpack.decode(payload, type=kind)


def _environment(folder: str) -> dict[str, str]:
    """Nothing of the parent's: no keys, no proxies. One thread for each library, for a worker is one core's work."""
    return {"LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder} | dict.fromkeys(_SINGLE, "1")
