"""Artifacts: blobs by the digest of their content, in a folder or in a bucket (S3, GCS, Azure) through obstore.

A blob is written beside its place and moved there when it is whole and on the disc; what is read is held against its
digest. So a reader finds all of a blob or nothing, also after a loss of power.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from headrace.errors import InvalidInput, NotFound, UnreadableArtifact
from headrace.storage.chunks import chunks_of
from headrace.storage.database import StoreUnavailable

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def opened_artifacts(url: str) -> Artifacts:
    """The artifacts at `url`: a folder, or `s3://`, `gs://`, `az://`, whose credentials come from the environment."""
    if is_bucket(url):
        # Its client is slow to load and large, and most artifacts lie in a folder.
        from headrace.storage.bucket import BucketPlace  # noqa: PLC0415

        return Artifacts(BucketPlace(url))
    return Artifacts(FolderPlace(Path(url.removeprefix("file://"))))


def is_bucket(url: str) -> bool:
    """Whether it is not a folder."""
    return "://" in url and not url.startswith("file://")


class Place(Protocol):
    """Where blobs lie, by name."""

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """All of the chunks, durable and visible at once."""
        ...

    def take(self, name: str, path: Path) -> None:
        """As `write`, of a file that nobody changes."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """The blob in chunks; raises `FileNotFoundError` before the first."""
        ...

    def exists(self, name: str) -> bool:
        """Whether it is there."""
        ...

    def delete(self, name: str) -> None:
        """Gone, if it was there."""
        ...


class Artifacts:
    """Keeps the promise of `ArtifactStore` at any place."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def put(self, content: bytes) -> str:
        """Its digest; a blob that is there already is not written again."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        name = _name(digest)
        if not self._place.exists(name):
            self._place.write(name, iter((content,)))
        return digest

    def put_file(self, path: Path) -> str:
        """Reads the file twice, for its digest and to copy it, and holds one chunk at a time."""
        digest = file_digest(path)
        name = _name(digest)
        if not self._place.exists(name):
            self._place.write(name, _verified(digest, chunks_of(path)))
        return digest

    def take(self, path: Path, digest: str | None) -> str:
        """As `put_file`, of a file that nobody changes: where its digest is known, and a link will do, not copied."""
        if digest is None:
            return self.put_file(path)
        name = _name(digest)
        if not self._place.exists(name):
            self._place.take(name, path)
        return digest

    def get(self, digest: str) -> bytes:
        """The whole blob, verified."""
        return b"".join(self._read(digest))

    def fetch(self, digest: str, target: Path) -> None:
        """A verified copy at `target`, which appears when it is whole."""
        _write_file(target, self._read(digest))

    def exists(self, digest: str) -> bool:
        """Whether it is there."""
        return self._place.exists(_name(digest))

    def delete(self, digest: str) -> None:
        """Gone when this returns."""
        self._place.delete(_name(digest))

    def _read(self, digest: str) -> Iterator[bytes]:
        try:
            yield from _verified(digest, self._place.read(_name(digest)))
        except FileNotFoundError:
            raise NotFound(f"There is no artifact {digest}.", remedy="It was removed, or never stored here.") from None


class FolderPlace:
    """A folder: files named by the digest, in folders named by its beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Flushed to the disc, with the folder that names it."""
        _write_file(self._folder / name, chunks)

    def take(self, name: str, path: Path) -> None:
        """By a second name for the same file; a copy where it lies on another disc."""
        target = self._folder / name
        with _disc(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.{token_hex(4)}")
            try:
                os.link(path, unfinished)
                with unfinished.open("rb") as file:
                    os.fsync(file.fileno())
                unfinished.replace(target)
                _flush_folder(target.parent)
            except FileNotFoundError:
                raise
            except OSError:
                self.write(name, chunks_of(path))
            finally:
                # It stays where `target` has become the same file meanwhile.
                unfinished.unlink(missing_ok=True)

    def read(self, name: str) -> Iterator[bytes]:
        """In chunks of a mebibyte."""
        return chunks_of(self._folder / name)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._folder / name).exists()

    def delete(self, name: str) -> None:
        """The folder stays."""
        with _disc(self._folder):
            (self._folder / name).unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """`sha256:` and the digest of a file, read in chunks."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _name(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest!r} is no digest.", remedy="It is written sha256: and 64 hexadecimal digits.")
    return f"sha256/{digest[7:9]}/{digest[7:]}"


def _verified(digest: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks; after the last, an error if they are not what `digest` says."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
        yield chunk
    if f"sha256:{found.hexdigest()}" != digest:
        raise UnreadableArtifact(
            f"The artifact {digest} is not what its digest says: it has the digest sha256:{found.hexdigest()}.",
            remedy="It was damaged or changed; store it again.",
        )


def _write_file(target: Path, chunks: Iterator[bytes]) -> None:
    with _disc(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{token_hex(4)}")
        try:
            with unfinished.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
            _flush_folder(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """The name of a file lies in its folder, which has a flush of its own."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disc(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreUnavailable(
            f"The artifacts in {folder} cannot be written: {error.strerror}.",
            remedy="Check that its disc has room and that it may be written to.",
        ) from error
