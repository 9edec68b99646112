"""A job in a process of its own: what is run there may end that process, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import importlib
import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from headrace.assembly.platform import Platform
from headrace.domain.job import LeaseLost
from headrace.domain.stores import BegunJob
from headrace.errors import HeadraceError, Overloaded
from headrace.jobs.worker import Isolate
from headrace.settings import Settings

NOT_STARTED = 75
"""The exit code of a process that came to nothing before it touched its job (EX_TEMPFAIL)."""

AT_ONCE = 2
LOG_BYTES = 4096
_PR_SET_PDEATHSIG = 1
_BOOT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from headrace.assembly.isolated import main; main()"


class Errand(msgspec.Struct, frozen=True):
    """What such a process is told."""

    origin: str
    settings: Settings
    parent: int
    job_id: str
    number: int
    inline: str | None


def origin_of(platform: Platform) -> str | None:
    """`module:attribute` under which a platform can be imported; None when it was made inside a function."""
    for name, module in sorted(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is platform and name != "__main__":
                return f"{name}:{attribute}"
    return None


def isolating(origin: str, settings: Settings) -> Isolate:
    """Runs jobs in processes of their own, a few at a time, each ended with whoever started it."""
    places = asyncio.Semaphore(AT_ONCE)

    async def isolate(begun: BegunJob) -> str | None:
        inline = None if begun.inline is None else base64.b64encode(begun.inline).decode()
        errand = Errand(origin, settings, os.getpid(), begun.job.id, begun.number, inline)
        async with places:
            return await _run(errand)

    return isolate


async def _run(errand: Errand) -> str | None:
    """How the process died, or None when it has settled its job."""
    search_path = json.dumps([path or str(Path.cwd()) for path in sys.path])
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-X", "faulthandler", "-c", _BOOT, search_path),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            await process.communicate(msgspec.json.encode(errand))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        code = process.returncode or 0
        if code == 0:
            return None
        if code == NOT_STARTED:
            raise Overloaded(f"A process for one job did not start: {_end_of(log)}", retry_after_s=5.0)
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f"Its process, in which it was alone, ended {how}. {_end_of(log)}".rstrip()


def _end_of(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), LOG_BYTES, max(0, size - LOG_BYTES)).decode(errors="replace").strip()


def main() -> None:
    """The life of such a process."""
    errand = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != errand.parent:
        sys.exit(NOT_STARTED)
    sys.exit(asyncio.run(_done(errand)))


async def _done(errand: Errand) -> int:
    module, _, attribute = errand.origin.partition(":")
    has_begun = False
    try:
        platform: Any = getattr(importlib.import_module(module), attribute)
        async with platform.running(errand.settings) as running:
            job = await running.jobs.store.find(errand.job_id)
            if job is None or len(job.attempts) != errand.number:
                raise LeaseLost(f"Attempt {errand.number} of job {errand.job_id} is over.")
            inline = None if errand.inline is None else base64.b64decode(errand.inline)
            # Imported here, for the worker of a platform knows how to isolate, and this module is how.
            from headrace.assembly.worker import colleagues_of, worker_of  # noqa: PLC0415

            worker = worker_of(running, colleagues_of(running), is_isolated=True)
            has_begun = True
            await worker.run_begun(BegunJob(job, inline))
    except HeadraceError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1 if has_begun else NOT_STARTED
    return 0
