"""The witness that stores decisions: off the hot path, bounded, in batches; what it cannot store it counts."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from threading import Thread
from time import monotonic

from headrace.domain.decision import Decision
from headrace.domain.stores import DecisionStore
from headrace.errors import HeadraceError

BATCH = 256
WAIT_S = 1.0


class Recorder:
    """Takes decisions in at once and stores them from a thread of its own.

    `on_outcome` is told `("accepted" | "stored" | "refused", count)`: accepted less stored less refused is what is on
    its way. A decision is refused when the line is full or the store fails twice.
    """

    def __init__(
        self,
        store: DecisionStore,
        *,
        on_outcome: Callable[[str, int], None],
        bound: int = 10_000,
    ) -> None:
        self._store = store
        self._on_outcome = on_outcome
        self._line: queue.Queue[Decision | None] = queue.Queue(maxsize=bound)
        self._recent: dict[str, Decision] = {}
        self.failure = ""
        self._thread = Thread(target=self._live, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, decision: Decision) -> None:
        """Notes a decision; never waits."""
        self._on_outcome("accepted", 1)
        try:
            self._line.put_nowait(decision)
        except queue.Full:
            self._on_outcome("refused", 1)
        else:
            # Whoever was just answered may ask for the record before it is stored.
            self._recent[decision.id] = decision

    def find(self, decision_id: str) -> Decision | None:
        """The decision, from the store or from what is on its way to it. Blocking."""
        return self._recent.get(decision_id) or self._store.find(decision_id)

    def close(self, *, within_s: float = 10.0) -> None:
        """Stores what is on its way and ends the thread."""
        deadline = monotonic() + within_s
        self._line.put(None, timeout=within_s)
        self._thread.join(max(0.1, deadline - monotonic()))

    def _live(self) -> None:
        while True:
            first = self._line.get()
            if first is None:
                return
            batch, is_last = self._batch(first)
            self._store_all(batch)
            if is_last:
                return

    def _batch(self, first: Decision) -> tuple[list[Decision], bool]:
        batch = [first]
        while len(batch) < BATCH:
            try:
                each = self._line.get_nowait()
            except queue.Empty:
                return batch, False
            if each is None:
                return batch, True
            batch.append(each)
        return batch, False

    def _store_all(self, batch: Sequence[Decision]) -> None:
        try:
            self._add(batch)
        except HeadraceError as failure:
            self.failure = str(failure)
            self._on_outcome("refused", len(batch))
        # A witness must live whatever a store's driver raises, else the line fills and all is refused.
        except Exception as failure:  # noqa: BLE001
            self.failure = f"{type(failure).__name__}: {failure}"
            self._on_outcome("refused", len(batch))
        else:
            self.failure = ""
            self._on_outcome("stored", len(batch))
        for decision in batch:
            self._recent.pop(decision.id, None)

    def _add(self, batch: Sequence[Decision]) -> None:
        try:
            self._store.add(batch)
        except HeadraceError as failure:
            if not failure.retryable:
                raise
            self._store.add(batch)
