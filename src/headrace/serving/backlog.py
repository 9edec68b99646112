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
    """A decision with its number, whole or encoded.

    Where more is to be kept of the answer, `answered` is there and holds most of what the decision was made of. Others
    wait encoded: what many were made of would take the caches from the answers. From the journal it has no id.
    """

    number: int
    id: str
    kept: Decision | bytes
    answered: Answered | None = None
    weight_bytes: int = 0

    def decision(self) -> Decision:
        """As it was put."""
        kept = self.kept
        if isinstance(kept, bytes):
            decoded: Decision = _decoder.decode(kept)
            return decoded
        return kept


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
        refusal = ""
        with self._changing:
            self._number += 1
            if self._journal is not None:
                try:
                    self._journal.append(content)
                except (HeadraceError, OSError) as failure:
                    self._journal.skip()
                    refusal = str(failure)
            refusal = refusal or self._lined_up(decision, content, answered)
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
    def is_behind(self) -> bool:
        """Whether the journal has some that memory had no room for."""
        return self._is_behind

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to take, in memory or in the journal."""
        return not self._line and not self._is_behind

    def _lined_up(self, decision: Decision, content: bytes, answered: Answered | None) -> str:
        kept: Decision | bytes = content
        weight_bytes = len(content)
        if answered is not None:
            kept, weight_bytes = decision, weight_bytes + answered.question_bytes
        in_all = self._weight_bytes + weight_bytes
        if self._is_behind or in_all > self._bound_bytes or len(self._line) >= self._bound:
            self._is_behind = self._journal is not None
            return "" if self._is_behind else "The line to the store is full."
        self._weight_bytes = in_all
        pending = self._recent[decision.id] = Pending(self._number, decision.id, kept, answered, weight_bytes)
        self._line.append(pending)
        return ""


def pending_of(records: Iterable[Record]) -> list[Pending]:
    """Decisions as a journal has them."""
    return [Pending(record.number, "", record.content) for record in records]
