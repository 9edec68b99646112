"""AnswerCache: answers that were given, for who asks the same of the same release again; bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from msgspec.structs import replace

from headrace.serving.context import Context, ServiceCall


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a pipeline returned for a question, and the calls that it took."""

    question: object
    value: Any
    calls: tuple[ServiceCall, ...]
    size_bytes: int


Key = tuple[str, str, str]
"""Endpoint, release, digest of the input."""


class AnswerCache:
    """The least recently asked go first. Degraded answers are not kept: the next caller may get a better one.

    The whole question is compared besides its digest, for what it is called may stand in the answer too.
    """

    def __init__(self, *, bound_bytes: int) -> None:
        self._bound_bytes = bound_bytes
        self._kept: OrderedDict[Key, KeptAnswer] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0

    def find(self, key: Key, question: object, context: Context) -> KeptAnswer | None:
        """The answer that was given to `question`; `context` is told the calls that it once took, as cached."""
        kept = self._kept.get(key)
        if kept is None or kept.question != question:
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        context.calls += [replace(call, queued_ms=0.0, compute_ms=0.0, is_shared=True) for call in kept.calls]
        return kept

    def keep(self, key: Key, question: object, value: Any, context: Context, *, answer_bytes: int) -> None:
        """Notes an answer whose encoded form has `answer_bytes`."""
        size_bytes = answer_bytes + _content_bytes(question)
        if not key[2] or context.degraded or size_bytes > self._bound_bytes:
            return
        self._drop(key)
        self._kept[key] = KeptAnswer(question, value, tuple(context.calls), size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self._bound_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self.size_bytes -= dropped.size_bytes


def _content_bytes(question: object) -> int:
    values = [getattr(question, each.name) for each in fields(question)] if is_dataclass(question) else [question]
    return sum(len(value) for value in values if isinstance(value, (str, bytes)))
