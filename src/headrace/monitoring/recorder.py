"""The witness that watches: it notes what was seen of each decision and never waits; what it drops it counts."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from random import Random
from threading import Event, Lock, Thread
from time import monotonic, sleep, thread_time

from headrace.domain.decision import Decision
from headrace.domain.observation import Observation
from headrace.monitoring.gathering import Gathering
from headrace.monitoring.window import MOST_FEATURES, Batch, encoded, exemplar_of

SKEW_S = 120.0
GATHER_S = 0.25
AGAIN_S = 0.1
_EXEMPLARS = 64
_MOST_WINDOWS = 6
_MOST_WORDS = 200


class WatchRecorder:
    """Gathers sketches in a thread of its own and hands them on every `flush_s` as one batch a window.

    `hand_on` stores a batch and may be slow or fail: then the sketches are kept and grow no larger, for they are of
    bounded size, and of many windows the oldest are joined. `share` bounds the part of one core that watching may take:
    what does not fit is dropped and counted, by chance and not by what it is.
    """

    def __init__(
        self,
        hand_on: Callable[[bytes], None],
        *,
        clock: Callable[[], float],
        on_outcome: Callable[[str, int], None] = lambda _outcome, _count: None,
        window_s: float = 300.0,
        flush_s: float = 5.0,
        bound: int = 512,
        share: float = 0.02,
        seed: int = 0,
    ) -> None:
        self._hand_on = hand_on
        self._clock = clock
        self._on_outcome = on_outcome
        self._window_s = window_s
        self._flush_s = flush_s
        self._line: deque[tuple[Decision, Callable[[], Observation]]] = deque()
        self._bound = bound
        self._share = share
        self._random = Random(seed)  # noqa: S311 - which decisions are examples is no secret
        self._process = secrets.token_hex(8)
        self._batches: dict[float, Batch] = {}
        self._gatherings: dict[float, Gathering] = {}
        self._examples: dict[float, list[tuple[str, str, Observation]]] = {}
        self._noted = 0
        self._lock = Lock()
        self._wake, self._half_full, self._ends = Event(), Event(), Event()
        self._ends_at = 0.0
        self._dropped = self._told = self._handed_on = 0
        self.failure = ""
        self._thread = Thread(target=self._live, name="watch", daemon=True)
        self._thread.start()

    def __call__(self, decision: Decision, observe: Callable[[], Observation]) -> None:
        """Notes a decision; never waits. `observe` says later, in the thread, what was seen of it."""
        if len(self._line) >= self._bound:
            self._dropped += 1
            return
        self._line.append((decision, observe))
        if not self._wake.is_set():
            self._wake.set()
        if 2 * len(self._line) >= self._bound and not self._half_full.is_set():
            self._half_full.set()

    @property
    def waiting(self) -> int:
        """How many decisions were noted and not yet looked at."""
        return len(self._line)

    @property
    def dropped(self) -> int:
        """How many decisions were not looked at, and are in no batch yet that says so."""
        return self._dropped - self._handed_on

    def flush(self) -> None:
        """Hands on all that was noted so far. Blocking."""
        with self._lock:
            self._take_all()
            self._hand_all_on()

    def close(self, *, within_s: float = 10.0) -> None:
        """Hands on what is there and ends the thread; what nobody takes for that long is lost, and counted as such."""
        self._ends_at = monotonic() + within_s
        self._ends.set()
        self._wake.set()
        self._half_full.set()
        self._thread.join(within_s + AGAIN_S)

    def _live(self) -> None:
        due = monotonic() + self._flush_s
        while not self._ends.is_set():
            # Sleeps while nothing comes; what has come waits a moment for more, unless that is much already.
            self._wake.wait(max(0.0, due - monotonic()) if self._batches else None)
            self._half_full.wait(GATHER_S)
            self._wake.clear()
            self._half_full.clear()
            spent = thread_time()
            with self._lock:
                self._take_all()
                if monotonic() >= due:
                    self._hand_all_on()
                    due = monotonic() + self._flush_s
            # Resting in proportion to the work keeps the share, however much comes.
            self._ends.wait(min((thread_time() - spent) * (1 / self._share - 1), 10.0))
        self._hand_on_at_last()

    def _hand_on_at_last(self) -> None:
        """Tries again, for there is no next time: when a server ends all its processes write at once."""
        self.flush()
        while self._batches and monotonic() < self._ends_at:
            sleep(AGAIN_S)
            self.flush()
        self._dropped += sum(batch.count for batch in self._batches.values())
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        """Counts at once what was dropped: while the store is away, no batch can say so."""
        dropped = self._dropped
        if dropped > self._told:
            self._on_outcome("dropped", dropped - self._told)
            self._told = dropped

    def _take_all(self) -> None:
        self._tell_dropped()
        for _ in range(len(self._line)):
            decision, observe = self._line.popleft()
            try:
                self._take(decision, observe())
            # The author's code may raise anything, and may say what is none; it cannot be watched.
            except Exception as failure:  # noqa: BLE001
                self._not_observed(decision, f"{type(failure).__name__}: {failure}"[:_MOST_WORDS])

    def _not_observed(self, decision: Decision, why: str) -> None:
        """Counts it apart: no more time would help, but a look at what the author's `observation` does."""
        batch = self._batch(decision)
        batch.unseen += 1
        batch.unseen_because = why
        self._on_outcome("failed", 1)

    def _take(self, decision: Decision, observation: Observation) -> None:
        batch = self._batch(decision)
        self._gatherings[batch.window_start].add(decision.release, observation)
        self._noted += 1
        self._keep_example(self._examples[batch.window_start], (decision.id, decision.release, observation))

    def _batch(self, decision: Decision) -> Batch:
        """The batch of the window that it belongs to; a moment that cannot be is taken for now, and counted."""
        now = self._clock()
        moment = decision.created_at.timestamp()
        skewed = not now - 24 * 3600 <= moment <= now + SKEW_S
        start = (now if skewed else moment) // self._window_s * self._window_s
        batch = self._batches.get(start)
        if batch is None:
            if len(self._batches) >= _MOST_WINDOWS:
                self._join_the_oldest()
            batch = self._batches[start] = Batch(process=self._process, window_start=start)
            self._gatherings[start], self._examples[start] = Gathering(batch), []
        batch.skewed += skewed
        return batch

    def _join_the_oldest(self) -> None:
        """Puts the second oldest window into the oldest: a store that is away for hours must not cost memory."""
        oldest, second = sorted(self._batches)[:2]
        batch, other = self._batches[oldest], self._batches.pop(second)
        self._gatherings.pop(second).settle()
        self._gatherings[oldest].absorb(other)
        batch.skewed += other.skewed
        batch.unseen, batch.unseen_because = batch.unseen + other.unseen, other.unseen_because or batch.unseen_because
        examples = [*self._examples[oldest], *self._examples.pop(second)]
        self._examples[oldest] = self._random.sample(examples, min(len(examples), _EXEMPLARS))

    def _keep_example(
        self, examples: list[tuple[str, str, Observation]], example: tuple[str, str, Observation]
    ) -> None:
        """A fair sample of the batch (Vitter's algorithm R)."""
        place = len(examples)
        if place >= _EXEMPLARS:
            place = int(self._random.random() * self._noted)
        if place < _EXEMPLARS:
            examples[place : place + 1] = [example]

    def _hand_all_on(self) -> None:
        for start in list(self._batches):
            batch = self._batches[start]
            self._gatherings[start].settle()
            batch.exemplars = [exemplar_of(*example) for example in self._examples[start]]
            batch.dropped = self.dropped
            count = batch.count
            try:
                self._hand_on(encoded(batch))
            # A witness must live whatever a store's driver raises; the sketches wait for the next time.
            except Exception as failure:  # noqa: BLE001
                self.failure = f"{type(failure).__name__}: {failure}"
                self._on_outcome("delayed", 1)
                return
            self.failure = ""
            del self._batches[start], self._gatherings[start], self._examples[start]
            self._handed_on += batch.dropped
            self._on_outcome("seen", count)
        self._noted = 0


__all__ = ["MOST_FEATURES", "SKEW_S", "WatchRecorder"]
