"""Every question comes here: it is admitted, asked, and its answer becomes a Decision."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

import msgspec

from headrace.domain.decision import Decision, DegradedStep, Step, new_id
from headrace.errors import DeadlineExceeded
from headrace.serving.admission import Admission
from headrace.serving.answer import Answer
from headrace.serving.context import Context, within
from headrace.serving.pipeline import Route


class Witness(Protocol):
    """Is told of every decision after its answer is ready; must neither wait nor raise."""

    def __call__(self, decision: Decision) -> None:
        """Notes `decision`."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision, with the value that the pipeline returned."""

    decision: Decision
    value: Any

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return self.decision.body


class Endpoint:
    """One method of a pipeline on a platform. `release` and `variant` are what answers are given under."""

    def __init__(
        self,
        route: Route,
        run: Callable[[Any], Awaitable[Any]],
        *,
        admission: Admission,
        witnesses: tuple[Witness, ...],
        release: str,
        variant: str = "champion",
    ) -> None:
        self.route = route
        self.release = release
        self._run = run
        self._admission = admission
        self._witnesses = witnesses
        self._variant = variant
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    @property
    def path(self) -> str:
        """`pipeline/endpoint`."""
        return self.route.path

    @property
    def argument(self) -> Any:
        """The type of the question."""
        return self.route.argument

    async def answer(self, question: object, *, context: Context, input_digest: str, request_id: str = "") -> Answered:
        """The answer to `question`, which was admitted, and the decision that all witnesses were told of.

        Raises:
            Overloaded: nothing was begun.
            DeadlineExceeded: the caller's budget is spent.
            HeadraceError: what the pipeline raised.
        """
        begun = monotonic()
        with self._admission.admitted(), within(context):
            context.check()
            value = await self._run(question)
            if context.is_over():
                raise DeadlineExceeded("The answer came after the caller's time.", remedy="Give more time.")
        decision = self._decision(value, context, begun=begun, input_digest=input_digest, request_id=request_id)
        for witness in self._witnesses:
            witness(decision)
        return Answered(decision=decision, value=value)

    def _decision(
        self, value: object, context: Context, *, begun: float, input_digest: str, request_id: str
    ) -> Decision:
        duration_ms = (monotonic() - begun) * 1000
        decision_id = new_id("dec")
        degraded = tuple(DegradedStep(each.service, each.reason, each.used) for each in context.degraded)
        head = {
            "decision_id": decision_id,
            "release": self.release,
            "variant": self._variant,
            "degraded": degraded,
        }
        answer = value if isinstance(value, Answer) else None
        fields = {"output": value} if answer is None else answer.body()
        explanation = None if answer is None else answer.explanation()
        return Decision(
            id=decision_id,
            created_at=datetime.now(UTC),
            endpoint=self.route.path,
            release=self.release,
            variant=self._variant,
            input_digest=input_digest,
            body=self._encoder.encode(head | fields | {"timings_ms": _timings(context, duration_ms)}),
            duration_ms=duration_ms,
            steps=tuple(
                Step(each.service, each.method, each.queued_ms, each.compute_ms, each.batch_size, each.model)
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
