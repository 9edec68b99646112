"""Siblings: the processes of one server, which ask each other for their metrics over local sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from headrace.gateway.place import Place
from headrace.serving.own_folder import OwnFolder, abandoned_folders
from headrace.serving.turns import Turns
from headrace.telemetry.summing import summed

PREFIX = "headrace-server-"
TURNS = "turns"
ANSWER_S = 2.0
MOST_BYTES = 64 * 1024 * 1024


class Siblings:
    """`folder` is private to the processes of one server and holds a socket of each; None for one that is alone.

    They compute in turn where there are `turns`, and take connections at one `place`, each from its own seat. `held`
    keeps the folder, for whoever founded it, until `remove`.
    """

    def __init__(
        self,
        folder: Path | None = None,
        turns: Turns | None = None,
        *,
        place: Place | None = None,
        held: OwnFolder | None = None,
    ) -> None:
        self._folder = folder
        self._held = held
        self.turns = turns
        self.place = place
        self.seat = 0
        """Whichever process this is, by number."""
        self.quota = None if folder is None else folder / "quota"
        """Where the processes count together how often callers ask; None for one that is alone."""
        self.texts = folder
        """Where the processes tell each other of the texts that they have seen; None for one that is alone."""

    @classmethod
    def founded(cls, *, cores: int, place: Place | None = None) -> Siblings:
        """What the processes of a new server share; what servers left that were killed as a whole is removed."""
        for left in abandoned_folders(PREFIX):
            with suppress(OSError):
                Turns.remove((left / TURNS).read_text(encoding="utf-8"))
        held = OwnFolder(PREFIX)
        folder, turns = Path(held.path), Turns.opened(cores=cores)
        if turns is not None:
            (folder / TURNS).write_text(turns.name, encoding="utf-8")
        return cls(folder, turns, place=place, held=held)

    @property
    def _own(self) -> Path | None:
        # Siblings are born of one process: each finds its own name.
        return None if self._folder is None else self._folder / f"{os.getpid()}.sock"

    def out_of_turn(self) -> Siblings:
        """The same siblings, for a process whose work nobody waits for: it takes no turns."""
        return Siblings(self._folder)

    def remove(self) -> None:
        """Removes what all of them share; safe to call twice."""
        if self._held is not None:
            self._held.remove()
        if self.turns is not None:
            self.turns.close()

    async def exposition(self, own: Callable[[], bytes]) -> bytes:
        """The metrics of all; those of a sibling that does not answer in time are left out."""
        mine = await asyncio.to_thread(own)
        if self._folder is None:
            return mine
        own_path = self._own
        others = [path for path in self._folder.glob("*.sock") if path != own_path]
        found = await asyncio.gather(*map(_asked, others))
        return await asyncio.to_thread(summed, [mine, *(each for each in found if each)])

    @asynccontextmanager
    async def telling(self, own: Callable[[], bytes]) -> AsyncIterator[None]:
        """While inside, siblings that ask are given what `own` gives."""
        path = self._own
        if path is None:
            yield
            return

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                writer.write(await asyncio.to_thread(own))
                await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(answer, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)


async def _asked(path: Path) -> bytes:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await _all_of(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        # A process that was killed leaves its socket behind.
        return b""


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    read = bytearray()
    while piece := await reader.read(65_536):
        read += piece
        if len(read) > MOST_BYTES:
            return b""
    return bytes(read)
