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
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from headrace.errors import InvalidConfiguration, InvalidInput, NotFound, UnreadableArtifact
from headrace.storage.database import StoreUnavailable

CHUNK_BYTES = 1 << 20
RETRY_S, RETRIES = 20, 4
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def opened_artifacts(url: str) -> Artifacts:
    """The artifacts at `url`: a folder, or `s3://`, `gs://`, `az://`, whose credentials come from the environment."""
    if is_bucket(url):
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
            self._place.write(name, _verified(digest, _chunks(path)))
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
                self.write(name, _chunks(path))
            finally:
                # It stays where `target` has become the same file meanwhile.
                unfinished.unlink(missing_ok=True)

    def read(self, name: str) -> Iterator[bytes]:
        """In chunks of a mebibyte."""
        return _chunks(self._folder / name)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._folder / name).exists()

    def delete(self, name: str) -> None:
        """The folder stays."""
        with _disc(self._folder):
            (self._folder / name).unlink(missing_ok=True)


class BucketPlace:
    """A bucket; an object is durable and visible when its upload has ended."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store = _opened(url)

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """In parts, as large uploads are."""
        with self._answering(is_writing=True):
            obstore.put(self._store, name, chunks)

    def take(self, name: str, path: Path) -> None:
        """Uploads it."""
        self.write(name, _chunks(path))

    def read(self, name: str) -> Iterator[bytes]:
        """As the bucket sends it."""
        with self._answering():
            for chunk in obstore.get(self._store, name).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def exists(self, name: str) -> bool:
        """By asking for its head."""
        try:
            with self._answering():
                obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    def delete(self, name: str) -> None:
        """No error when it was not there."""
        with contextlib.suppress(FileNotFoundError), self._answering():
            obstore.delete(self._store, name)

    def swap(self, name: str, content: bytes, *, expected: bytes | None) -> bytes | None:
        """What was there; `content` replaces it where it was `expected`, by a conditional write (If-Match)."""
        while True:
            found, tag = self._tagged(name)
            if found != expected:
                return found
            mode: Any = "create" if tag is None else {"e_tag": tag}
            # Where somebody was faster in between, what he wrote is looked at.
            with contextlib.suppress(AlreadyExistsError, PreconditionError), self._answering(is_writing=True):
                obstore.put(self._store, name, content, mode=mode)
                return found

    def names(self, under: str) -> list[str]:
        """The next parts of all names below `under`, sorted; hidden ones are left out."""
        with self._answering():
            found = obstore.list_with_delimiter(self._store, under)
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return sorted(name for each in paths if not (name := each.rstrip("/").rpartition("/")[2]).startswith("."))

    def _tagged(self, name: str) -> tuple[bytes | None, str | None]:
        """The object and the mark of its version; both None where there is none."""
        try:
            with self._answering():
                got = obstore.get(self._store, name)
                return bytes(got.bytes()), got.meta["e_tag"]
        except FileNotFoundError:
            return None, None

    @contextlib.contextmanager
    def _answering(self, *, is_writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as missing:
            if not is_writing:
                raise
            raise StoreUnavailable(
                f"The bucket of {self._url} is not there.", remedy="Make it, or name another in [artifacts] or [jobs]."
            ) from missing
        except BaseError as failure:
            raise StoreUnavailable(
                f"The artifacts at {self._url} do not answer: {str(failure).splitlines()[0]}.",
                remedy="Check the url in [artifacts] or [jobs], and the keys in the environment.",
            ) from failure


def _opened(url: str) -> Any:
    try:
        if url.startswith("memory://"):
            return from_url(url)
        return from_url(url, retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)})
    except (BaseError, ValueError) as wrong:
        raise InvalidConfiguration(
            f"{url!r} names no bucket: {str(wrong).splitlines()[0]}.",
            remedy="Write s3://bucket/folder, gs:// or az://.",
        ) from wrong


def file_digest(path: Path) -> str:
    """`sha256:` and the digest of a file, read in chunks."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _name(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest!r} is no digest.", remedy="It is written sha256: and 64 hexadecimal digits.")
    return f"sha256/{digest[7:9]}/{digest[7:]}"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


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
