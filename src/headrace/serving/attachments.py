"""Attachments: large questions as files beside the journal, written while the pipeline works on them.

To copy one into the journal would hold all other answers up. The file is whole, and with the operating system, mostly
long before the answer is there, which never waits for it; it is gone when the question lies with the artifacts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

BOUND_BYTES = 1024 * 1024 * 1024
_WRITTEN_WITHIN_S = 60.0
SUFFIX = ".input"


class Attachment:
    """The file of one question; `name` says where it will be, from the first moment."""

    def __init__(self, name: str, written: Future[str], discard: Callable[[str], None]) -> None:
        self._name = name
        self._written = written
        self._discard = discard

    @property
    def name(self) -> str:
        """The digest, where it is known that the artifacts have it already; else the name of the file."""
        if self._written.done() and self._written.exception() is None:
            return self._written.result()
        return self._name

    def awaited(self) -> str:
        """As `name`, when it is written; raises what kept it from that. Blocking."""
        return self._written.result(_WRITTEN_WITHIN_S)

    def discard(self) -> None:
        """Nobody needs the file: the question was not answered."""
        self._discard(self._name)


class Attachments:
    """The attachments of one process, whose files begin with `prefix`.

    `put` lays a file down with the artifacts, by its digest where that is known, and gives it. What `has` tells to be
    there is not even written.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        *,
        put: Callable[[Path, str | None], str],
        has: Callable[[str], bool] | None = None,
        bound_bytes: int = BOUND_BYTES,
    ) -> None:
        self._folder = folder
        self._prefix = prefix
        self._put = put
        self._has = has
        self._bound_bytes = bound_bytes
        self._sizes: dict[str, int] = {}
        self._digests: dict[str, str] = {}
        self._numbers = count(1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="attachments")

    def begin(self, encoded: Callable[[], bytes], size_bytes: int) -> Attachment | None:
        """Writes what `encoded` gives, about `size_bytes` of it, in a thread; None where too much waits already."""
        if sum(list(self._sizes.values())) + size_bytes > self._bound_bytes:
            return None
        name = f"{self._prefix}.{next(self._numbers)}{SUFFIX}"
        self._sizes[name] = size_bytes
        return Attachment(name, self._thread.submit(self._write, name, encoded), self.discard)

    def laid_down(self, name: str) -> str:
        """The digest under which the attachment of any process lies with the artifacts from now on; raises as `put`."""
        path = self._path(name)
        return name if path is None else self._put(path, self._digests.get(name))

    def discard(self, name: str) -> None:
        """The file goes, if it is there, once it has been written; returns at once."""
        with suppress(RuntimeError):
            self._thread.submit(self._discard, name)

    def close(self) -> None:
        """Returns when all is written and discarded that was asked for."""
        self._thread.shutdown()

    def _discard(self, name: str) -> None:
        self._sizes.pop(name, None)
        self._digests.pop(name, None)
        if (path := self._path(name)) is not None:
            with suppress(OSError):
                path.unlink()

    def _path(self, name: str) -> Path | None:
        """The file; None where `name` is a digest."""
        return self._folder / Path(name).name if name.endswith(SUFFIX) else None

    def _write(self, name: str, encoded: Callable[[], bytes]) -> str:
        content = encoded()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self._has is not None and self._has(digest):
            self._sizes.pop(name, None)
            return digest
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_bytes(content)
        # Without a flush to the disc, as all that is in the journal.
        unfinished.replace(self._folder / name)
        self._digests[name] = digest
        return name
