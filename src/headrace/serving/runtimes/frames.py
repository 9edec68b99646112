"""The frames between a guarded worker and its parent: a kind, a length, and that many bytes."""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from headrace import errors
from headrace.errors import HeadraceError, ServiceFailed

HEAD = struct.Struct("=BI")
LARGEST_FRAME = 1 << 28


class NotAFrame(ValueError):
    """The other side sent what no frame begins with, or a frame out of turn."""


class Frame(IntEnum):
    """What a frame says."""

    BIRTH = 1
    READY = 2
    CALL = 3
    ANSWER = 4
    ERROR = 5
    PROGRESS = 6
    DEGRADED = 7
    BEGUN = 8
    CHECKPOINT = 9
    TOKENS = 10


class Birth(msgspec.Struct, frozen=True):
    """What a worker is told first: whose replica it is, and its bounds."""

    service: str
    options: bytes
    artifact: str | None
    memory_bytes: int
    cpu_s: float
    readable: list[str]
    folder: str
    parent: int


class Ready(msgspec.Struct, frozen=True):
    """What a worker says when it is loaded and warm."""

    protections: list[str]


class Ask(msgspec.Struct, frozen=True):
    """The head of a call; the encoded question follows as a frame of its own.

    `checkpoints` are the parts that earlier attempts finished; None when the call is no attempt at a job.
    """

    method: str
    remaining_s: float | None
    checkpoints: dict[str, bytes] | None = None


class Failure(msgspec.Struct, frozen=True):
    """An error on its way to the parent; `is_last` when the worker cannot go on after it."""

    codes: list[str]
    detail: str
    remedy: str
    is_last: bool = False

    @classmethod
    def of(cls, error: HeadraceError, *, is_last: bool = False) -> Failure:
        """With the codes of the error's class and of those it derives from, the nearest first."""
        codes = [each.code for each in type(error).__mro__ if issubclass(each, HeadraceError)]
        return cls(codes=codes, detail=error.detail, remedy=error.remedy, is_last=is_last)

    def error(self) -> HeadraceError:
        """The error of the tree with the nearest code that is known here."""
        known = _classes()
        nearest = next((known[code] for code in self.codes if code in known), ServiceFailed)
        return nearest(self.detail, remedy=self.remedy)


class ProgressNote(msgspec.Struct, frozen=True):
    """One report of progress."""

    stage: str
    done: int
    total: int


class CheckpointNote(msgspec.Struct, frozen=True):
    """One part that is finished for good."""

    name: str
    value: bytes


class TokensNote(msgspec.Struct, frozen=True):
    """One note of what a language model read and wrote."""

    service: str
    prompt: int
    completion: int


class DegradedNote(msgspec.Struct, frozen=True):
    """One note that a service answered in a lesser way."""

    service: str
    reason: str
    used: str


def head(kind: Frame, size: int) -> bytes:
    """What stands before a payload of `size` bytes."""
    return HEAD.pack(kind, size)


def framed(kind: Frame, payload: bytes) -> bytes:
    """Head and payload in one."""
    return head(kind, len(payload)) + payload


def _classes() -> dict[str, type[HeadraceError]]:
    return {
        each.code: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, HeadraceError)
    }
