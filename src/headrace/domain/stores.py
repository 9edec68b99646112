"""What every store must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from headrace.domain.decision import Account, Decision
from headrace.domain.job import Job, JobError, JobEvent, JobProgress, JobResult, JobState, RetryPolicy
from headrace.domain.key import ApiKey
from headrace.domain.webhook import Delivery, DeliveryState, Webhook


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of decisions, newest first, without their text and explanation; `next` continues, None at the end."""

    items: tuple[Decision, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many decisions were dropped, and the inputs among the artifacts that no decision names any more."""

    count: int
    blobs: tuple[str, ...] = ()


class DecisionStore(Protocol):
    """Keeps decisions. Blocking: callers on an event loop put it into a thread."""

    def add(self, decisions: Sequence[Decision], *, settles: Account | None = None) -> None:
        """All of them are durable when this returns; one that is there already is left as it is.

        One that is there without a digest of its answer is not complete, and gives way to one that is. `settles` is
        added, in the same moment, to the account of its process: its `through` replaces the one before, `stored` and
        `refused` are added up.
        """
        ...

    def account(self, process: str) -> Account:
        """The account of one process; an empty one where it has none."""
        ...

    def missing(self) -> int:
        """How many decisions of all processes are neither stored nor refused, of those that were settled."""
        ...

    def find(self, decision_id: str) -> Decision | None:
        """The whole decision."""
        ...

    def listed(self, *, cursor: str | None, limit: int) -> Listing:
        """Up to `limit` decisions older than `cursor`."""
        ...

    def forget(self, *, before: datetime, keep: int, keep_bytes: int | None = None) -> Forgotten:
        """Drops what is older than `before`, all but the newest `keep`, and the oldest over `keep_bytes` in all.

        Sizes are those of what the store keeps of each.
        """
        ...

    def close(self) -> None:
        """Gives back all connections; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None is any."""

    state: JobState | None = None
    key: str | None = None
    batch_id: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class JobListing:
    """A page of jobs, newest first; `next` continues, None at the end."""

    items: tuple[Job, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class JobSubmission:
    """A job to be kept. `inline` is its input where it is small; else the input lies in the artifacts by its digest."""

    job: Job
    inline: bytes | None = None


@dataclass(frozen=True, slots=True)
class BegunJob:
    """A job whose newest attempt was just begun, with its input where that is kept inline."""

    job: Job
    inline: bytes | None

    @property
    def number(self) -> int:
        """The fencing token of the attempt."""
        return self.job.attempts[-1].number


@dataclass(frozen=True, slots=True)
class JobSuccess:
    """What attempt `number` of a job found. A large body lies in the artifacts by `digest` and is not repeated here."""

    job_id: str
    number: int
    body: bytes
    digest: str | None = None
    decision: Decision | None = None
    decision_id: str | None = None
    progress: JobProgress | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A part of a job that attempt `number` finished under `release`: a stage, or a page of a long document."""

    job_id: str
    number: int
    release: str
    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """A running attempt as the store has it: `until` changes with every heartbeat."""

    job_id: str
    number: int
    worker: str
    isolated: bool
    until: datetime


@dataclass(frozen=True, slots=True)
class Holds:
    """What a heartbeat brought to light: attempts that lost their lease, and those that are to be cancelled."""

    lost: frozenset[tuple[str, int]]
    cancelled: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A job that was found due, and the line it waits in."""

    job_id: str
    priority: str


@dataclass(frozen=True, slots=True)
class LineFigures:
    """One line of the queue: jobs that are due, with how long the oldest has waited, and jobs with a ticket out."""

    priority: str
    waiting: int
    ticketed: int
    age_s: float


class Listener(Protocol):
    """One who waits to be woken. May be woken for nothing, and, rarely, not at all: look yourself now and then."""

    async def rung(self, *, timeout_s: float) -> bool:
        """True as soon as it was rung for since the last call; False after `timeout_s`."""
        ...


class JobStore(Protocol):
    """The truth about jobs. Each call is one transaction; every one may raise `StoreUnavailable`, and then did nothing.

    Changes follow the rules of `Job` and raise what these raise. Moments are passed in.
    """

    async def add(self, submission: JobSubmission) -> Job:
        """The job, durable when this returns and due for a ticket; the earlier one if its idempotency is known."""
        ...

    async def find(self, job_id: str) -> Job | None:
        """The job with its attempts."""
        ...

    async def find_idempotent(self, idempotency: str) -> Job | None:
        """The job that was submitted under this name."""
        ...

    async def listed(self, which: JobFilter, *, cursor: str | None, limit: int) -> JobListing:
        """Newest first."""
        ...

    async def cancel(self, job_id: str, *, now: datetime) -> Job:
        """As `Job.cancelled`; raises `NotFound`."""
        ...

    async def replay(self, job_id: str, *, now: datetime, release: str | None = None) -> Job:
        """As `Job.replayed`; raises `NotFound`."""
        ...

    async def events(self, job_id: str, *, after: int, limit: int = 1000) -> list[JobEvent]:
        """What happened to the job since event `after` (0: from the beginning), in order."""
        ...

    async def result(self, job_id: str) -> JobResult | None:
        """The answer of a job that succeeded."""
        ...

    async def issue(
        self, priorities: Sequence[str], *, limit: int, now: datetime, ticket_s: float
    ) -> list[IssuedTicket]:
        """Up to `limit` due jobs of the lines in this order, by turn; issued again when not begun after `ticket_s`."""
        ...

    async def give_back(self, job_ids: Sequence[str]) -> None:
        """The tickets of these jobs led to nothing: what has not begun is due at once."""
        ...

    async def issue_again(self, *, older_than_s: float, now: datetime) -> int:
        """Makes due at once what was issued longer ago and has not begun: the broker has lost it."""
        ...

    async def begin(self, job_ids: Sequence[str], *, worker: str, now: datetime, lease_s: float) -> list[BegunJob]:
        """Those of the jobs that are queued, each under a new attempt."""
        ...

    async def hold(self, held: Sequence[tuple[str, int]], *, now: datetime, lease_s: float) -> Holds:
        """The leases of these (job, attempt) run on."""
        ...

    async def rebind(self, job_id: str, number: int, release: str, *, now: datetime) -> Job:
        """As `Job.rebound`, with an event that names both releases; raises `LeaseLost`."""
        ...

    async def progress(self, job_id: str, number: int, progress: JobProgress, *, now: datetime) -> None:
        """Notes how far the attempt has come; raises `LeaseLost`."""
        ...

    async def succeed(self, success: JobSuccess, *, now: datetime) -> None:
        """Result, final progress, decision and webhook deliveries at once; raises `LeaseLost` and stores nothing."""
        ...

    async def fail(
        self, job_id: str, number: int, error: JobError, *, now: datetime, policy: RetryPolicy, jitter: float
    ) -> Job:
        """As `Job.failed`."""
        ...

    async def lapse(
        self, job_id: str, number: int, *, now: datetime, policy: RetryPolicy, alone: bool, evidence: str = ""
    ) -> Job:
        """As `Job.lapsed`."""
        ...

    async def hand_back(self, job_id: str, number: int, *, now: datetime, wait_s: float = 0.0) -> Job:
        """As `Job.handed_back`."""
        ...

    async def stop(self, job_id: str, number: int, *, now: datetime) -> Job:
        """As `Job.stopped`."""
        ...

    async def leases(self) -> list[Lease]:
        """Of all running attempts."""
        ...

    async def save_checkpoint(self, checkpoint: Checkpoint, *, now: datetime) -> None:
        """Keeps a finished part under the input and the release; raises `LeaseLost` when its attempt is over."""
        ...

    async def checkpoints(self, input_digest: str) -> dict[tuple[str, str], bytes]:
        """The finished parts of an input, by release and name."""
        ...

    async def figures(self, *, now: datetime) -> list[LineFigures]:
        """How each line of the queue is."""
        ...

    async def forget(self, *, before: datetime, limit: int = 1000) -> list[str]:
        """Drops up to `limit` jobs that ended before; gives the digests of their inputs and large results."""
        ...

    def listening(self, topic: str) -> AbstractContextManager[Listener]:
        """Hears of changes while inside: `topic` is the id of a job, or "work" for jobs that are due."""
        ...

    async def close(self) -> None:
        """Gives back all connections; safe to call twice."""
        ...


class WebhookStore(Protocol):
    """Webhooks and their deliveries."""

    async def add(self, webhook: Webhook) -> None:
        """Keeps it, or replaces the one with its id."""
        ...

    async def listed(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        ...

    async def remove(self, webhook_id: str) -> bool:
        """Whether there was one."""
        ...

    async def announce(self, event: str, *, subject: str, data: bytes, now: datetime, key: str = "") -> int:
        """A delivery for each webhook that wants this event; how many."""
        ...

    async def due(self, *, now: datetime, limit: int, hold_s: float) -> list[Delivery]:
        """Deliveries to be tried now; nobody else is given them for `hold_s`."""
        ...

    async def save(self, delivery: Delivery) -> None:
        """Keeps how a delivery stands."""
        ...

    async def find(self, delivery_id: str) -> Delivery | None:
        """One delivery."""
        ...

    async def deliveries(
        self, *, webhook_id: str | None, state: DeliveryState | None, cursor: int | None, limit: int
    ) -> list[Delivery]:
        """Newest first; `cursor` is the sequence of the last one seen."""
        ...


class ArtifactStore(Protocol):
    """Blobs by the digest of their content. Blocking: callers on an event loop put it into a thread."""

    def put(self, content: bytes) -> str:
        """Its digest, `sha256:...`; the blob is durable when this returns, and putting it twice is once."""
        ...

    def put_file(self, path: Path) -> str:
        """As `put`, without holding the file in memory."""
        ...

    def get(self, digest: str) -> bytes:
        """The blob; raises `NotFound`, or `UnreadableArtifact` when it is not what its digest says."""
        ...

    def fetch(self, digest: str, target: Path) -> None:
        """Writes the blob to `target`, verified, without holding it in memory; raises as `get`."""
        ...

    def exists(self, digest: str) -> bool:
        """Whether it is there."""
        ...

    def delete(self, digest: str) -> None:
        """Gone when this returns; safe to call twice."""
        ...


class KeyStore(Protocol):
    """Keeps API keys. Blocking: callers on an event loop put it into a thread."""

    def add(self, key: ApiKey) -> None:
        """Durable when this returns."""
        ...

    def find_by_digest(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest, revoked or not."""
        ...

    def listed(self) -> list[ApiKey]:
        """All keys, oldest first."""
        ...

    def revoke(self, key_id: str, *, now: datetime) -> ApiKey | None:
        """The key as it stands then; None when there is none of this id."""
        ...
