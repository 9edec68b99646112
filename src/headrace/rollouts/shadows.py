"""Shadows: the candidate answers what the champion has answered; nobody sees it, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from headrace.domain.release import Variant
from headrace.domain.rollout import CHALLENGER, Rollout
from headrace.domain.tally import DROPPED_SHADOWS, Measure, Tally
from headrace.errors import DeadlineExceeded, Overloaded
from headrace.rollouts.observer import Observer
from headrace.rollouts.sighting import SHADOW, Seen, Sighting
from headrace.rollouts.traffic import RolledOut
from headrace.serving.answered import Answered
from headrace.serving.context import Context, Priority
from headrace.serving.endpoint import Endpoint

BUDGET_S = 30.0
PATIENCE_S = 5.0
"""How long a shadow waits for quiet before it is dropped."""

CHEAP = 0.25
"""Up to this part of what the live answers cost, shadows need no quiet: they mostly share what was computed."""

Told = Callable[[Rollout, str], None]
"""Hears what came of each: agreed, disagreed, failed, dropped."""

WEIGHT_OF_NEWEST = 0.2
LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class _Waiting:
    endpoint: Endpoint
    variant: RolledOut
    question: object
    context: Context
    live: Seen
    live_ms: float
    since: float


class Shadows:
    """One at a time, newest dropped when `bound` wait; while they are dear, only when there is quiet.

    `in_flight` is how many live questions are being answered; at `quiet` or fewer there is quiet. While `has_room` says
    no, nothing is even kept waiting.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        in_flight: Callable[[], int],
        quiet: int,
        has_room: Callable[[], bool],
        told: Told,
        bound: int = 64,
    ) -> None:
        self._observer = observer
        self._in_flight = in_flight
        self._quiet = quiet
        self._has_room = has_room
        self._told = told
        self._bound = bound
        self._line: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._cost = 1.0

    def cast(self, endpoint: Endpoint, variant: RolledOut, question: object, context: Context, live: Seen) -> None:
        """Takes on a question that was just answered, or drops it; never waits."""
        live_ms = sum(call.compute_ms for call in context.calls)
        waiting = _Waiting(endpoint, variant, question, context, live, live_ms, monotonic())
        if len(self._line) >= self._bound or not self._has_room():
            self._drop(waiting)
            return
        self._line.append(waiting)
        self._arrived.set()

    async def live(self) -> None:
        """Answers one after the other, until it is cancelled."""
        while True:
            while not self._line:
                self._arrived.clear()
                await self._arrived.wait()
            waiting = self._line.popleft()
            if await self._is_quiet(waiting):
                await self._answer(waiting)
            else:
                self._drop(waiting)

    async def _is_quiet(self, waiting: _Waiting) -> bool:
        while self._cost > CHEAP and self._in_flight() > self._quiet:
            if monotonic() - waiting.since > PATIENCE_S:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def _answer(self, waiting: _Waiting) -> None:
        rollout = waiting.variant.rollout
        assert rollout is not None
        context = Context(
            deadline=monotonic() + BUDGET_S,
            key=waiting.context.key,
            priority=Priority.SHADOW,
            trace_id=waiting.context.trace_id,
            work=waiting.context.work,
        )
        try:
            answered = await waiting.endpoint.answer_as(
                Variant(rollout.candidate, CHALLENGER),
                waiting.question,
                context=context,
                input_digest=waiting.context.input_digest,
            )
        except (Overloaded, DeadlineExceeded):
            # It was too slow or there was no room: that is our low priority, and says nothing of the candidate.
            self._drop(waiting)
            return
        # The author's code may raise anything, and so may a candidate's: that is what a shadow is there to show.
        except Exception:  # noqa: BLE001
            shadow = Seen()
        else:
            shadow = seen_in(answered)
        self._learn_cost(context, waiting)
        self._told(rollout, _outcome(waiting.live, shadow))
        key = waiting.context.key or waiting.context.input_digest
        self._observer.see(Sighting(rollout, key, False, waiting.live, shadow))

    def _learn_cost(self, context: Context, waiting: _Waiting) -> None:
        own_ms = sum(call.compute_ms for call in context.calls)
        if waiting.live_ms > 0:
            self._cost += WEIGHT_OF_NEWEST * (min(4.0, own_ms / waiting.live_ms) - self._cost)

    def _drop(self, waiting: _Waiting) -> None:
        if waiting.variant.rollout is not None:
            self._told(waiting.variant.rollout, "dropped")
            self._observer.tally(waiting.variant.rollout, Measure(SHADOW, DROPPED_SHADOWS), Tally.of(1.0))


def _outcome(live: Seen, shadow: Seen) -> str:
    if shadow.is_failed:
        return "failed"
    return "agreed" if live.label == shadow.label else "disagreed"


def seen_in(answered: Answered) -> Seen:
    """What counts of an answer."""
    decision = answered.decision
    return Seen(
        duration_ms=decision.duration_ms,
        confidence=decision.confidence,
        is_degraded=bool(decision.degraded),
        label=label_of(answered.value),
        decision_id=decision.id,
    )


def label_of(value: object) -> str | None:
    """What answers are compared by: what they say their label is, or a short value itself."""
    label = getattr(value, "label", value)
    said = label() if callable(label) else label
    return str(said)[:200] if isinstance(said, str | bool | int) else None
