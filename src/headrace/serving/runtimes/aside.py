"""Aside: tiny models are answered on the event loop itself, for a change of threads takes longer than they do."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from headrace.errors import Overloaded
from headrace.serving.batcher import Call, Line
from headrace.serving.driving import never_awaits
from headrace.serving.replica import Replica, settle_here
from headrace.serving.service import Method

QUICK_S, TYPICAL_S = 400e-6, 2e-3
"""A question may come to the loop when the shortest time that it lately took is below the first figure, and what is
typical below the second: the shortest tells what it computes, the rest is the wait for a core on a busy machine."""

TURN_S = 2e-3
"""So long the loop may answer in one go before it looks at its other work."""

LOOK_EVERY = 16


class Aside:
    """Answers what has come up in one turn of the event loop at the end of this turn, together where that pays.

    While each turn brings one question only, as from a single caller, it is answered at once, for the turn's end would
    cost two more turns. Now and then one waits all the same, to see whether others come up with it.

    Only methods whose code shows that it never awaits, and of which the threads have learned that they are quick. Used
    from one event loop; while threads have their turn with all replicas, calls go into the line as all others do, of
    which `on_lined_up` is told. Those that are answered here need no alarm at their deadline: it is looked at.
    """

    def __init__(self, line: Line, *, bound: int, on_lined_up: Callable[[Call], None]) -> None:
        self._line = line
        self._on_lined_up = on_lined_up
        self._bound = bound
        self._replicas: list[Replica] = []
        self._calls: list[Call] = []
        self._quick: dict[tuple[str, int], bool] = {}
        self._seen = 0
        self._is_due = False
        self._comes_alone = False
        self._at_once = 0

    def offer(self, replica: Replica) -> None:
        """A replica that may answer here while its thread does not use it."""
        self._replicas.append(replica)

    def forget(self, replica: Replica) -> None:
        """The replica is not to be used any more."""
        if replica in self._replicas:
            self._replicas.remove(replica)

    def takes(self, call: Call) -> bool:
        """Whether `call` will be answered here; its future is then settled soon, or already."""
        if not self._replicas or not self._is_quick(call.method, call.bucket):
            return False
        if len(self._calls) >= self._bound:
            raise Overloaded(f"{self._bound} questions wait already.", remedy="Ask again in a moment.")
        self._calls.append(call)
        if self._comes_alone and not self._is_due and self._at_once < LOOK_EVERY:
            self._at_once += 1
            self._answer()
        elif not self._is_due:
            self._is_due = True
            call.future.get_loop().call_soon(self._answer)
        return True

    def close(self) -> list[Call]:
        """Takes no more; gives back the calls that will not be answered."""
        self._replicas.clear()
        left, self._calls = self._calls, []
        return left

    def _answer(self) -> None:
        if self._is_due:
            self._is_due = False
            self._comes_alone, self._at_once = len(self._calls) == 1, 0
        calls, self._calls = self._calls, []
        replica = next((each for each in self._replicas if each.turn.acquire(blocking=False)), None)
        if replica is None:
            self._give_to_line(calls)
            return
        try:
            ends = monotonic() + TURN_S
            while calls:
                batch, calls = self._batch(calls)
                if batch:
                    begun = monotonic()
                    settle_here(replica.answer(batch))
                    now = monotonic()
                    self._line.learn(batch, now - begun)
                    if now > ends:
                        break
        finally:
            replica.turn.release()
        if calls:
            self._calls = calls + self._calls
            self._is_due = True
            calls[0].future.get_loop().call_soon(self._answer)

    def _batch(self, calls: list[Call]) -> tuple[list[Call], list[Call]]:
        """The first call with its company, and the rest in its order."""
        method, bucket = calls[0].method, calls[0].bucket
        alike = [call for call in calls if call.method is method and call.bucket == bucket]
        most = self._line.best_count(method, bucket, len(alike))
        taken = alike[:most]
        if most == len(calls):
            rest = []
        else:
            numbers = {id(call) for call in taken}
            rest = [call for call in calls if id(call) not in numbers]
        wanted = [call for call in taken if call.is_wanted]
        if len(wanted) < len(taken):
            for call in taken:
                if call not in wanted:
                    call.give_up()
        return wanted, rest

    def _give_to_line(self, calls: list[Call]) -> None:
        for call in calls:
            try:
                self._line.put(call)
            except Overloaded as full:
                settle_here([(call.future, full)])
            else:
                self._on_lined_up(call)

    def _is_quick(self, method: Method, bucket: int) -> bool:
        key = (method.name, bucket)
        self._seen += 1
        known = self._quick.get(key)
        if known is None or self._seen % LOOK_EVERY == 0:
            recent = self._line.costs(method).recent(bucket)
            if recent is None:
                return False
            is_quick = recent.shortest_s < QUICK_S and recent.typical_s < TYPICAL_S
            known = self._quick[key] = is_quick and never_awaits(method.run)
        return known
