"""Answered: an answer on its way out, whose record is made by whoever needs it, off the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import msgspec

from headrace.domain.columns import written
from headrace.domain.decision import Decision
from headrace.serving.answer import is_answer
from headrace.serving.context import Context
from headrace.serving.plain import plain

encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=plain)


class Answered(msgspec.Struct, frozen=True):
    """A decision with the question, the value that the pipeline returned, and the context it was computed in.

    `quality` is the verdict on the input, where there is one. The decision has no explanation and no digest of the
    answer yet, for they take longer than many answers.
    """

    decision: Decision
    question: object
    value: Any
    context: Context
    quality: Mapping[str, Any] | None = None

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return self.decision.body

    @property
    def question_bytes(self) -> int:
        """About how large the question is."""
        return bytes_of(self.question)

    def explanation(self) -> bytes | None:
        """Everything that speaks for and against the answer, as `written`."""
        explanation = self.value.explanation() if is_answer(self.value) else None
        return None if explanation is None else written(explanation)


def bytes_of(question: object) -> int:
    """About how large a question is: its text and bytes."""
    if type(question) is str:
        return len(question)
    names = _fields_of(type(question))  # type: ignore[arg-type] # mypy does not know that types are hashable
    values = (question,) if names is None else [getattr(question, name) for name in names]
    return sum([len(value) for value in values if isinstance(value, (str, bytes))])


def digest_of(content: bytes) -> str:
    """`sha256:` and the hexadecimal digest of `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@lru_cache(maxsize=1024)
def _fields_of(kind: type) -> tuple[str, ...] | None:
    """The names of the fields of a dataclass; looked up once for each type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None
