"""Jobs as a machine of states: whatever workers, sweepers, callers and clocks do, and in whatever order."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from headrace.domain.job import AttemptOutcome, Job, JobError, JobProgress, JobState, RetryPolicy
from headrace.domain.stores import JobSubmission, JobSuccess
from headrace.errors import Conflict
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

POLICY = RetryPolicy(attempts_allowed=3, deaths_allowed=3, first_wait_s=1.0)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Jobs(RuleBasedStateMachine):
    """A store under all that may happen to it; `answers` are what attempts were told to be stored."""

    submitted = Bundle("submitted")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = SqlJobs(opened_database("sqlite://"))
        self.now = START
        self.known: dict[str, bytes | None] = {}
        self.fractions: dict[str, float] = {}
        self.seen: dict[str, JobState] = {}

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    def run(self, call):
        return self.runner.run(call)

    @rule(target=submitted, priority=st.sampled_from(["interactive", "batch"]), key=st.sampled_from(["a", "b"]))
    def submit(self, priority, key):
        job = Job(
            f"job_{len(self.known):04}", "p/e", "sha256:0", "sha256:1", self.now, self.now, priority=priority, key=key
        )
        self.run(self.store.add(JobSubmission(job, b"")))
        self.known[job.id] = None
        return job.id

    @rule(limit=st.integers(1, 4))
    def take_and_begin(self, limit):
        tickets = self.run(self.store.issue(["interactive", "batch"], limit=limit, now=self.now, ticket_s=30))
        begun = self.run(self.store.begin([each.job_id for each in tickets], worker="w", now=self.now, lease_s=30))
        assert len({each.job.id for each in begun}) == len(begun)

    @rule(job_id=submitted, back=st.integers(0, 2))
    def succeed(self, job_id, back):
        """An attempt answers; it may be one that was taken over long ago."""
        job = self.run(self.store.find(job_id))
        number = len(job.attempts) - back
        body = f"{job_id} {number}".encode()
        try:
            self.run(self.store.succeed(JobSuccess(job_id, number, body), now=self.now))
        except Conflict:
            return
        assert self.known[job_id] is None, "an answer was stored twice"
        assert back == 0
        self.known[job_id] = body

    @rule(job_id=submitted, retryable=st.booleans())
    def fail(self, job_id, retryable):
        self.change(self.store.fail, job_id, JobError("x", "y", retryable), now=self.now, policy=POLICY, jitter=0.5)

    @rule(job_id=submitted, alone=st.booleans())
    def lapse(self, job_id, alone):
        self.change(self.store.lapse, job_id, now=self.now, policy=POLICY, alone=alone)

    @rule(job_id=submitted)
    def hand_back(self, job_id):
        self.change(self.store.hand_back, job_id, now=self.now)

    @rule(job_id=submitted, fraction=st.floats(0, 1))
    def progress(self, job_id, fraction):
        job = self.run(self.store.find(job_id))
        told = job.progress.advanced(stage="s", done=1, total=2, fraction=fraction, elapsed_s=1.0)
        assert isinstance(told, JobProgress)
        self.change(self.store.progress, job_id, told, now=self.now)

    @rule(job_id=submitted)
    def cancel(self, job_id):
        try:
            self.run(self.store.cancel(job_id, now=self.now))
        except Conflict:
            assert self.run(self.store.find(job_id)).state.is_final

    @rule(job_id=submitted)
    def replay(self, job_id):
        try:
            self.run(self.store.replay(job_id, now=self.now))
        except Conflict:
            return
        self.fractions.pop(job_id, None)

    @rule(seconds=st.integers(-7200, 600))
    def time_goes_on_or_is_set_back(self, seconds):
        self.now += timedelta(seconds=seconds)

    def change(self, change, job_id, *arguments: object, **more: object):
        """What the newest attempt says; refused when it is over."""
        job = self.run(self.store.find(job_id))
        try:
            self.run(change(job_id, len(job.attempts), *arguments, **more))
        except Conflict:
            assert job.state is not JobState.RUNNING

    @invariant()
    def nothing_is_lost_or_answered_twice(self):
        for job_id, body in self.known.items():
            job = self.run(self.store.find(job_id))
            result = self.run(self.store.result(job_id))
            assert (result is not None) == (job.state is JobState.SUCCEEDED) == (body is not None)
            assert result is None or result.body == body
            assert [attempt.number for attempt in job.attempts] == list(range(1, len(job.attempts) + 1))
            assert sum(attempt.outcome is AttemptOutcome.SUCCEEDED for attempt in job.attempts) <= 1
            assert sum(attempt.ended_at is None for attempt in job.attempts) == (job.state is JobState.RUNNING)
            assert job.progress.fraction >= self.fractions.get(job_id, 0.0)
            self.fractions[job_id] = job.progress.fraction

    @invariant()
    def every_queued_job_can_be_found_by_workers_and_no_other(self):
        queued = {job_id for job_id in self.known if self.run(self.store.find(job_id)).state is JobState.QUEUED}
        with self.store._database.reading() as connection:
            rows = connection.exec_driver_sql("SELECT job_id FROM outbox").scalars().all()
        assert sorted(rows) == sorted(queued)


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
