"""Every question comes here: it is admitted, asked, and its answer becomes a Decision."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import Any, Protocol

from msgspec.structs import replace

from headrace.domain.decision import Decision, DegradedStep, Step, new_id
from headrace.domain.release import Variant
from headrace.errors import DeadlineExceeded, HeadraceError, ServiceFailed
from headrace.serving.admission import Admission
from headrace.serving.answer import is_answer
from headrace.serving.answer_cache import AnswerCache
from headrace.serving.answered import Answered, encoder
from headrace.serving.context import Context, Priority, ServiceCall, within
from headrace.serving.door import Arrival, Failed, Inspect, Mourn, joined
from headrace.serving.finite import found_in
from headrace.serving.pipeline import Route
from headrace.serving.service_time import ServiceTime
from headrace.serving.shared_work import SharedWork

LEARNED_AFTER = 20
SURE_SHARE = 0.5
PROBE_EVERY = 10


class Witness(Protocol):
    """Is told of every decision after its answer is ready; must neither wait nor raise."""

    def __call__(self, decision: Decision) -> None:
        """Notes `decision`."""
        ...


Record = Callable[[Answered], None]
"""Takes every answer in before it goes out, and makes its record off the way; must neither wait nor raise."""

Expect = Callable[[str, object, Context], None]
"""Begins to keep a question that was admitted to an endpoint, if it is large; must neither wait nor raise."""

Attend = Callable[["Endpoint", Variant, object, Context, Answered | Exception], None]
"""Told what became of each question that was taken on, answered or failed; must neither wait nor raise."""

Observe = Callable[[Answered], None]
"""Sees what can be watched of an answer that went out; must neither wait nor raise."""


class Endpoint:
    """One method of a pipeline on a platform.

    `choose` gives the variant that answers a key, once a request and before anything of it runs; `hold` keeps that
    release loaded until the answer is there. Each answer is taken in by `record` before anybody sees it; then the
    witnesses are told of its decision, which has no explanation yet. `attend` hears of answers and of failures. What
    lies in `cache` is not computed again; replays and shadows look past it.
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
        expect: Expect | None = None,
        record: Record | None = None,
        attend: Attend | None = None,
        cache: AnswerCache | None = None,
        inspect: Inspect | None = None,
        observe: Observe | None = None,
        mourn: Mourn | None = None,
    ) -> None:
        self.route = route
        self.path = route.path
        self._run = run
        self._admission = admission
        self._witnesses = witnesses
        self._choose = choose
        self._hold = hold
        self._expect = expect
        self._record = record
        self._attend = attend
        self._cache = cache
        self._time = ServiceTime()
        self._refused = 0
        self._inspect = inspect
        self._observe = observe
        self._mourn = mourn

    @property
    def argument(self) -> Any:
        """The type of the question."""
        return self.route.argument

    def variant_of(self, key: str, input_digest: str) -> Variant:
        """Who answers: the key decides, or else the input, so that the same document meets the same release."""
        return self._choose(key or input_digest)

    def check_room(self, context: Context | None = None) -> None:
        """Raises what would turn a question away now: asked before a body is read.

        Raises:
            Overloaded: there is no room for it.
            DeadlineExceeded: no answer was ever given in as little time as its caller has.
        """
        self._admission.check_room(Priority.INTERACTIVE if context is None else context.priority)
        if context is not None and context.deadline is not None:
            self._check_time(context.deadline - monotonic())

    async def answer(
        self,
        question: object,
        *,
        context: Context,
        input_digest: str,
        request_id: str = "",
        variant: Variant | None = None,
    ) -> Answered:
        """The answer to `question`, which was admitted, and the decision that all witnesses were told of.

        `variant` answers it; without one, whom the key decides for.

        Raises:
            Overloaded: nothing was begun.
            DeadlineExceeded: the caller's budget is spent.
            Quarantined: the input is kept back.
            HeadraceError: what the pipeline raised.
        """
        variant = variant or self.variant_of(context.key, input_digest)
        with self._admission.admitted(context):
            outcome: Answered | Exception | None = None
            begun = monotonic()
            if self._expect is not None:
                self._expect(self.path, question, context)
            try:
                answered = outcome = await self.answer_as(
                    variant,
                    question,
                    context=context,
                    input_digest=input_digest,
                    request_id=request_id,
                    cache=self._cache,
                    inspect=self._inspect,
                )
            except Exception as failure:
                outcome = failure
                if self._mourn is not None:
                    await self._mourn(Failed(self.path, question, failure, context, begun))
                raise
            finally:
                # A caller who went away leaves no outcome: nobody knows what it would have been.
                if context.attachment is not None and not isinstance(outcome, Answered):
                    context.attachment.discard()
                if self._attend is not None and outcome is not None:
                    self._attend(self, variant, question, context, outcome)
        if self._record is not None:
            self._record(answered)
        if self._observe is not None:
            self._observe(answered)
        for witness in self._witnesses:
            witness(answered.decision)
        return answered

    async def answer_as(
        self,
        variant: Variant,
        question: object,
        *,
        context: Context,
        input_digest: str,
        request_id: str = "",
        cache: AnswerCache | None = None,
        inspect: Inspect | None = None,
    ) -> Answered:
        """The answer of one variant, that no witness is told of and admission does not count: for shadows and replays.

        To share the work of another answer, its `context.work` is passed on in `context`. `inspect` looks at the
        input before the answer is made up.
        """
        begun = monotonic()
        context.release, context.input_digest, context.request_id = variant.release, input_digest, request_id
        if variant.is_shadowed and context.work is None:
            context.work = SharedWork()
        with self._hold(variant.release), within(context):
            context.check()
            key = (self.path, variant.release, input_digest)
            kept = None if cache is None else cache.find(key, question, context)
            value = await self._asked(question) if kept is None else kept.value
            if context.is_over():
                raise DeadlineExceeded("The answer came after the caller's time.", remedy="Give more time.")
        own = value if is_answer(value) else None
        fields = {"output": value} if own is None else dict(own.body())
        # What is found of an input may depend on what came before it, so it is no part of what a replay gives again.
        quality = None if own is None else fields.pop("quality", None)
        if inspect is not None:
            quality = joined(quality, await inspect(Arrival(self.path, question, value, context)))
        degraded = _degraded(context)
        answer = self._encoded({"degraded": degraded} | fields)
        # In JSON a number that is none becomes null, which its caller would take for nothing.
        if own is None and b"null" in answer and (place := found_in(value)) is not None:
            raise ServiceFailed(f"{self.path} answered with a number that is none, at answer{place}.")
        if cache is not None and kept is None:
            cache.keep(key, question, value, context, answer_bytes=len(answer))
        duration_ms = (monotonic() - begun) * 1000
        decision_id = new_id("dec")
        decision = Decision(
            id=decision_id,
            created_at=datetime.now(UTC),
            endpoint=self.path,
            release=variant.release,
            variant=variant.name,
            input_digest=input_digest,
            body=b'{"decision_id":"%b",%b,%b,%b'
            % (
                decision_id.encode(),
                _variant_fields(variant.release, variant.name),
                # The middle is what a replay has to give again: encoded once, it cannot differ from what was sent.
                answer[1:-1],
                _last_fields(context, duration_ms, quality),
            ),
            duration_ms=duration_ms,
            steps=_steps(context),
            degraded=degraded,
            text=None if own is None else own.text(),
            confidence=None if own is None else own.confidence(),
            request_id=request_id,
            trace_id=context.trace_id,
        )
        if kept is None:
            self._time.learn(duration_ms / 1000)
        return Answered(decision, question, value, context, quality)

    async def _asked(self, question: object) -> Any:
        """What the pipeline gives; what its author's code raises is told as a failure of it."""
        try:
            return await self._run(question)
        except (HeadraceError, GeneratorExit):
            raise
        # The author's code may raise anything, SystemExit too: the caller is told, and the server lives on.
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise ServiceFailed(
                f"{self.path} failed: {type(error).__name__}.", remedy="The log has the trace."
            ) from error

    def _encoded(self, fields: Mapping[str, Any]) -> bytes:
        try:
            return encoder.encode(fields)
        except (TypeError, ValueError, NotImplementedError, RecursionError, OverflowError) as error:
            raise ServiceFailed(
                f"{self.path} gave an answer that cannot be written as JSON: {error}.",
                remedy="Give text, numbers, lists, mappings, arrays, dataclasses or pydantic models.",
            ) from error

    def _check_time(self, left_s: float) -> None:
        if self._time.count < LEARNED_AFTER or left_s >= SURE_SHARE * self._time.shortest_s:
            return
        self._refused += 1
        # Now and then one is let through: without it nothing would be learned of a service that has become quicker.
        if self._refused % PROBE_EVERY:
            raise DeadlineExceeded(
                f"{self.path} was never answered in {max(0.0, left_s) * 1000:.0f} ms.", remedy="Give more time."
            )


