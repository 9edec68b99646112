"""The legal changes of a job, and the illegal ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from headrace.domain.job import (
    AttemptOutcome,
    IllegalTransition,
    Job,
    JobError,
    JobProgress,
    JobRequest,
    JobState,
    LeaseLost,
    RetryPolicy,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy(attempts_allowed=3, deaths_allowed=5)
TRANSIENT = JobError("service_failed", "The model did not answer.", retryable=True)
LASTING = JobError("unreadable", "The file is encrypted.", retryable=False)


def queued() -> Job:
    return Job(id="job_1", endpoint="p/e", input_digest="sha256:0", release="sha256:1", created_at=NOON, due_at=NOON)


def running() -> Job:
    return queued().begun("worker-a", now=NOON, lease_s=30)


def test_a_begun_job_runs_under_a_lease_with_a_number():
    job = running()

    assert job.state is JobState.RUNNING
    assert job.attempts[-1].number == 1
    assert job.attempts[-1].lease_until == NOON + timedelta(seconds=30)


def test_a_running_job_cannot_begin_again():
    with pytest.raises(IllegalTransition, match="job_1 is running"):
        running().begun("worker-b", now=NOON, lease_s=30)


def test_an_older_attempt_is_not_heard():
    job = running().lapsed(1, now=NOON, policy=POLICY, alone=False).begun("worker-b", now=NOON, lease_s=30)

    with pytest.raises(LeaseLost):
        job.succeeded(1, decision_id="dec_1", now=NOON)
    assert job.succeeded(2, decision_id="dec_2", now=NOON).decision_id == "dec_2"


def test_a_retryable_failure_is_tried_again_later():
    job = running().failed(1, TRANSIENT, now=NOON, policy=POLICY, jitter=0.5)

    assert job.state is JobState.QUEUED
    assert job.due_at == NOON + timedelta(seconds=1)


def test_a_lasting_failure_is_final_at_once():
    job = running().failed(1, LASTING, now=NOON, policy=POLICY, jitter=0.5)

    assert (job.state, job.error) == (JobState.FAILED, LASTING)


def test_the_allowance_of_attempts_ends():
    job = queued()
    for number in (1, 2, 3):
        job = job.begun("worker-a", now=NOON, lease_s=30).failed(number, TRANSIENT, now=NOON, policy=POLICY, jitter=0)

    assert job.state is JobState.FAILED


def test_a_job_that_shared_a_dead_process_is_rerun_alone_and_may_still_succeed():
    job = running().lapsed(1, now=NOON, policy=POLICY, alone=False)

    assert (job.state, job.isolated, job.attempts[0].outcome) == (
        JobState.QUEUED,
        True,
        AttemptOutcome.LAPSED_INNOCENT,
    )
    assert job.begun("w", now=NOON, lease_s=9).succeeded(2, decision_id=None, now=NOON).state is JobState.SUCCEEDED


def test_a_poison_job_runs_five_times_and_no_more():
    job = running().lapsed(1, now=NOON, policy=POLICY, alone=False)
    runs = 1
    while job.state is JobState.QUEUED:
        runs += 1
        job = job.begun("w", now=NOON, lease_s=9).lapsed(runs, now=NOON, policy=POLICY, alone=True)

    assert runs == 5
    assert job.error is not None
    assert job.error.code == "poison"


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_by_its_worker():
    assert queued().cancelled(now=NOON).state is JobState.CANCELLED
    told = running().cancelled(now=NOON)
    assert (told.state, told.cancel_requested) == (JobState.RUNNING, True)
    assert told.stopped(1, now=NOON).state is JobState.CANCELLED


def test_a_cancelled_job_is_never_queued_again_by_a_failure():
    told = running().cancelled(now=NOON)

    assert told.failed(1, TRANSIENT, now=NOON, policy=POLICY, jitter=0).state is JobState.CANCELLED
    assert told.lapsed(1, now=NOON, policy=POLICY, alone=True).state is JobState.CANCELLED
    assert told.handed_back(1, now=NOON).state is JobState.CANCELLED


def test_a_finished_job_cannot_be_cancelled():
    with pytest.raises(IllegalTransition, match="succeeded already"):
        running().succeeded(1, decision_id=None, now=NOON).cancelled(now=NOON)


def test_a_replayed_job_keeps_its_history_and_has_a_fresh_allowance():
    dead = running().failed(1, LASTING, now=NOON, policy=POLICY, jitter=0)
    again = dead.replayed(now=NOON).begun("w", now=NOON, lease_s=9)

    assert again.attempts[0].error == LASTING
    assert again.failed(2, TRANSIENT, now=NOON, policy=POLICY, jitter=0).state is JobState.QUEUED


def test_waits_grow_and_are_bounded():
    waits = [replace(POLICY, longest_wait_s=60).wait_s(failures, jitter=0.5) for failures in range(1, 10)]

    assert waits == sorted(waits)
    assert waits[-1] == 60


def test_progress_never_falls():
    far = JobProgress().advanced(stage="extract", done=8, total=10, fraction=0.4, elapsed_s=4)
    again = far.advanced(stage="extract", done=1, total=10, fraction=0.05, elapsed_s=5)

    assert (far.fraction, far.eta_s) == (0.4, pytest.approx(6.0))
    assert again.fraction == 0.4


def test_a_request_that_was_stored_before_there_were_tags_is_read():
    stored = (
        b'{"media_type":"text/plain","filename":null,"request_id":"r","trace":"","variant_key":"","webhook_url":null}'
    )

    assert msgspec.json.decode(stored, type=JobRequest) == JobRequest(media_type="text/plain", request_id="r")
