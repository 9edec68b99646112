"""Every question comes here: it is admitted, asked, and its answer becomes a Decision."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

import msgspec

from headrace.domain.decision import Decision, DegradedStep, Step, new_id
from headrace.domain.release import Variant
from headrace.errors import DeadlineExceeded
from headrace.serving.admission import Admission
from headrace.serving.answer import Answer
from headrace.serving.context import Context, within
from headrace.serving.pipeline import Route
from headrace.serving.shared_work import SharedWork


class Witness(Protocol):
    """Is told of every decision after its answer is ready; must neither wait nor raise."""

    def __call__(self, decision: Decision) -> None:
        """Notes `decision`."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision, with the value that the pipeline returned, and the context that it was computed in."""

    decision: Decision
    value: Any
    context: Context

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return self.decision.body


Follow = Callable[["Endpoint", object, Answered], None]
"""Told of an answer that another release is to answer too, with its question; must neither wait nor raise."""


class Endpoint:
    """One method of a pipeline on a platform.

    `choose` gives the variant that answers a key, once a request and before anything of it runs; `hold` keeps that
    release loaded until the answer is there. `follow` is told of answers whose variant is shadowed.
    """

    def __init__(
        self,
        route: Route,
        run: Callable[[Any], Awaitable[Any]],
        *,
        admission: Admission,
        witnesses: tuple[Witness, ...],
        choose: Callable[[str], Variant],
        hold: Callable[[str], AbstractContextManager[None]],
        follow: Follow | None = None,
    ) -> None:
        self.route = route
        self._run = run
        self._admission = admission
        self._witnesses = witnesses
        self._choose = choose
        self._hold = hold
        self._follow = follow
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    @property
    def path(self) -> str:
        """`pipeline/endpoint`."""
        return self.route.path

    @property
    def argument(self) -> Any:
        """The type of the question."""
        return self.route.argument

    def variant_of(self, key: str, input_digest: str) -> Variant:
        """Who answers: the key decides, or else the input, so that the same document meets the same release."""
        return self._choose(key or input_digest)

    def check_room(self) -> None:
        """Raises `Overloaded` when a question would be turned away now: asked before a body is read."""
        self._admission.check_room()

    async def answer(self, question: object, *, context: Context, input_digest: str, request_id: str = "") -> Answered:
        """The answer to `question`, which was admitted, and the decision that all witnesses were told of.

        Raises:
            Overloaded: nothing was begun.
            DeadlineExceeded: the caller's budget is spent.
            HeadraceError: what the pipeline raised.
        """
        variant = self.variant_of(context.key, input_digest)
        with self._admission.admitted():
            answered = await self.answer_as(
                variant, question, context=context, input_digest=input_digest, request_id=request_id
            )
        for witness in self._witnesses:
            witness(answered.decision)
        if variant.is_shadowed and self._follow is not None:
            self._follow(self, question, answered)
        return answered

    async def answer_as(
        self, variant: Variant, question: object, *, context: Context, input_digest: str, request_id: str = ""
    ) -> Answered:
        """The answer of one variant, that no witness is told of and admission does not count: for shadows and replays.

        To share the work of another answer, its `context.work` is passed on in `context`.
        """
        begun = monotonic()
        context.release = variant.release
        if variant.is_shadowed and context.work is None:
            context.work = SharedWork()
        with self._hold(variant.release), within(context):
            context.check()
            value = await self._run(question)
            if context.is_over():
                raise DeadlineExceeded("The answer came after the caller's time.", remedy="Give more time.")
        decision = self._decision(
            value, context, variant, begun=begun, input_digest=input_digest, request_id=request_id
        )
        return Answered(decision=decision, value=value, context=context)

    def _decision(
        self,
        value: object,
        context: Context,
        variant: Variant,
        *,
        begun: float,
        input_digest: str,
        request_id: str,
    ) -> Decision:
        duration_ms = (monotonic() - begun) * 1000
        decision_id = new_id("dec")
        degraded = tuple(DegradedStep(each.service, each.reason, each.used) for each in context.degraded)
        head = {
            "decision_id": decision_id,
            "release": variant.release,
            "variant": variant.name,
            "degraded": degraded,
        }
        answer = value if isinstance(value, Answer) else None
        fields = {"output": value} if answer is None else answer.body()
        explanation = None if answer is None else answer.explanation()
        return Decision(
            id=decision_id,
            created_at=datetime.now(UTC),
            endpoint=self.route.path,
            release=variant.release,
            variant=variant.name,
            input_digest=input_digest,
            body=self._encoder.encode(head | fields | {"timings_ms": _timings(context, duration_ms)}),
            duration_ms=duration_ms,
            steps=tuple(
                Step(
                    each.service,
                    each.method,
                    each.queued_ms,
                    each.compute_ms,
                    each.batch_size,
                    each.model,
                    each.is_shared,
                )
                for each in context.calls
            ),
            degraded=degraded,
            text=None if answer is None else answer.text(),
            explanation=None if explanation is None else self._encoder.encode(explanation),
            confidence=None if answer is None else answer.confidence(),
            request_id=request_id,
            trace_id=context.trace_id,
        )


def digest_of(content: bytes) -> str:
    """`sha256:` and the hexadecimal digest of `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _timings(context: Context, total_ms: float) -> dict[str, float]:
    """Milliseconds queued in all, of each method, and in total. Methods that ran side by side add up to more."""
    timings: dict[str, float] = {"queued": round(sum(call.queued_ms for call in context.calls), 3)}
    for call in context.calls:
        timings[call.method] = round(timings.get(call.method, 0.0) + call.compute_ms, 3)
    return timings | {"total": round(total_ms, 3)}