def _degraded(context: Context) -> tuple[DegradedStep, ...]:
    """What was degraded, by service: which of two that ran side by side was told first is not to change the answer."""
    steps = [DegradedStep(each.service, each.reason, each.used) for each in context.degraded]
    return tuple(steps if len(steps) < 2 else sorted(steps, key=_place))


def _steps(context: Context) -> tuple[Step, ...]:
    """The calls in order. What a service spent stands with its last call, which all its attempts led to.

    What is told under a name that no service has stands with the last call of all, so that nothing goes uncounted.
    """
    steps = [_step(each) for each in context.calls]
    for spent in context.spent:
        own = [place for place, step in enumerate(steps) if step.service == spent.service] or list(range(len(steps)))
        if own:
            step = steps[own[-1]]
            steps[own[-1]] = replace(
                step,
                prompt_tokens=step.prompt_tokens + spent.prompt,
                completion_tokens=step.completion_tokens + spent.completion,
            )
    return tuple(steps)


def _place(step: DegradedStep) -> tuple[str, str, str]:
    return step.service, step.used, step.reason


def _step(call: ServiceCall) -> Step:
    return Step(call.service, call.method, call.queued_ms, call.compute_ms, call.batch_size, call.model, call.is_shared)


@lru_cache(maxsize=256)
def _variant_fields(release: str, variant: str) -> bytes:
    """The fields of a body that say who answered; they are few, and the same in answer after answer."""
    return encoder.encode({"release": release, "variant": variant})[1:-1]


def _last_fields(context: Context, total_ms: float, quality: Mapping[str, Any] | None) -> bytes:
    """The fields behind the answer, and the end of the body.

    Milliseconds queued in all, of each method, and in total: methods that ran side by side add up to more.
    """
    timings: dict[str, float] = {"queued": 0.0}
    for call in context.calls:
        timings["queued"] += call.queued_ms
        timings[call.method] = timings.get(call.method, 0.0) + call.compute_ms
    timings["total"] = total_ms
    found: dict[str, Any] = {"timings_ms": {name: round(time_ms, 3) for name, time_ms in timings.items()}}
    if quality is not None:
        found["quality"] = quality
    if context.tags:
        found["tags"] = dict(context.tags)
    return encoder.encode(found)[1:]
