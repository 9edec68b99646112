"""What a place must be able to do in which a registry lies: a folder, or a bucket with a folder that mirrors it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from headrace.domain.model import ModelFile


class Place(Protocol):
    """Keeps contents by name; names are relative paths with slashes. Blocking; safe for many processes."""

    @property
    def folder(self) -> Path:
        """The folder of this machine in which files are found under their names, once `file` has given them."""
        ...

    def read(self, name: str, *, sha256: str = "") -> bytes | None:
        """The content, None when there is none. Where `sha256` is known, a copy that has it may be given at once."""
        ...

    def keep(self, name: str, content: bytes) -> None:
        """From now on `name` has this content, all of it or what was there before, also after a loss of power."""
        ...

    def swap(self, name: str, content: bytes, *, expected: bytes | None) -> bytes | None:
        """What was there; it is replaced by `content` only where it was `expected`, None for nothing."""
        ...

    def names(self, under: str) -> list[str]:
        """The next parts of all names that begin with `under`, sorted; hidden ones are left out."""
        ...

    def file(self, name: str, file: ModelFile) -> Path | None:
        """A file of this machine with the content of `name`, verified now; None where it is missing or another."""
        ...


class Bucket(Protocol):
    """A store of objects, far away; raises `HeadraceError` when it does not answer."""

    def read(self, name: str) -> Iterator[bytes]:
        """The object in chunks; raises `FileNotFoundError` before the first."""
        ...

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """All of the chunks, durable and visible at once."""
        ...

    def swap(self, name: str, content: bytes, *, expected: bytes | None) -> bytes | None:
        """As that of `Place`."""
        ...

    def names(self, under: str) -> list[str]:
        """As that of `Place`."""
        ...
