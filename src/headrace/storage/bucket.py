"""Bucket: where blobs lie by name on S3, GCS or Azure, through obstore."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from headrace.errors import InvalidConfiguration
from headrace.storage.chunks import CHUNK_BYTES, chunks_of
from headrace.storage.database import StoreUnavailable

RETRY_S, RETRIES = 20, 4


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
        self.write(name, chunks_of(path))

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
