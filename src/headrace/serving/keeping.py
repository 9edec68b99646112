"""What is kept of an answer: how much of its input, and nothing that the author's redaction takes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from headrace.domain.columns import as_json
from headrace.domain.decision import Decision, answer_part
from headrace.errors import HeadraceError
from headrace.serving.answer import is_answer
from headrace.serving.answered import Answered, digest_of, encoder
from headrace.serving.wire import Codec

INLINE_BYTES = 64 * 1024
"""Larger inputs lie with the artifacts, where one that comes twice is kept once."""

JOURNALLED_BYTES = 1024 * 1024
"""Larger inputs do not go through the journal: to copy one there would hold all other answers up for a millisecond."""

LOST = b""
"""Stands for an explanation that went with its process; a replay gives it again."""

Redact = Callable[[str], str]
"""Gives a text back without personal data; of the same length, so that offsets in answers stay true."""


class Inputs(StrEnum):
    """How much of a question is kept with its decision: nothing, its digest, or all, so that it can be replayed."""

    NONE = "none"
    DIGEST = "digest"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Keeping:
    """The policy of a platform. `codecs` encode questions by endpoint, `put` keeps a large one and gives its digest."""

    inputs: Inputs = Inputs.DIGEST
    redact: Redact | None = None
    codecs: Mapping[str, Codec] = field(default_factory=dict)
    put: Callable[[bytes], str] | None = None

    def at_the_door(self, answered: Answered) -> Decision:
        """The decision as it may be written down, with an input that is small; cheap where nothing is redacted."""
        decision = answered.decision
        if self.inputs is Inputs.NONE:
            decision = replace(decision, input_digest="")
        if self.redact is None:
            if answered.question_bytes > JOURNALLED_BYTES or (encoded := self._encoded(answered)) is None:
                return decision
            return replace(decision, input=encoded)
        return replace(
            decision,
            answer_digest=digest_of(answer_part(decision.body)),
            body=_redacted_json(decision.body, self.redact),
            text=None if decision.text is None else self.redact(decision.text),
        )

    def wants_more(self, decision: Decision, answered: Answered) -> bool:
        """Whether `completed` needs the answer of a decision: for its explanation, or for an input left out before."""
        is_left_out = decision.input is None and self.inputs is Inputs.FULL and self.redact is None
        return is_answer(answered.value) or (is_left_out and decision.endpoint in self.codecs)

    def completed(self, decision: Decision, answered: Answered | None) -> Decision:
        """With all that is kept besides: the explanation and a large input, where the answer has them."""
        explanation, encoded = None, decision.input
        if answered is not None:
            explanation = answered.explanation()
            if explanation is not None and self.redact is not None:
                explanation = _redacted_json(as_json(explanation, answered.decision.text), self.redact)
            encoded = encoded or self._encoded(answered)
        return self._laid_down(decision, explanation, encoded)

    def lost(self, decision: Decision) -> Decision:
        """What is left of a decision whose answer went with its process, or was too much to wait in memory."""
        return self._laid_down(decision, LOST, decision.input)

    def _encoded(self, answered: Answered) -> bytes | None:
        """The question as it is kept, where it is to be and can be."""
        codec = self.codecs.get(answered.decision.endpoint)
        # A redacted input would not give the same answer again, and the whole one must not be kept.
        if self.inputs is not Inputs.FULL or codec is None or self.redact is not None:
            return None
        try:
            return codec.encode(answered.question)
        except (TypeError, NotImplementedError):
            return None

    def _laid_down(self, decision: Decision, explanation: bytes | None, encoded: bytes | None) -> Decision:
        """The decision as it is stored, a large input apart from it."""
        digest, blob = decision.answer_digest or digest_of(answer_part(decision.body)), None
        if encoded is not None and len(encoded) > INLINE_BYTES:
            with suppress(HeadraceError):
                # The answer's record is worth more than its input: where that cannot be kept, it is stored without.
                blob = None if self.put is None else self.put(encoded)
            encoded = None
        # One replacement: each copies the whole decision.
        return replace(decision, answer_digest=digest, explanation=explanation, input=encoded, input_blob=blob)


def _redacted_json(body: bytes, redact: Redact) -> bytes:
    return encoder.encode(_redacted(msgspec.json.decode(body), redact))


def _redacted(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(each, redact) for each in value]
    if isinstance(value, dict):
        return {key: _redacted(each, redact) for key, each in value.items()}
    return value
