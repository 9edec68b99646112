"""Turnstile: which calls of one service wait for a turn before they compute, and how much work is due."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, thread_time

from headrace.serving.batcher import Call
from headrace.serving.context import Priority
from headrace.serving.service_time import ServiceTime
from headrace.serving.turns import Turns

WORTH_A_TURN_S = 2e-3
"""What takes less is done before another has noticed."""

COMPUTES_SHARE = 0.1
"""What never uses more of a core than this waits for something else, and is in nobody's way.

So little, because what computes gets no more where ten times as many threads compute as there are cores.
"""

PATIENCE, LEAST_PATIENCE_S = 4.0, 0.02
"""So many times what a call takes itself it waits for a turn at most: long calls do not hold up the short ones."""

EXPECTED_WAITS = 2.0
"""So many times what all that is due should take it waits in any case: where many wait in turn, none is held up."""

MOST_DUE_S = 0.1
"""More of a call is nobody's wait: others wait for a long one only as long as their patience lasts."""

ANY = -1
"""The bucket of all questions of a method."""


class Turn:
    """What a thread passed with. It is given back once, by the thread or by whoever leaves the thread behind.

    It may serve for what comes next, where no question that waits elsewhere came before that.
    """

    def __init__(self, turns: Turns | None) -> None:
        self._held = [] if turns is None else [turns]
        self._begun, self._computed = monotonic(), thread_time()

    def give_back(self) -> bool:
        """Whether there was a turn to give back; safe to call twice, from any thread."""
        try:
            turns = self._held.pop()
        except IndexError:
            return False
        turns.give_back()
        return True

    @property
    def is_held(self) -> bool:
        """Whether there is a turn to give back."""
        return bool(self._held)

    def begin(self) -> Turn:
        """It serves for other calls from now on."""
        self._begun, self._computed = monotonic(), thread_time()
        return self

    def spent(self) -> tuple[float, float]:
        """Seconds since it was taken, and those of them on a core; told to the thread that took it."""
        return monotonic() - self._begun, thread_time() - self._computed


class Turnstile:
    """Lets interactive calls compute in turn. Who mostly waits for something, a device or another host, needs none.

    Batches and shadows need no turn and are no work that is due: nobody who asks now is to wait for them. Without
    `turns` everybody passes. What a call takes is learned in processor time, for the rest of its time others used.
    """

    def __init__(self, turns: Turns | None) -> None:
        self._turns = turns
        self._costs: dict[tuple[str, int], _Cost] = {}

    def owe(self, call: Call) -> int:
        """Notes a call that has come as work that is due; what `settle` is told when it is over."""
        if self._turns is None or call.context.priority is not Priority.INTERACTIVE:
            return 0
        cost = self._cost(call)
        if cost is None or not cost.is_worth_a_turn:
            return 0
        return self._turns.owe(min(MOST_DUE_S, cost.cpu.typical_s))

    def settle(self, owed: int) -> None:
        """The call is over."""
        if owed and self._turns is not None:
            self._turns.settle(owed)

    def enter(self, calls: Sequence[Call], kept: Turn) -> Turn:
        """Waits for the turn of `calls`, but not for ever; there is no need to with one that was `kept`."""
        if self._turns is None:
            return kept.begin()
        cost = self._cost(calls[0])
        is_free = cost is not None and not cost.is_worth_a_turn
        if is_free or calls[0].context.priority is not Priority.INTERACTIVE:
            kept.give_back()
            return Turn(None)
        if kept.is_held:
            return kept.begin()
        patience_s = LEAST_PATIENCE_S
        if cost is not None:
            own_s = PATIENCE * cost.cpu.typical_s * len(calls)
            patience_s = max(patience_s, own_s, EXPECTED_WAITS * self._turns.wait_s)
        has_turn = self._turns.take(within_s=patience_s, since=calls[0].queued_at)
        return Turn(self._turns if has_turn else None)

    def leave(self, turn: Turn, calls: Sequence[Call], *, next_since: float | None) -> None:
        """Lets the next one in, and learns what such calls take.

        The turn is kept where the next question of the same line, which came at `next_since`, is the next of all.
        """
        wall_s, cpu_s = turn.spent()
        was_turn = turn.is_held
        if self._turns is None:
            return
        if next_since is None or not self._turns.is_first(next_since):
            turn.give_back()
        name = calls[0].method.name
        for key in ((name, ANY), (name, calls[0].bucket)):
            cost = self._costs.get(key) or self._costs.setdefault(key, _Cost())
            cost.cpu.learn(cpu_s / len(calls))
            cost.share.learn(min(1.0, cpu_s / wall_s) if wall_s > 0.0 else 1.0)
        if was_turn and cost.is_worth_a_turn:
            self._turns.learn(wall_s=wall_s, cpu_s=cpu_s)

    def _cost(self, call: Call) -> _Cost | None:
        """That of questions as long as this one, or else of any."""
        name = call.method.name
        return self._costs.get((name, call.bucket)) or self._costs.get((name, ANY))


class _Cost:
    """The seconds of a question on a core, and the share that these are of how long it took."""

    __slots__ = ("cpu", "share")

    def __init__(self) -> None:
        self.cpu, self.share = ServiceTime(), ServiceTime()

    @property
    def is_worth_a_turn(self) -> bool:
        """Whether it computes, and long enough."""
        return self.cpu.typical_s >= WORTH_A_TURN_S and self.share.longest_s >= COMPUTES_SHARE
