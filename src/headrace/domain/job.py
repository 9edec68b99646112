"""Job, Attempt, Progress: a question to be answered later, and the legal changes of its state.

Every change is a pure method that returns the next value or raises `IllegalTransition`; clocks are passed in. Moments
are aware UTC datetimes, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from headrace.errors import Conflict

UNSEEN_DEATHS = 3
"""So many times `deaths_allowed` may processes die under a job when nobody saw whether the job was the cause."""


class IllegalTransition(Conflict):
    """The job is in a state that does not allow this change."""

    code: ClassVar[str] = "illegal_transition"


class LeaseLost(Conflict):
    """Another attempt has taken the job over: what this one still says is not heard."""

    code: ClassVar[str] = "lease_lost"


class NotFinished(Conflict):
    """The job has no result yet, or never will have one; the detail says which."""

    code: ClassVar[str] = "not_finished"


class JobState(StrEnum):
    """Where a job stands; the last three are final, though a failed or cancelled job may be sent round again."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """No attempt is running and none will begin by itself."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class AttemptOutcome(StrEnum):
    """How an attempt ended. `LAPSED_INNOCENT`: its process died while other jobs ran in it too."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    LAPSED_INNOCENT = "lapsed_innocent"
    HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt or a job failed; `code` is that of the error tree."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: `number` is the fencing token, `lease_until` the moment at which others may take over.

    `checkpoints` counts what it finished for good: an attempt that got somewhere has not died of the job's beginning.
    """

    number: int
    worker: str
    started_at: datetime
    lease_until: datetime
    isolated: bool = False
    checkpoints: int = 0
    ended_at: datetime | None = None
    outcome: AttemptOutcome | None = None
    error: JobError | None = None


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job has come: `done` of `total` units of `stage`; `fraction` is of the whole and never falls."""

    stage: str = ""
    done: int = 0
    total: int = 0
    fraction: float = 0.0
    eta_s: float | None = None

    def finished(self) -> JobProgress:
        """The progress when the answer is there."""
        return replace(self, fraction=1.0, eta_s=None)

    def advanced(self, *, stage: str, done: int, total: int, fraction: float, elapsed_s: float) -> JobProgress:
        """The progress after a report; a fraction that would fall stays, as after a retry from a checkpoint."""
        fraction = min(1.0, max(self.fraction, fraction))
        eta_s = elapsed_s * (1.0 - fraction) / fraction if 0.0 < fraction < 1.0 and elapsed_s > 0.0 else None
        return JobProgress(stage=stage, done=done, total=total, fraction=fraction, eta_s=eta_s)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job; `id` grows by one with each event of the job, from 1.

    `kind` is "state", "progress" or "release"; `data` is JSON: the state, the progress and the number of the attempt,
    and where another release is to answer from now on, `release` with `from` and `to`.
    """

    id: int
    at: datetime
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class JobResult:
    """The answer of a job that succeeded, as JSON; `digest` names the artifact in which a large one lies."""

    job_id: str
    body: bytes
    digest: str | None
    decision_id: str | None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a failed attempt is followed by another.

    Waits grow by `factor` from `first_wait_s` up to `longest_wait_s`; each is multiplied by a jitter in [0.5, 1.5)
    ("equal jitter", Brooker, Exponential Backoff and Jitter, AWS 2015) that the caller draws.
    `deaths_allowed`: how often a process may die under the job before the job is held to be the cause.
    """

    attempts_allowed: int = 5
    deaths_allowed: int = 5
    first_wait_s: float = 1.0
    factor: float = 2.0
    longest_wait_s: float = 300.0

    def wait_s(self, failures: int, *, jitter: float) -> float:
        """Seconds to wait after the `failures`-th failure (from 1); `jitter` is uniform in [0, 1)."""
        plain = min(self.longest_wait_s, self.first_wait_s * self.factor ** min(failures - 1, 60))
        return plain * (0.5 + jitter)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What the caller said besides the input itself; `webhook_url` is told when the job ends.

    `variant_key` is what a rollout goes by: the same key meets the same release; `tags` name the segments to
    watch it by.
    """

    media_type: str | None = None
    filename: str | None = None
    request_id: str = ""
    trace: str = ""
    variant_key: str = ""
    webhook_url: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A question to be answered later. `input_digest` names the stored input; `attempts` are in order of number.

    `key` is whose it is, for a fair share; `idempotency` is the caller's own name for the request, with its scope.
    """

    id: str
    endpoint: str
    input_digest: str
    release: str
    created_at: datetime
    due_at: datetime
    state: JobState = JobState.QUEUED
    priority: str = "interactive"
    key: str = ""
    request: JobRequest = JobRequest()
    batch_id: str | None = None
    idempotency: str | None = None
    isolated: bool = False
    cancel_requested: bool = False
    forgiven_attempts: int = 0
    attempts: tuple[Attempt, ...] = ()
    progress: JobProgress = JobProgress()
    decision_id: str | None = None
    finished_at: datetime | None = None
    error: JobError | None = None

    def begun(self, worker: str, *, now: datetime, lease_s: float) -> Job:
        """Running under a new attempt whose number is higher than any before."""
        if self.state is not JobState.QUEUED:
            raise IllegalTransition(f"Job {self.id} is {self.state}, and only a queued job can begin.")
        attempt = Attempt(
            number=len(self.attempts) + 1,
            worker=worker,
            started_at=now,
            lease_until=now + timedelta(seconds=lease_s),
            isolated=self.isolated,
        )
        return replace(self, state=JobState.RUNNING, attempts=(*self.attempts, attempt))

    def held(self, number: int, *, now: datetime, lease_s: float) -> Job:
        """The lease of attempt `number` runs on for `lease_s` from `now`."""
        attempt = self._current(number)
        return self._with(replace(attempt, lease_until=now + timedelta(seconds=lease_s)))

    def succeeded(self, number: int, *, decision_id: str | None, now: datetime) -> Job:
        """Answered by attempt `number`."""
        attempt = self._current(number)
        ended = self._with(replace(attempt, ended_at=now, outcome=AttemptOutcome.SUCCEEDED))
        return replace(
            ended,
            state=JobState.SUCCEEDED,
            decision_id=decision_id,
            finished_at=now,
            error=None,
            progress=self.progress.finished(),
        )

    def failed(self, number: int, error: JobError, *, now: datetime, policy: RetryPolicy, jitter: float) -> Job:
        """Queued for another attempt if the error is retryable and the allowance lasts, else failed for good."""
        attempt = self._current(number)
        ended = self._with(replace(attempt, ended_at=now, outcome=AttemptOutcome.FAILED, error=error))
        failures = ended.ended_as(AttemptOutcome.FAILED)
        if self.cancel_requested:
            return replace(ended, state=JobState.CANCELLED, finished_at=now)
        if not error.retryable or failures >= policy.attempts_allowed:
            return replace(ended, state=JobState.FAILED, finished_at=now, error=error)
        wait = timedelta(seconds=policy.wait_s(failures, jitter=jitter))
        return replace(ended, state=JobState.QUEUED, due_at=now + wait)

    def lapsed(self, number: int, *, now: datetime, policy: RetryPolicy, alone: bool, evidence: str = "") -> Job:
        """The process of attempt `number` died or fell silent.

        A job that was `alone` in its process is held to be the cause and dead-lettered after `deaths_allowed` deaths
        since it last got somewhere; one that shared it may be innocent, so its next attempt is isolated and decides.
        `evidence` is how the process ended, where somebody saw it.
        """
        attempt = self._current(number)
        outcome = AttemptOutcome.LAPSED if alone else AttemptOutcome.LAPSED_INNOCENT
        detail = evidence or f"The process of attempt {number} died or fell silent."
        ended = self._with(
            replace(attempt, ended_at=now, outcome=outcome, error=JobError("process_died", detail, retryable=True))
        )
        deaths, proven = ended.deaths_at_one_place()
        if self.cancel_requested:
            return replace(ended, state=JobState.CANCELLED, finished_at=now)
        is_cause = alone and proven + min(1, deaths - proven) >= policy.deaths_allowed
        if is_cause or deaths >= UNSEEN_DEATHS * policy.deaths_allowed:
            verdict = JobError("poison", f"{deaths} processes died under this job: {detail}", retryable=False)
            return replace(ended, state=JobState.FAILED, finished_at=now, error=verdict)
        return replace(ended, state=JobState.QUEUED, due_at=now, isolated=True)

    def handed_back(self, number: int, *, now: datetime, wait_s: float = 0.0) -> Job:
        """Queued again because its worker drains or has no room; costs nothing."""
        attempt = self._current(number)
        ended = self._with(replace(attempt, ended_at=now, outcome=AttemptOutcome.HANDED_BACK))
        if self.cancel_requested:
            return replace(ended, state=JobState.CANCELLED, finished_at=now)
        return replace(ended, state=JobState.QUEUED, due_at=now + timedelta(seconds=wait_s))

    def rebound(self, number: int, release: str) -> Job:
        """Another release answers the whole of it, from attempt `number` on; what the last one finished is no part."""
        self._current(number)
        return replace(self, release=release)

    def progressed(self, number: int, progress: JobProgress) -> Job:
        """Attempt `number` has come as far as `progress` says."""
        self._current(number)
        return replace(self, progress=progress)

    def advanced(self, number: int) -> Job:
        """Attempt `number` has saved a checkpoint."""
        attempt = self._current(number)
        return self._with(replace(attempt, checkpoints=attempt.checkpoints + 1))

    def cancelled(self, *, now: datetime) -> Job:
        """Cancelled at once while queued; while running the wish is noted, and its worker is told."""
        if self.state.is_final:
            raise IllegalTransition(f"Job {self.id} is {self.state} already, and cannot be cancelled.")
        if self.state is JobState.RUNNING:
            return replace(self, cancel_requested=True)
        return replace(self, state=JobState.CANCELLED, cancel_requested=True, finished_at=now)

    def stopped(self, number: int, *, now: datetime) -> Job:
        """Cancelled by its worker, which had been told to."""
        attempt = self._current(number)
        ended = self._with(replace(attempt, ended_at=now, outcome=AttemptOutcome.CANCELLED))
        return replace(ended, state=JobState.CANCELLED, finished_at=now)

    def replayed(self, *, now: datetime, release: str | None = None) -> Job:
        """A failed or cancelled job, queued again with its attempts kept and its allowance fresh.

        `release` answers it this time; without one that of before.
        """
        if self.state not in {JobState.FAILED, JobState.CANCELLED}:
            raise IllegalTransition(f"Job {self.id} is {self.state}; only a failed or cancelled job is replayed.")
        return replace(
            self,
            state=JobState.QUEUED,
            release=release or self.release,
            forgiven_attempts=len(self.attempts),
            due_at=now,
            finished_at=None,
            error=None,
            cancel_requested=False,
            progress=JobProgress(),
        )

    def ended_as(self, *outcomes: AttemptOutcome) -> int:
        """How many attempts of the present allowance ended in one of `outcomes`."""
        counted = self.attempts[self.forgiven_attempts :]
        return sum(1 for each in counted if each.outcome in outcomes)

    def deaths_at_one_place(self) -> tuple[int, int]:
        """How many processes died since the last checkpoint, and of how many the job is known to be the cause.

        The attempt that saved it counts too: it died behind it. Of the others the first alone can speak against the
        job: a machine that is switched off six times has not been switched off by one document.
        """
        deaths = proven = 0
        for attempt in reversed(self.attempts[self.forgiven_attempts :]):
            deaths += attempt.outcome in {AttemptOutcome.LAPSED, AttemptOutcome.LAPSED_INNOCENT}
            proven += attempt.outcome is AttemptOutcome.LAPSED
            if attempt.checkpoints:
                break
        return deaths, proven

    def body(self) -> dict[str, Any]:
        """The job as JSON on the wire; moments are RFC 3339 in UTC."""
        return {
            "id": self.id,
            "state": self.state,
            "endpoint": self.endpoint,
            "priority": self.priority,
            "filename": self.request.filename,
            "batch_id": self.batch_id,
            "release": self.release,
            "progress": asdict(self.progress),
            "attempts": [_attempt_body(attempt) for attempt in self.attempts],
            "decision_id": self.decision_id,
            "created_at": _rfc3339(self.created_at),
            "finished_at": _rfc3339(self.finished_at),
            "error": None if self.error is None else asdict(self.error),
        }

    def _current(self, number: int) -> Attempt:
        lost = lease_lost(self.id, number, state=self.state, newest=len(self.attempts))
        if lost is not None:
            raise lost
        return self.attempts[-1]

    def _with(self, attempt: Attempt) -> Job:
        return replace(self, attempts=(*self.attempts[:-1], attempt))


def lease_lost(job_id: str, number: int, *, state: JobState, newest: int) -> LeaseLost | None:
    """Why attempt `number` may say nothing more; None while it runs and is its job's newest."""
    if state is JobState.RUNNING and newest == number:
        return None
    return LeaseLost(f"Attempt {number} of job {job_id} is no longer its newest: the job is {state}.")


def _attempt_body(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "started_at": _rfc3339(attempt.started_at),
        "ended_at": _rfc3339(attempt.ended_at),
        "outcome": attempt.outcome,
        "error": None if attempt.error is None else asdict(attempt.error),
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
