"""The backlog: decisions on their way to the store, numbered, in the journal and, while there is room, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from threading import Lock

import msgspec

from headrace.domain.decision import Decision
from headrace.errors import HeadraceError
from headrace.serving.answered import Answered
from headrace.serving.journal import Journal, Record

BOUND = 10_000
BOUND_BYTES = 256 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Decision)


class Pending(msgspec.Struct, frozen=True):
    """A decision with its number, encoded: many wait, and what they were made of would take the caches from the others.

    `answered` is there where more is to be kept of the answer. From the journal it comes without, and without its id.
    """

    number: int
    id: str
    content: bytes
    answered: Answered | None = None
    weight_bytes: int = 0

    def decision(self) -> Decision:
        """As it was put."""
        decision: Decision = _decoder.decode(self.content)
        return decision


class Backlog:
    """Numbers decisions from 1 without a gap. One thread puts, another takes and settles.

    What is over `bound` or `bound_bytes` waits in the journal alone, and is read from there when memory is empty; then
    it has no explanation any more, and an input only if the journal took it along. Without a journal it is refused.
    """

    def __init__(self, journal: Journal | None, *, bound: int = BOUND, bound_bytes: int = BOUND_BYTES) -> None:
        self._journal = journal
        self._bound = bound
        self._bound_bytes = bound_bytes
        self._line: deque[Pending] = deque()
        self._weight_bytes = 0
        self._recent: dict[str, Pending] = {}
        self._refused: deque[int] = deque()
        self._number = 0
        self._through = 0
        self._is_behind = False
        self._changing = Lock()

    def __len__(self) -> int:
        return self._number - self._through

    def put(self, decision: Decision, answered: Answered | None) -> str:
        """Takes a decision in, with its answer where more is to be kept of it; why it was refused, or nothing."""
        content = _encoder.encode(decision)
        with self._changing:
            self._number += 1
            refusal = self._journalled(content) or self._lined_up(decision.id, content, answered)
            if refusal:
                self._refused.append(self._number)
            return refusal

    def find(self, decision_id: str) -> Pending | None:
        """A decision that is in memory: whoever was just answered may ask before it is stored."""
        return self._recent.get(decision_id)

    def take(self, most: int) -> list[Pending]:
        """The next `most` in order of number: those in memory first, then those that the journal alone has."""
        batch: list[Pending] = []
        while self._line and len(batch) < most:
            batch.append(self._line.popleft())
        if batch or not self._is_behind or self._journal is None:
            return batch
        left = list(islice(self._journal.unsettled(self._through), most))
        if left:
            return pending_of(left)
        with self._changing:
            # What was put since the journal was read is seen the next time.
            self._is_behind = self._number - self._through > len(self._refused)
        return []

    def settles(self, batch: list[Pending]) -> tuple[int, int]:
        """What storing `batch` settles: the highest number, and how many below it were refused when they came.

        An empty batch settles those that were refused right after what is settled already.
        """
        with self._changing:
            through = batch[-1].number if batch else self._through
            refused = 0
            for number in self._refused:
                if number > through and (batch or number > through + 1):
                    break
                through, refused = max(through, number), refused + 1
            return through, refused

    def settle(self, batch: list[Pending]) -> tuple[int, int]:
        """`batch` is stored or given up, and is let go of; gives what `settles` gave."""
        through, refused = self.settles(batch)
        with self._changing:
            for _ in range(refused):
                self._refused.popleft()
            self._through = through
            for each in batch:
                self._recent.pop(each.id, None)
                self._weight_bytes -= each.weight_bytes
        if self._journal is not None:
            self._journal.settle(through)
        return through, refused

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to take, in memory or in the journal."""
        return not self._line and not self._is_behind

    def _journalled(self, content: bytes) -> str:
        if self._journal is None:
            return ""
        try:
            self._journal.append(content)
        except (HeadraceError, OSError) as failure:
            self._journal.skip()
            return str(failure)
        return ""

    def _lined_up(self, decision_id: str, content: bytes, answered: Answered | None) -> str:
        weight_bytes = len(content) + (0 if answered is None else answered.question_bytes)
        is_full = len(self._line) >= self._bound or self._weight_bytes + weight_bytes > self._bound_bytes
        if not is_full and not self._is_behind:
            self._weight_bytes += weight_bytes
            pending = self._recent[decision_id] = Pending(self._number, decision_id, content, answered, weight_bytes)
            self._line.append(pending)
            return ""
        if self._journal is None:
            return "The line to the store is full."
        self._is_behind = True
        return ""


def pending_of(records: Iterable[Record]) -> list[Pending]:
    """Decisions as a journal has them."""
    return [Pending(record.number, "", record.content) for record in records]
