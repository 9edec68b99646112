"""Decision and Step: what was answered, by which versions, and how long each part took."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from headrace.domain.columns import as_json


class Step(msgspec.Struct, frozen=True):
    """One call to a service within a decision; times in milliseconds, `model` the digest that answered.

    `is_cached`: nothing was computed, the answer was there from the same question under another release.
    Tokens are what a language model read and wrote for it, as its host counted them; 0 where there was none.
    """

    service: str
    method: str
    queued_ms: float
    compute_ms: float
    batch_size: int = 1
    model: str | None = None
    is_cached: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


class DegradedStep(msgspec.Struct, frozen=True):
    """A service that did not answer in its best way: why, and what answered instead."""

    service: str
    reason: str
    used: str


class Decision(msgspec.Struct, frozen=True):
    """One answered question. `body` and `explanation` are JSON as sent; offsets in them count characters of `text`.

    On its way to a store the explanation may be in columns: see `told`. It is empty where it went with its process.

    `answer_digest` is of the part of `body` that the same question to the same release gives again, byte for byte:
    all but ids and timings. `input` is the question as it was encoded, or `input_blob` the digest under which it lies
    with the artifacts; both are None where inputs are not kept.
    """

    id: str
    created_at: datetime
    endpoint: str
    release: str
    variant: str
    input_digest: str
    body: bytes
    duration_ms: float
    steps: tuple[Step, ...] = ()
    degraded: tuple[DegradedStep, ...] = ()
    text: str | None = None
    explanation: bytes | None = None
    confidence: float | None = None
    request_id: str = ""
    trace_id: str = ""
    answer_digest: str = ""
    input: bytes | None = None
    input_blob: str | None = None

    @property
    def sureness(self) -> float | None:
        """The confidence where it is one, from 0 to 1; NaN, infinity and what else an author may say is none."""
        return self.confidence if self.confidence is not None and 0 <= self.confidence <= 1 else None


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the decisions that one process took in, which it numbers from 1 without a gap.

    `through` is the highest number that was settled: up to it each decision is `stored` or `refused`, so `missing`
    is 0 unless one was lost.
    """

    process: str
    through: int = 0
    stored: int = 0
    refused: int = 0

    @property
    def missing(self) -> int:
        """How many are neither stored nor refused."""
        return self.through - self.stored - self.refused


def told(decision: Decision) -> Decision:
    """The decision with its explanation as JSON, in whichever form it was kept."""
    kept = decision.explanation
    if not kept or (explanation := as_json(kept, decision.text)) is kept:
        return decision
    return replace(decision, explanation=explanation)


def answer_part(body: bytes) -> bytes:
    """What a replay gives again byte for byte: `body` without its ids and its timings, as a JSON object.

    Endpoints write ids first and timings last, and within strings of JSON no quote stands without a backslash.
    """
    return b"{%b}" % body[body.index(b'"degraded":') : body.rindex(b',"timings_ms":')]


class _Entropy:
    """Random numbers of the operating system, fetched many at a time: a system call for each takes longer than a model.

    A forked process starts with none, so that two never share them.
    """

    def __init__(self) -> None:
        self._left: list[int] = []
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> int:
        """64 random bits, given to nobody else: a list gives each of its items to one thread."""
        while True:
            try:
                return self._left.pop()
            except IndexError:
                self._left.extend(struct.unpack(f"<{_FETCHED}Q", os.urandom(8 * _FETCHED)))

    def _forget(self) -> None:
        self._left = []


_FETCHED = 256
_entropy = _Entropy()


def new_id(prefix: str) -> str:
    """A fresh id, `prefix_` and a UUIDv7 (RFC 9562): sorted by time, unguessable in its last 62 bits.

    Twelve bits hold the quarter of a microsecond (its method 3), so ids made one after the other in a process are in
    order.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = _entropy.take() >> 2
    digits = f"{milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random:032x}"
    return f"{prefix}_{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_id(prefix: str, since: datetime) -> str:
    """What sorts right before every id that was made at `since` or later."""
    digits = f"{int(since.timestamp() * 1000):012x}"
    return f"{prefix}_{digits[:8]}-{digits[8:]}"


def is_fresh(fresh_id: str, *, within_s: float) -> bool:
    """Whether an id was made within the last `within_s` seconds, by the time that it tells; False where it is none."""
    _, _, digits = fresh_id.partition("_")
    try:
        made_ms = UUID(digits).int >> 80
    except ValueError:
        return False
    return 0 <= time.time_ns() // 1_000_000 - made_ms <= within_s * 1000
