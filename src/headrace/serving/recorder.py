"""The recorder: every answer is in the journal before it goes out, and in the store soon after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import msgspec

from headrace.domain.decision import Account, Decision, is_fresh, told
from headrace.domain.stores import DecisionStore
from headrace.errors import HeadraceError
from headrace.serving.answered import Answered
from headrace.serving.backlog import Backlog, Pending, pending_of
from headrace.serving.journal import Journal, abandoned_in
from headrace.serving.keeping import Keeping

BATCH = 1024
COMPLETED_FOR_S, LOOK_EVERY = 0.5e-3, 8
LINGER_S = 0.25
SYNC_EVERY_S = 1.0
SETTLING_S = 2.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0
TRIES_WITHOUT_JOURNAL = 2

OnOutcome = Callable[[str, int], None]


class _Completed(msgspec.Struct, frozen=True):
    """What is stored of one that was pending."""

    pending: Pending
    decision: Decision
    attached: str | None


class Recorder:
    """Takes answers in at once and stores their decisions from a thread of its own, in batches.

    With a journal nothing is lost that was answered: what the store does not take waits on the disc, and what a dead
    process left there is stored by the next one. Without, a decision is refused when the store fails twice.
    `on_outcome` is told `("accepted" | "stored" | "refused", count)`, `keeping` says what is kept of an answer.
    """

    def __init__(
        self,
        store: DecisionStore,
        *,
        on_outcome: OnOutcome,
        keeping: Keeping | None = None,
        journal: Journal | None = None,
        bound: int = 10_000,
    ) -> None:
        self._store = store
        self._on_outcome = on_outcome
        self._keeping = keeping or Keeping()
        self._journal = journal
        self._backlog = Backlog(journal, bound=bound)
        self.expect = self._keeping.expect
        self._account = Account("" if journal is None else journal.process)
        self._missing_before = 0
        self._wake, self._closing = Event(), Event()
        self._synced_at = monotonic()
        self.failure = ""
        self._thread = Thread(target=self._live, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, answered: Answered) -> None:
        """Takes an answer in; called before it goes out, from one thread. Never waits for the store."""
        self._on_outcome("accepted", 1)
        decision = self._keeping.at_the_door(answered)
        refusal = self._backlog.put(decision, answered if self._keeping.wants_more(decision, answered) else None)
        if refusal:
            self.failure = refusal
            self._on_outcome("refused", 1)
            if answered.context.attachment is not None:
                answered.context.attachment.discard()
        if not self._wake.is_set():
            self._wake.set()

    @property
    def journal_bytes(self) -> int:
        """What the journal takes up on the disc."""
        return 0 if self._journal is None else self._journal.size_bytes

    @property
    def waiting(self) -> int:
        """How many were taken in and are not settled yet."""
        return len(self._backlog)

    def missing(self) -> int:
        """Decisions that are neither stored, nor refused, nor on their way, of all processes: 0, or some are lost."""
        return self._account.missing + self._missing_before

    def find(self, decision_id: str) -> Decision | None:
        """The decision, from what is on its way to the store or from there. Blocking."""
        pending = self._backlog.find(decision_id)
        if pending is not None:
            completed = told(self._completed(pending).decision)
            if self._backlog.find(decision_id) is not None:
                return completed
            # It was stored meanwhile, and its attachment may have gone before it could be read here.
            return self._store.find(decision_id) or completed
        found = self._store.find(decision_id)
        # Whoever was answered by another process a moment ago may ask here before that one has stored it.
        until = monotonic() + SETTLING_S
        while found is None and is_fresh(decision_id, within_s=SETTLING_S) and monotonic() < until:
            time.sleep(SETTLING_S / 20)
            found = self._store.find(decision_id)
        return found

    def recover(self, folder: Path) -> int:
        """Stores what dead processes left in their journals; how many decisions that were. Blocking."""
        recovered = 0
        for abandoned in abandoned_in(folder):
            through = self._store.account(abandoned.process).through
            left = pending_of(record for record in abandoned.records() if record.number > through)
            for start in range(0, len(left), BATCH):
                batch = left[start : start + BATCH]
                settles = Account(abandoned.process, batch[-1].number, stored=len(batch))
                self._store.add([self._keeping.lost(each.decision()) for each in batch], settles=settles)
                recovered += len(batch)
            abandoned.delete()
        self._missing_before = self._store.missing()
        self._on_outcome("accepted", recovered)
        self._on_outcome("stored", recovered)
        return recovered

    def close(self, *, within_s: float = 10.0) -> None:
        """Stores what is on its way and ends the thread; what the store does not take now stays in the journal."""
        self._closing.set()
        self._wake.set()
        self._thread.join(within_s)
        if self._journal is not None and not self._thread.is_alive():
            self._journal.close(settled=self._account.through)

    def _live(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            # Together they cost less; the journal has them already, so nothing is lost meanwhile.
            self._closing.wait(LINGER_S)
            self._wake.clear()
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while not self._backlog.is_empty:
            batch = self._backlog.take(BATCH)
            if batch and not self._is_settled(self._all_completed(batch)):
                return
            if 0 < len(batch) < BATCH and not self._closing.is_set() and not self._backlog.is_behind:
                # What came meanwhile waits for more: to store a few costs nearly as much as to store many.
                break
        if self._backlog.is_empty and len(self._backlog):
            # What is left was refused at the door, after all that could be stored.
            self._is_settled([])

    def _all_completed(self, batch: list[Pending]) -> list[_Completed]:
        completed, pause_at = [], time.thread_time() + COMPLETED_FOR_S
        for place, each in enumerate(batch):
            completed.append(self._completed(each))
            if place % LOOK_EVERY == 0 and time.thread_time() > pause_at:
                # Lets the event loop have the interpreter: an answer must not wait for somebody else's record.
                time.sleep(0)
                pause_at = time.thread_time() + COMPLETED_FOR_S
        return completed

    def _completed(self, pending: Pending) -> _Completed:
        """Without an id it comes from the journal, where nothing is left but the decision."""
        decision = pending.decision()
        if not pending.id:
            return _Completed(pending, self._keeping.lost(decision), decision.input_blob)
        try:
            completed = self._keeping.completed(decision, pending.answered)
        # The author's explanation and types may raise anything; the record is worth more, and so is whoever makes it.
        except Exception as failure:  # noqa: BLE001
            self.failure = f"{type(failure).__name__}: {failure}"
            completed = self._keeping.lost(decision)
        return _Completed(pending, completed, decision.input_blob)

    def _is_settled(self, batch: list[_Completed]) -> bool:
        """Whether all of `batch` is stored or given up; False when the store is away and the recorder closes."""
        tries = 0
        while True:
            try:
                self._settle(batch, stored=len(batch))
            # A recorder must live whatever a store's driver raises, else the journal fills and all is refused.
            except Exception as failure:  # noqa: BLE001
                tries += 1
                self.failure = str(failure)
                if not (isinstance(failure, HeadraceError) and failure.retryable):
                    return self._is_settled_singly(batch)
                if self._journal is None and tries >= TRIES_WITHOUT_JOURNAL:
                    return self._is_given_up(batch)
                if self._closing.is_set() and self._journal is not None:
                    return False
                self._sync()
                self._closing.wait(min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0**tries))
            else:
                self.failure = ""
                return True

    def _is_settled_singly(self, batch: list[_Completed]) -> bool:
        """One that cannot be stored must not take the others with it."""
        if len(batch) > 1:
            return all(self._is_settled([each]) for each in batch)
        return self._is_given_up(batch)

    def _is_given_up(self, batch: list[_Completed]) -> bool:
        self._on_outcome("refused", len(batch))
        try:
            self._settle(batch, stored=0)
        except Exception as failure:  # noqa: BLE001 - the store failed already; the account in memory holds
            self.failure = str(failure)
            through, refused = self._backlog.settle([each.pending for each in batch])
            self._discard_attachments(batch)
            self._add_up(Account(self._account.process, through, refused=refused + len(batch)))
        return True

    def _settle(self, batch: list[_Completed], *, stored: int) -> None:
        pending = [each.pending for each in batch]
        through, refused = self._backlog.settles(pending)
        settles = Account(self._account.process, through, stored=stored, refused=refused + len(batch) - stored)
        decisions: Sequence[Decision] = [each.decision for each in batch] if stored else ()
        self._store.add(decisions, settles=settles if self._journal is not None else None)
        self._backlog.settle(pending)
        self._discard_attachments(batch)
        self._add_up(settles)
        if stored:
            self._on_outcome("stored", stored)

    def _discard_attachments(self, batch: list[_Completed]) -> None:
        if self._keeping.attachments is None:
            return
        for each in batch:
            if each.attached is not None:
                self._keeping.attachments.discard(each.attached)

    def _add_up(self, settled: Account) -> None:
        self._account = replace(
            self._account,
            through=settled.through,
            stored=self._account.stored + settled.stored,
            refused=self._account.refused + settled.refused,
        )

    def _sync(self) -> None:
        if self._journal is not None and monotonic() - self._synced_at > SYNC_EVERY_S:
            self._synced_at = monotonic()
            self._journal.sync()
