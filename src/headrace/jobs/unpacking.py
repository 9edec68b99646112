"""Unpacks an archive that came from outside: in a process of its own, bounded in memory, time, members and bytes.

Run as `python -m headrace.jobs.unpacking ARCHIVE FOLDER BOUNDS`: writes each member to FOLDER under its number and one
JSON line a member to standard output, or one line with an `error`. Zip and tar formats, decided by content.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from headrace.errors import ServiceFailed, TooLarge, Unreadable

CHUNK = 1 << 20
MEMORY_BYTES = 1 << 30
LONGEST_LINE = 64 * 1024
SKIPPED = ("__MACOSX/", ".DS_Store", "Thumbs.db")
# What the two readers raise for whatever a damaged archive leads them to; an encrypted member is a RuntimeError.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many members an archive may have, bytes of one and of all of them, and seconds to unpack it."""

    members: int = 100_000
    member_bytes: int = 50 * 1024 * 1024
    total_bytes: int = 4 * 1024**3
    wall_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, its name without folders, and where it lies now."""

    filename: str
    path: Path


async def unpacked(archive: Path, folder: Path, bounds: Bounds) -> list[Member]:
    """The files of `archive`, written into `folder`, which is there.

    Raises:
        TooLarge: it is over one of the bounds, which is named.
        Unreadable: it is no zip or tar file, or a damaged or encrypted one.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        "headrace.jobs.unpacking",
        str(archive),
        str(folder),
        json.dumps(asdict(bounds)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=LONGEST_LINE,
    )
    try:
        async with asyncio.timeout(bounds.wall_s):
            return await _members(process, folder)
    except TimeoutError as late:
        raise TooLarge(f"The archive was not unpacked within {bounds.wall_s:g} s.", remedy="Send less.") from late
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _members(process: asyncio.subprocess.Process, folder: Path) -> list[Member]:
    assert process.stdout is not None
    found: list[Member] = []
    async for line in process.stdout:
        told = json.loads(line)
        if "error" in told:
            kind = TooLarge if told["kind"] == TooLarge.code else Unreadable
            raise kind(told["error"], remedy=told["remedy"])
        if "done" in told:
            return found
        found.append(Member(str(told["filename"]), folder / str(len(found))))
    raise ServiceFailed("The archive ended the process that unpacked it.", remedy="It is damaged or made to harm.")


def _unpack(archive: Path, folder: Path, bounds: Bounds) -> Iterator[dict[str, object]]:
    total = count = 0
    for name, stream in _files(archive):
        if name.endswith(SKIPPED) or name.startswith(SKIPPED):
            continue
        if count >= bounds.members:
            raise TooLarge(f"The archive has more than {bounds.members} files.", remedy="Send several batches.")
        with (folder / str(count)).open("wb") as target:
            size = 0
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                total += len(chunk)
                _check(name, size, total, bounds)
                target.write(chunk)
        count += 1
        yield {"filename": PurePosixPath(name.replace("\\", "/")).name[:255]}
    if not count:
        raise Unreadable("The archive has no files.", remedy="Put documents into it.")
    yield {"done": count}


def _check(name: str, size: int, total: int, bounds: Bounds) -> None:
    if size > bounds.member_bytes:
        raise TooLarge(f"{name[:200]!r} has more than {bounds.member_bytes} bytes.", remedy="Leave it out.")
    if total > bounds.total_bytes:
        raise TooLarge(f"The files have more than {bounds.total_bytes} bytes.", remedy="Send several batches.")


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as container:
            for entry in container.infolist():
                if not entry.is_dir():
                    with container.open(entry) as stream:
                        yield entry.filename, stream
        return
    # Streaming: a tar that lies about its members cannot make us seek.
    with tarfile.open(archive, mode="r|*") as container_:
        for each in container_:
            stream_ = container_.extractfile(each) if each.isfile() else None
            if stream_ is not None:
                yield each.name, stream_


def _main(archive: str, folder: str, bounds: str) -> None:
    limits = Bounds(**json.loads(bounds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.wall_s) + 1, int(limits.wall_s) + 2))
    try:
        for line in _unpack(Path(archive), Path(folder), limits):
            sys.stdout.write(json.dumps(line) + "\n")
    except (TooLarge, Unreadable) as refused:
        told = {"error": refused.detail, "kind": refused.code, "remedy": refused.remedy}
        sys.stdout.write(json.dumps(told) + "\n")
    except (*_BROKEN, MemoryError) as broken:
        told = {"error": f"The archive cannot be read: {broken}.", "kind": Unreadable.code, "remedy": "Make it anew."}
        sys.stdout.write(json.dumps(told)[: LONGEST_LINE - 1] + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:4])
