"""MirroredBucket: a registry in a bucket, and a folder of this machine that holds copies of what was needed of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from headrace.domain.model import ModelFile
from headrace.registry.place import Bucket
from headrace.registry.places.folder import FolderPlace, write_whole


class MirroredBucket:
    """Keeps the promise of `Place`; the bucket is the truth.

    What goes by its digest never changes, so a copy that has it is as good as the bucket's and needs no connection;
    one that has it no longer is fetched anew. Files lie on this machine's disc, so that they can be mapped into memory.
    The folder may be deleted at any time when nothing runs.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket = bucket
        self._copies = FolderPlace(folder)

    @property
    def folder(self) -> Path:
        """Where the copies are."""
        return self._copies.folder

    def read(self, name: str, *, sha256: str = "") -> bytes | None:
        """From the bucket, or a copy where the digest says that it is the same."""
        copy = self._copies.read(name) if sha256 else None
        if copy is not None and hashlib.sha256(copy).hexdigest() == sha256:
            return copy
        try:
            content = b"".join(self._bucket.read(name))
        except FileNotFoundError:
            return None
        if sha256 and hashlib.sha256(content).hexdigest() == sha256:
            self._copies.keep(name, content)
        return content

    def keep(self, name: str, content: bytes) -> None:
        """Written always: to know that the bucket's is whole it would have to be fetched."""
        self._bucket.write(name, iter((content,)))
        self._copies.keep(name, content)

    def swap(self, name: str, content: bytes, *, expected: bytes | None) -> bytes | None:
        """In the bucket, whose answer to a conditional write decides."""
        return self._bucket.swap(name, content, expected=expected)

    def names(self, under: str) -> list[str]:
        """Of the bucket."""
        return self._bucket.names(under)

    def file(self, name: str, file: ModelFile) -> Path | None:
        """The copy, fetched where there is none that is whole."""
        found = self._copies.file(name, file)
        if found is not None:
            return found
        try:
            write_whole(self.folder / name, _whole(self._bucket.read(name), file))
        except (FileNotFoundError, _AnotherError):
            return None
        return self.folder / name


class _AnotherError(Exception):
    """What the bucket sends is not what was registered; no copy of it is kept."""


def _whole(chunks: Iterator[bytes], file: ModelFile) -> Iterator[bytes]:
    """The chunks; raises at the end, or as soon as there are too many, when they are not `file`."""
    found, size = hashlib.sha256(), 0
    for chunk in chunks:
        found.update(chunk)
        size += len(chunk)
        if size > file.size_bytes:
            raise _AnotherError
        yield chunk
    if found.hexdigest() != file.sha256:
        raise _AnotherError
