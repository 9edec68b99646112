"""FolderPlace: a registry in a folder of this machine, or of a file system that many machines mount."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.domain.model import ModelFile


class FolderPlace:
    """Keeps the promise of `Place` in `folder`: a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        return self._folder

    def read(self, name: str, *, sha256: str = "") -> bytes | None:  # noqa: ARG002 - there is one copy
        """The file."""
        try:
            return (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def keep(self, name: str, content: bytes) -> None:
        """Written where it differs."""
        if self.read(name) != content:
            write_whole(self._folder / name, iter((content,)))

    def swap(self, name: str, content: bytes, *, expected: bytes | None) -> bytes | None:
        """Under a lock beside the file."""
        path = self._folder / name
        with _locked(path.with_name(f".{path.name}.lock")):
            found = self.read(name)
            if found == expected:
                write_whole(path, iter((content,)))
            return found

    def names(self, under: str) -> list[str]:
        """What lies in the folder."""
        return sorted(each.name for each in (self._folder / under).glob("[!.]*"))

    def file(self, name: str, file: ModelFile) -> Path | None:
        """The file itself."""
        path = self._folder / name
        try:
            with path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_size != file.size_bytes:
                    return None
                return path if hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256 else None
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None


def write_whole(path: Path, chunks: Iterator[bytes]) -> None:
    """All of it or nothing, also after a power cut: a new file, synced, renamed over the old, folder synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
