"""What a call carries with it: deadline, key, priority, trace, progress, and what was degraded on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import ContextVar
from enum import StrEnum
from time import monotonic
from typing import Protocol

import msgspec

from headrace.errors import DeadlineExceeded
from headrace.serving.attachments import Attachment
from headrace.serving.shared_work import SharedWork


class Priority(StrEnum):
    """Who goes first."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
    SHADOW = "shadow"


class Degraded(msgspec.Struct, frozen=True):
    """A service that did not answer in its best way: why, and what answered instead."""

    service: str
    reason: str
    used: str


class Tokens(msgspec.Struct, frozen=True):
    """What a service had a language model read and write for a question, as the model's host counted them."""

    service: str
    prompt: int
    completion: int


class Progress(msgspec.Struct, frozen=True):
    """How far a call has come: `done` of `total` units (pages, chunks) of `stage`."""

    stage: str
    done: int
    total: int


class ServiceCall(msgspec.Struct, frozen=True):
    """One call to a service and what it took, in milliseconds; `model` is the digest of the version that answered.

    `is_shared`: the answer had been computed for the same question under another release.
    `ended_at`, on the clock of `time.monotonic`, is 0 for calls of which no spans are made.
    """

    service: str
    method: str
    queued_ms: float
    compute_ms: float
    batch_size: int
    model: str | None
    is_shared: bool = False
    ended_at: float = 0.0


class Checkpoints(Protocol):
    """What earlier attempts of the same job have finished, by release and name. May be used from any thread."""

    def find(self, release: str, name: str) -> bytes | None:
        """The part, if it was finished."""
        ...

    def found(self, release: str, prefix: str) -> Mapping[str, bytes]:
        """All finished parts whose names begin so."""
        ...

    def save(self, release: str, name: str, value: bytes) -> None:
        """Keeps a finished part; returns at once."""
        ...


def _ignore(_: Progress) -> None:
    return None


class Context(msgspec.Struct):
    """One call's luggage. `deadline` is on the clock of `time.monotonic`, in seconds; None is no deadline.

    `checkpoints` is there when the call is an attempt at a job.
    `release` is what answers all of it, fixed at the door. `work` is there when other releases answer it too.
    `trace_parent` is its place in a trace that is recorded, as W3C Trace Context writes it; empty where none is.
    `attachment` is there when the question is large and kept.
    `tags` say where it comes from, `source` and the like. `is_released`: an operator let it out of quarantine.
    `retraced` is what was degraded in an answer that is given again: its services answer in the same ways.
    """

    deadline: float | None = None
    key: str = ""
    priority: Priority = Priority.INTERACTIVE
    trace_id: str = ""
    trace_parent: str = ""
    request_id: str = ""
    input_digest: str = ""
    release: str = ""
    work: SharedWork | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    is_released: bool = False
    progress: Callable[[Progress], None] = _ignore
    checkpoints: Checkpoints | None = None
    degraded: list[Degraded] = msgspec.field(default_factory=list)
    calls: list[ServiceCall] = msgspec.field(default_factory=list)
    spent: list[Tokens] = msgspec.field(default_factory=list)
    attachment: Attachment | None = None
    retraced: list[Degraded] | None = None

    @property
    def members(self) -> tuple[Context, ...]:
        """The contexts of all questions that are answered together, in their order; of one question its own."""
        return (self,)

    def remaining_s(self) -> float | None:
        """Seconds left of the caller's budget, never below 0; None when there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    def is_over(self) -> bool:
        """Whether nothing is left of the budget."""
        return self.deadline is not None and monotonic() >= self.deadline

    def check(self) -> None:
        """Raises `DeadlineExceeded` when nothing is left of the budget."""
        if self.is_over():
            raise DeadlineExceeded("The caller's time budget is spent.", remedy="Give more time or send less.")

    def report_degraded(self, service: str, *, reason: str, used: str) -> None:
        """Says that `service` answered by `used` instead of its best way, because of `reason`."""
        self.degraded.append(Degraded(service=service, reason=reason, used=used))

    def report_tokens(self, service: str, *, prompt: int, completion: int) -> None:
        """Says what `service` had a language model read and write; it counts although the answer may be of no use.

        In a batch it is told to the one of `members` whose question it was for.
        """
        self.spent.append(Tokens(service, prompt, completion))


_current: ContextVar[Context] = ContextVar("headrace_context")


def current_context() -> Context:
    """The context of the call that is being answered; a fresh one outside any call, where nobody listens."""
    return _current.get(None) or Context()


class within:  # noqa: N801 - used as the function that it would be, were a generator not slower
    """Makes `context` the current one for what runs inside."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Context:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def place_in(variables: Variables, context: Context) -> None:
    """Makes `context` the current one for all that will run within `variables`."""
    variables.run(_current.set, context)


def shared_by(contexts: Sequence[Context]) -> Context:
    """One context for calls that are answered together: the nearest deadline, and what is degraded is told to all."""
    if len(contexts) == 1:
        return contexts[0]
    deadlines = [context.deadline for context in contexts if context.deadline is not None]
    return SharedContext(deadline=min(deadlines, default=None), sharing=tuple(contexts))


class SharedContext(Context):
    """The context of a batch; `members` has those of its questions, for a service that tells them apart."""

    sharing: tuple[Context, ...] = ()

    @property
    def members(self) -> tuple[Context, ...]:
        """The contexts of all questions, in their order."""
        return self.sharing

    def report_degraded(self, service: str, *, reason: str, used: str) -> None:
        """Told to every member."""
        for member in self.sharing:
            member.report_degraded(service, reason=reason, used=used)


def report_progress(stage: str, done: int, total: int) -> None:
    """Tells the caller how far this call has come; cheap, may be called for every page."""
    current_context().progress(Progress(stage=stage, done=done, total=total))
