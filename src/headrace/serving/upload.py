"""Upload: bytes that a caller sent, and the promise of the types that are made from them."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import msgspec


class Upload(msgspec.Struct, frozen=True):
    """A file as it came, with what the sender said of it."""

    content: bytes
    filename: str | None = None
    media_type: str | None = None


@runtime_checkable
class Uploadable(Protocol):
    """An argument that is made from a file: the gateway then takes multipart, raw bodies and `{"text": ...}`."""

    @classmethod
    def from_upload(cls, upload: Upload) -> Self:
        """The argument; raises `InvalidInput` when the upload cannot be one."""
        ...
