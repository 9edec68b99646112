"""Checkpoints: parts of an answer that are kept when the process dies, and are found by the next attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from headrace.serving.context import Checkpoints, current_context
from headrace.serving.wire import Codec

Part = TypeVar("Part")

UNENCODABLE = (NotImplementedError, TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


def checkpointed(name: str, kind: Any, compute: Callable[[], Part]) -> Part:
    """`compute()`, or what an earlier attempt at the same job computed under `name`, which is of the type `kind`.

    Outside a job it computes and keeps nothing. `name` says which part of the input it is, such as "page 7", and what
    is computed has to follow from the input and the release alone.
    """
    context = current_context()
    if context.checkpoints is None:
        return compute()
    codec = Codec(kind)
    kept = context.checkpoints.find(context.release, name)
    if kept is not None:
        try:
            part: Part = codec.decode(kept)
        except msgspec.DecodeError:
            # Kept by other code: computed anew.
            pass
        else:
            return part
    part = compute()
    if (value := encoded(codec, part)) is not None:
        context.checkpoints.save(context.release, name, value)
    return part


def encoded(codec: Codec, part: object) -> bytes | None:
    """A part as it is kept; None when its type cannot be."""
    try:
        return codec.encode(part)
    except UNENCODABLE:
        return None


class Scoped:
    """The checkpoints of one question within a job: names of their own, however many questions the job asks."""

    def __init__(self, whole: Checkpoints, scope: str) -> None:
        self._whole = whole
        self._scope = scope

    def find(self, release: str, name: str) -> bytes | None:
        """The part, if it was finished."""
        return self._whole.find(release, self._scope + name)

    def found(self, release: str, prefix: str) -> Mapping[str, bytes]:
        """By their names within the scope."""
        whole = self._whole.found(release, self._scope + prefix)
        return {name.removeprefix(self._scope): value for name, value in whole.items()}

    def save(self, release: str, name: str, value: bytes) -> None:
        """Keeps a finished part."""
        self._whole.save(release, self._scope + name, value)


def scope_of(method: str, question: bytes) -> str:
    """The beginning of the names of all parts of one question to one method."""
    return f"{method}/{hashlib.sha256(question).hexdigest()[:32]}/"
