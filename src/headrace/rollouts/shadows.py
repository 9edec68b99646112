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
from headrace.rollouts.loop_time import LoopTime
from headrace.rollouts.observer import Observer
from headrace.rollouts.sighting import SHADOW, Seen, Sighting
from headrace.rollouts.traffic import RolledOut
from headrace.serving.answered import Answered
from headrace.serving.context import Context, Priority
from headrace.serving.endpoint import Endpoint

BUDGET_S = 30.0
PATIENCE_S = 5.0
"""How long a shadow waits for quiet before it is dropped."""

LOADED_SHARE = 0.05
"""While there is no quiet, shadows may take this part of one core: all are answered where they cost little beside the
live answers, as where the encoder's work is shared, and few where they cost as much. Of one core, for a process whose
answers are mostly made by the interpreter has no more than that, however many there are."""
_MOST_SAVED_S = 0.25

Told = Callable[[Rollout, str], None]
"""Hears what came of each: agreed, disagreed, failed, dropped."""

LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class _Waiting:
    endpoint: Endpoint
    variant: RolledOut
    question: object
    context: Context
    live: Seen
    since: float


class Shadows:
    """One at a time, newest dropped when `bound` wait; while there is no quiet, within `LOADED_SHARE` of a core.

    `in_flight` is how many live questions are being answered; at `cores` or fewer there is quiet. While `has_room` says
    no, nothing is even kept waiting.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        in_flight: Callable[[], int],
        cores: int,
        has_room: Callable[[], bool],
        told: Told,
        bound: int = 64,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._observer = observer
        self._in_flight = in_flight
        self._cores = cores
        self._has_room = has_room
        self._told = told
        self._bound = bound
        self._patience_s = patience_s
        self._line: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._saved_s = 0.0
        self._saved_at = monotonic()

    def cast(self, endpoint: Endpoint, variant: RolledOut, question: object, context: Context, live: Seen) -> None:
        """Takes on a question that was just answered, or drops it; never waits."""
        waiting = _Waiting(endpoint, variant, question, context, live, monotonic())
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
            if not await self._may_begin(waiting):
                self._drop(waiting)
                continue
            is_quiet = self._is_quiet()
            answering = LoopTime(self._answer(waiting))
            compute_s = await answering
            if not is_quiet:
                self._saved_s = self._saved() - answering.spent_s - compute_s

    def _is_quiet(self) -> bool:
        return self._in_flight() <= self._cores

    async def _may_begin(self, waiting: _Waiting) -> bool:
        while not self._is_quiet() and self._saved() < 0:
            if monotonic() - waiting.since > self._patience_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def _saved(self) -> float:
        """Seconds of work that shadows may take by now though there is no quiet; below 0 they have taken more."""
        now = monotonic()
        earned_s = (now - self._saved_at) * LOADED_SHARE
        self._saved_s, self._saved_at = min(self._saved_s + earned_s, _MOST_SAVED_S), now
        return self._saved_s

    async def _answer(self, waiting: _Waiting) -> float:
        """Answers, compares and tells; gives the seconds that services computed for it."""
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
            return _computed_s(context)
        # The author's code may raise anything, and so may a candidate's: that is what a shadow is there to show.
        except Exception:  # noqa: BLE001
            shadow = Seen()
        else:
            shadow = seen_in(answered)
        self._told(rollout, _outcome(waiting.live, shadow))
        key = waiting.context.key or waiting.context.input_digest
        self._observer.see(Sighting(rollout, key, False, waiting.live, shadow))
        return _computed_s(context)

    def _drop(self, waiting: _Waiting) -> None:
        if waiting.variant.rollout is not None:
            self._told(waiting.variant.rollout, "dropped")
            self._observer.tally(waiting.variant.rollout, Measure(SHADOW, DROPPED_SHADOWS), Tally.of(1.0))


def _computed_s(context: Context) -> float:
    return sum(call.compute_ms for call in context.calls if not call.is_shared) / 1000


def _outcome(live: Seen, shadow: Seen) -> str:
    if shadow.is_failed:
        return "failed"
    return "agreed" if live.label == shadow.label else "disagreed"


def seen_in(answered: Answered) -> Seen:
    """What counts of an answer."""
    decision = answered.decision
    return Seen(
        duration_ms=decision.duration_ms,
        confidence=decision.sureness,
        is_degraded=bool(decision.degraded),
        label=label_of(answered.value),
        decision_id=decision.id,
    )


def label_of(value: object) -> str | None:
    """What answers are compared by: what they say their label is, or a short value itself."""
    label = getattr(value, "label", value)
    said = label() if callable(label) else label
    return str(said)[:200] if isinstance(said, str | bool | int) else None
