"""What is kept of an answer: how much of its input, and nothing that the author's redaction takes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from headrace.domain.columns import as_json
from headrace.domain.decision import Decision, answer_part
from headrace.errors import HeadraceError
from headrace.serving.answer import is_answer
from headrace.serving.answered import Answered, bytes_of, digest_of, encoder
from headrace.serving.attachments import Attachments
from headrace.serving.context import Context
from headrace.serving.wire import Codec

INLINE_BYTES = 64 * 1024
"""Larger inputs lie with the artifacts, where one that comes twice is kept once, and are attached to the journal:
to copy one there would hold all other answers up."""

_UNWRITTEN = (OSError, HeadraceError, CancelledError, TypeError, NotImplementedError)
"""Why there may be no attachment: the disc or the time (an `OSError` too), the artifacts, the end of the process, or a
question that cannot be written down."""

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
    attachments: Attachments | None = None

    def expect(self, endpoint: str, question: object, context: Context) -> None:
        """Begins to attach a large question to the journal; told before an answer to it is begun."""
        if (size_bytes := bytes_of(question)) <= INLINE_BYTES or self.attachments is None or not self.keeps_all:
            return
        if (codec := self.codecs.get(endpoint)) is not None:
            context.attachment = self.attachments.begin(partial(codec.encode, question), size_bytes)

    @property
    def keeps_all(self) -> bool:
        """Whether whole questions are kept. A redacted one would not give the same answer again, so none is."""
        return self.inputs is Inputs.FULL and self.redact is None

    def at_the_door(self, answered: Answered) -> Decision:
        """The decision as it may be written down, with an input that is small; cheap where nothing is redacted."""
        decision = answered.decision
        if self.inputs is Inputs.NONE:
            decision = replace(decision, input_digest="")
        if self.redact is None:
            if (attachment := answered.context.attachment) is not None:
                return replace(decision, input_blob=attachment.name)
            if answered.question_bytes > INLINE_BYTES or (encoded := self._encoded(answered)) is None:
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
        is_left_out = decision.input is None and self.keeps_all
        return is_answer(answered.value) or (is_left_out and decision.endpoint in self.codecs)

    def completed(self, decision: Decision, answered: Answered | None) -> Decision:
        """With all that is kept besides: the explanation and a large input, where the answer has them."""
        explanation, encoded = None, decision.input
        if answered is not None:
            explanation = answered.explanation()
            if explanation is not None and self.redact is not None:
                explanation = _redacted_json(as_json(explanation, answered.decision.text), self.redact)
            decision, is_attached = self._with_attachment(decision, answered)
            encoded = encoded or (None if is_attached else self._encoded(answered))
        return self._laid_down(decision, explanation, encoded)

    def lost(self, decision: Decision) -> Decision:
        """What is left of a decision whose answer went with its process, or was too much to wait in memory."""
        return self._laid_down(decision, LOST, decision.input)

    def _encoded(self, answered: Answered) -> bytes | None:
        """The question as it is kept, where it is to be and can be."""
        codec = self.codecs.get(answered.decision.endpoint)
        if codec is None or not self.keeps_all:
            return None
        try:
            return codec.encode(answered.question)
        except (TypeError, NotImplementedError):
            return None

    def _with_attachment(self, decision: Decision, answered: Answered) -> tuple[Decision, bool]:
        """The decision with its attachment when that is written, and whether it has one."""
        attachment = answered.context.attachment
        if attachment is None or decision.input_blob is None:
            return decision, False
        try:
            return replace(decision, input_blob=attachment.awaited()), True
        except _UNWRITTEN:
            return replace(decision, input_blob=None), False

    def _laid_down(self, decision: Decision, explanation: bytes | None, encoded: bytes | None) -> Decision:
        """The decision as it is stored, a large input apart from it."""
        digest, blob = decision.answer_digest or digest_of(answer_part(decision.body)), None
        # The answer's record is worth more than its input: where that cannot be kept, it is stored without.
        with suppress(HeadraceError, OSError):
            if encoded is not None and len(encoded) > INLINE_BYTES:
                large, encoded = encoded, None
                blob = None if self.put is None else self.put(large)
            elif decision.input_blob is not None and self.attachments is not None:
                blob = self.attachments.laid_down(decision.input_blob)
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
