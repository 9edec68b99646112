"""The promise of the job store, held against memory, SQLite and Postgres."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from headrace.domain.decision import Decision, new_id
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
from headrace.domain.stores import Checkpoint, Holds, JobFilter, JobSubmission, JobSuccess
from headrace.domain.webhook import DeliveryState, Webhook
from headrace.errors import NotFound
from headrace.storage.decisions import SqlDecisions
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database
from headrace.storage.webhooks import SqlWebhooks

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy()
TRANSIENT = JobError("service_failed", "The model did not answer.", retryable=True)
LASTING = JobError("unreadable", "The file is encrypted.", retryable=False)
DEADLINE_S = 30


@pytest.fixture
def database(store_url):
    database = opened_database(store_url)
    yield database
    database.close()


@pytest.fixture
async def store(database):
    store = SqlJobs(database)
    yield store
    await store.close()


def job(name="", **changes: object):
    defaults = {"endpoint": "p/e", "input_digest": "sha256:0", "release": "sha256:1", "created_at": NOW, "due_at": NOW}
    return Job(**{"id": f"job_{name}" if name else new_id("job"), **defaults, **changes})


async def added(store, *jobs: Job) -> None:
    for each in jobs:
        await store.add(JobSubmission(each, b"input"))


async def begun(store, name: str, *, worker: str = "worker-a", now: datetime = NOW):
    found = await store.begin([f"job_{name}"], worker=worker, now=now, lease_s=30)
    return found[0]


async def issued(store, limit: int, *, priority: str = "interactive", now: datetime = NOW, ticket_s: float = 60):
    return [each.job_id for each in await store.issue([priority], limit=limit, now=now, ticket_s=ticket_s)]


def success(name, number=1, **changes: object):
    return JobSuccess(f"job_{name}", number, b'{"answer": 42}', decision_id=f"dec_{name}", **changes)


async def test_a_job_is_found_as_it_was_submitted(store):
    request = JobRequest(
        media_type="text/plain",
        filename="ä.txt",
        request_id="r",
        trace="t",
        webhook_url="https://x",
        tags={"source": "erp"},
    )
    submitted = job("a", request=request, key="k", batch_id="bat_1", idempotency="k:1", priority="batch")

    await added(store, submitted)

    assert await store.find("job_a") == submitted
    assert await store.find("job_b") is None


async def test_one_name_is_one_job_however_many_ask_at_once(store):
    submissions = [JobSubmission(job(idempotency="key:once"), b"input") for _ in range(20)]

    found = await asyncio.gather(*(store.add(each) for each in submissions))

    assert len({each.id for each in found}) == 1
    assert (await store.find_idempotent("key:once")).id == found[0].id
    assert len((await store.listed(JobFilter(), cursor=None, limit=50)).items) == 1


async def test_a_submission_that_is_repeated_is_one_job(store):
    submitted = job("a")

    await added(store, submitted, submitted)

    assert await issued(store, 10) == ["job_a"]


async def test_many_jobs_that_come_begin_and_end_together_go_each_its_own_way(store):
    names = [f"{number:02}" for number in range(60)]
    jobs = [job(name, idempotency=f"k:{name}" if int(name) % 2 else None) for name in names]
    half = JobProgress("read", 1, 2, fraction=0.5)
    digests = [f"sha256:{name}" if int(name) % 3 else None for name in names[:20]]

    await asyncio.gather(
        *(store.add(JobSubmission(each, name.encode())) for name, each in zip(names, jobs, strict=True))
    )
    begun = await store.begin([each.id for each in jobs], worker="w", now=NOW, lease_s=30)
    holds = await store.hold([(each.id, 1) for each in jobs] + [("job_none", 1)], now=NOW, lease_s=60)
    leases = await store.leases()
    await asyncio.gather(*(store.progress(each.id, 1, half, now=NOW) for each in jobs[:30]))
    await asyncio.gather(
        *(
            store.succeed(success(name, digest=f"sha256:{name}" if int(name) % 3 else None), now=NOW)
            for name in names[:20]
        ),
        *(store.fail(each.id, 1, LASTING, now=NOW, policy=POLICY, jitter=0) for each in jobs[20:40]),
        *(store.hand_back(each.id, 1, now=NOW) for each in jobs[40:]),
    )
    found = [await store.find(each.id) for each in jobs]
    results = [await store.result(each.id) for each in jobs[:20]]

    assert [(each.job.id, each.inline) for each in begun] == [(f"job_{name}", name.encode()) for name in names]
    assert holds == Holds(frozenset({("job_none", 1)}), frozenset())
    assert {lease.until for lease in leases} == {NOW + timedelta(seconds=60)}
    assert [each.state for each in found] == [JobState.SUCCEEDED] * 20 + [JobState.FAILED] * 20 + [JobState.QUEUED] * 20
    assert [each.error for each in found] == [None] * 20 + [LASTING] * 20 + [None] * 20
    assert [each.progress.stage for each in found[20:]] == ["read"] * 10 + [""] * 30
    assert [each.digest for each in results] == digests
    assert {each.attempts[0].outcome for each in found[40:]} == {AttemptOutcome.HANDED_BACK}
    assert {each.attempts[0].lease_until for each in found} == {NOW + timedelta(seconds=60)}
    assert sorted(await issued(store, 99)) == [each.id for each in jobs[40:]]


async def test_what_is_due_is_issued_once_until_its_ticket_is_overdue(store):
    await added(store, job("a"), job("b"))

    first = await issued(store, 10)
    second = await issued(store, 10, now=NOW + timedelta(seconds=59))
    third = await issued(store, 10, now=NOW + timedelta(seconds=61))

    assert (first, second, third) == (["job_a", "job_b"], [], ["job_a", "job_b"])


async def test_a_begun_job_is_issued_no_more(store):
    await added(store, job("a"))
    await begun(store, "a")

    assert await issued(store, 10, now=NOW + timedelta(days=1)) == []


async def test_a_job_that_is_due_later_is_issued_later(store):
    await added(store, job("a", due_at=NOW + timedelta(minutes=1)))

    assert await issued(store, 10) == []
    assert await store.begin(["job_a"], worker="w", now=NOW, lease_s=9) == []
    assert await issued(store, 10, now=NOW + timedelta(minutes=1)) == ["job_a"]


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(store):
    await added(store, job("a", due_at=NOW + timedelta(minutes=1)), job("b"))
    assert await issued(store, 10) == ["job_b"]

    store._outbox._next_clock_check = 0.0

    assert set(await issued(store, 10, now=NOW - timedelta(hours=3))) == {"job_a", "job_b"}


async def test_tickets_that_a_broker_lost_are_issued_again(store):
    await added(store, job("a"), job("b"))
    await issued(store, 10)
    await begun(store, "b")

    count = await store.issue_again(older_than_s=5, now=NOW + timedelta(seconds=6))

    assert count == 1
    assert await issued(store, 10, now=NOW + timedelta(seconds=6)) == ["job_a"]


async def test_a_ticket_that_is_given_back_is_issued_to_others(store):
    await added(store, job("a"), job("b"))
    await issued(store, 10)
    await begun(store, "b")

    await store.give_back(["job_a", "job_b"])

    assert await issued(store, 10) == ["job_a"]


async def test_the_line_that_is_named_first_is_served_first(store):
    await added(store, job("b", priority="batch"), job("i"))

    tickets = await store.issue(["interactive", "batch"], limit=10, now=NOW, ticket_s=60)

    assert [(each.job_id, each.priority) for each in tickets] == [("job_i", "interactive"), ("job_b", "batch")]


async def test_lines_are_apart_and_in_order(store):
    await added(store, *(job(f"b{n}", priority="batch") for n in range(3)), *(job(f"i{n}") for n in range(3)))

    assert await issued(store, 2) == ["job_i0", "job_i1"]
    assert await issued(store, 10, priority="batch") == ["job_b0", "job_b1", "job_b2"]


async def test_a_key_with_thousands_waiting_leaves_its_share_to_others(store):
    await added(store, *(job(f"a{n:02}", key="greedy") for n in range(40)))
    await issued(store, 10)
    for n in range(10):
        await begun(store, f"a{n:02}")

    await added(store, *(job(f"z{n}", key="modest") for n in range(3)))

    assert sum(each.startswith("job_z") for each in await issued(store, 6)) == 3


async def test_of_many_who_begin_a_job_one_does(store):
    await added(store, *(job(f"{n}") for n in range(5)))
    ids = [f"job_{n}" for n in range(5)]

    found = await asyncio.gather(*(store.begin(ids, worker=f"w{n}", now=NOW, lease_s=9) for n in range(8)))

    assert sorted(each.job.id for some in found for each in some) == ids


async def test_a_begun_job_carries_its_input(store):
    await added(store, job("a"))
    await store.add(JobSubmission(job("large"), None))

    assert (await begun(store, "a")).inline == b"input"
    assert (await begun(store, "large")).inline is None


async def test_a_success_stores_result_decision_progress_and_delivery_at_once(store, database):
    await added(store, job("a", request=JobRequest(webhook_url="https://example.org/hook")))
    await begun(store, "a")
    decision = Decision("dec_a", NOW, "p/e", "sha256:1", "champion", "sha256:0", b"{}", 12.0)

    await store.succeed(success("a", decision=decision), now=NOW)

    done = await store.find("job_a")
    assert (done.state, done.progress.fraction, done.decision_id) == (JobState.SUCCEEDED, 1.0, "dec_a")
    assert (await store.result("job_a")).body == b'{"answer": 42}'
    assert SqlDecisions(database).find("dec_a") == decision
    (delivery,) = await SqlWebhooks(database).deliveries(webhook_id=None, state=None, cursor=None, limit=9)
    assert (delivery.type, delivery.subject, delivery.url) == (
        "headrace.job.succeeded",
        "job_a",
        "https://example.org/hook",
    )
    assert delivery.data["state"] == "succeeded"


async def test_an_attempt_that_lost_its_lease_stores_nothing(store, database):
    await added(store, job("a", request=JobRequest(webhook_url="https://example.org/hook")))
    await begun(store, "a")
    await store.lapse("job_a", 1, now=NOW, policy=POLICY, alone=False)
    await begun(store, "a", worker="worker-b")

    with pytest.raises(LeaseLost):
        await store.succeed(success("a", 1), now=NOW)

    assert await store.result("job_a") is None
    assert await SqlWebhooks(database).deliveries(webhook_id=None, state=None, cursor=None, limit=9) == []
    await store.succeed(success("a", 2), now=NOW)
    assert (await store.find("job_a")).state is JobState.SUCCEEDED


async def test_what_is_kept_of_a_run_is_what_the_rules_of_the_domain_make_of_the_job(store):
    later, progress = NOW + timedelta(seconds=3), JobProgress("read", 3, 4, 0.7, 1.0)
    await added(store, job("a"), job("b"))
    await begun(store, "b")
    await store.hand_back("job_b", 1, now=NOW)
    before = [await store.find(each) for each in ("job_a", "job_b")]

    run = await store.begin(["job_b", "job_a"], worker="w", now=later, lease_s=60)
    for each in run:
        found = JobSuccess(each.job.id, each.number, b"{}", decision_id="dec_a", progress=progress)
        await store.succeed(found, now=later)

    expected = [each.begun("w", now=later, lease_s=60) for each in before]
    assert [each.job for each in run] == expected[::-1]
    for each in expected:
        number = each.attempts[-1].number
        done = each.progressed(number, progress).succeeded(number, decision_id="dec_a", now=later)
        assert await store.find(each.id) == done
        told = [json.loads(event.data) for event in await store.events(each.id, after=0)]
        assert [(news["state"], news["attempt"]) for news in told[-2:]] == [("running", number), ("succeeded", number)]
        assert told[-1]["progress"]["fraction"] == 1.0


async def test_of_two_who_answer_one_is_heard(store):
    await added(store, job("a"))
    await begun(store, "a")

    outcomes = await asyncio.gather(*(store.succeed(success("a"), now=NOW) for _ in range(5)), return_exceptions=True)

    assert sum(each is None for each in outcomes) == 1
    assert sum(isinstance(each, LeaseLost) for each in outcomes) == 4


async def test_an_error_of_one_change_leaves_the_others_alone(store):
    await added(store, *(job(f"{n}") for n in range(3)))
    await store.cancel("job_1", now=NOW)

    outcomes = await asyncio.gather(*(store.cancel(f"job_{n}", now=NOW) for n in (0, 1, 2, 7)), return_exceptions=True)

    assert isinstance(outcomes[1], IllegalTransition)
    assert isinstance(outcomes[3], NotFound)
    assert [outcomes[0].state, outcomes[2].state] == [JobState.CANCELLED] * 2


async def test_a_failure_is_tried_again_later_and_a_lasting_one_is_not(store):
    await added(store, job("a"), job("b"))
    await begun(store, "a")
    await begun(store, "b")

    again = await store.fail("job_a", 1, TRANSIENT, now=NOW, policy=POLICY, jitter=0.5)
    dead = await store.fail("job_b", 1, LASTING, now=NOW, policy=POLICY, jitter=0.5)

    assert (again.state, dead.state, dead.error) == (JobState.QUEUED, JobState.FAILED, LASTING)
    assert await issued(store, 10) == []
    assert await issued(store, 10, now=again.due_at) == ["job_a"]


async def test_a_dead_job_is_replayed_with_its_attempts_kept(store):
    await added(store, job("a"))
    await begun(store, "a")
    await store.fail("job_a", 1, LASTING, now=NOW, policy=POLICY, jitter=0)

    await store.replay("job_a", now=NOW)

    assert await issued(store, 10) == ["job_a"]
    assert (await begun(store, "a")).number == 2


async def test_a_cancelled_job_is_never_run_again(store):
    await added(store, job("a"))
    await store.cancel("job_a", now=NOW)

    assert await issued(store, 10) == []
    assert await store.begin(["job_a"], worker="w", now=NOW, lease_s=9) == []


async def test_a_heartbeat_tells_what_is_lost_and_what_is_to_be_cancelled(store):
    await added(store, *(job(name) for name in ("kept", "lost", "unwanted")))
    for name in ("kept", "lost", "unwanted"):
        await begun(store, name)
    await store.lapse("job_lost", 1, now=NOW, policy=POLICY, alone=False)
    await store.cancel("job_unwanted", now=NOW)

    later = NOW + timedelta(seconds=10)
    holds = await store.hold([(f"job_{name}", 1) for name in ("kept", "lost", "unwanted")], now=later, lease_s=30)

    assert (holds.lost, holds.cancelled) == ({("job_lost", 1)}, {("job_unwanted", 1)})
    until = {lease.job_id: lease.until for lease in await store.leases()}
    assert until == {"job_kept": NOW + timedelta(seconds=40), "job_unwanted": NOW + timedelta(seconds=40)}


async def test_a_job_that_is_handed_back_is_due_at_once_and_loses_nothing(store):
    await added(store, job("a"))
    await begun(store, "a")

    await store.hand_back("job_a", 1, now=NOW)

    assert await issued(store, 10) == ["job_a"]
    assert (await store.find("job_a")).attempts[0].outcome is AttemptOutcome.HANDED_BACK


async def test_events_are_numbered_and_resume_where_one_left_off(store):
    await added(store, job("a"))
    await begun(store, "a")
    for done in (1, 2):
        await store.progress("job_a", 1, JobProgress("pages", done, 3, done / 3), now=NOW)
    await store.succeed(success("a"), now=NOW)

    events = await store.events("job_a", after=0)
    rest = await store.events("job_a", after=3)

    assert [(each.id, each.kind) for each in events] == [
        (1, "state"),
        (2, "state"),
        (3, "progress"),
        (4, "progress"),
        (5, "state"),
    ]
    assert rest == events[3:]
    assert json.loads(events[3].data)["progress"]["done"] == 2


async def test_progress_of_an_attempt_that_is_over_is_not_heard(store):
    await added(store, job("a"))
    await begun(store, "a")
    await store.succeed(success("a"), now=NOW)

    with pytest.raises(LeaseLost):
        await store.progress("job_a", 1, JobProgress("pages", 1, 3, 0.3), now=NOW)


async def test_checkpoints_are_found_by_input_and_release(store):
    await added(store, job("a"), job("other", input_digest="sha256:9"))
    await begun(store, "a")

    await store.save_checkpoint(Checkpoint("job_a", 1, "sha256:1", "page 1", b"first"), now=NOW)
    await store.save_checkpoint(Checkpoint("job_a", 1, "sha256:1", "page 1", b"again"), now=NOW)
    await store.save_checkpoint(Checkpoint("job_a", 1, "sha256:2", "page 2", b"newer"), now=NOW)

    assert await store.checkpoints("sha256:0") == {("sha256:1", "page 1"): b"again", ("sha256:2", "page 2"): b"newer"}
    assert await store.checkpoints("sha256:9") == {}
    assert (await store.find("job_a")).attempts[0].checkpoints == 3


async def test_an_attempt_that_is_over_binds_its_job_to_no_release(store):
    await added(store, job("a"))
    await begun(store, "a")

    bound = await store.rebind("job_a", 1, "sha256:2", now=NOW)
    await store.hand_back("job_a", 1, now=NOW)

    with pytest.raises(LeaseLost):
        await store.rebind("job_a", 1, "sha256:3", now=NOW)
    assert bound.release == (await store.find("job_a")).release == "sha256:2"


async def test_checkpoints_go_when_the_answer_is_there(store):
    await added(store, job("a"))
    await begun(store, "a")
    await store.save_checkpoint(Checkpoint("job_a", 1, "sha256:1", "page 1", b"first"), now=NOW)

    await store.succeed(success("a"), now=NOW)

    assert await store.checkpoints("sha256:0") == {}


async def test_a_checkpoint_of_an_attempt_that_is_over_is_refused(store):
    await added(store, job("a"))
    await begun(store, "a")
    await store.lapse("job_a", 1, now=NOW, policy=POLICY, alone=False)

    with pytest.raises(LeaseLost):
        await store.save_checkpoint(Checkpoint("job_a", 1, "sha256:1", "page 1", b"late"), now=NOW)

    assert await store.checkpoints("sha256:0") == {}


async def test_jobs_are_listed_newest_first_page_by_page(store):
    ids = [new_id("job") for _ in range(5)]
    await added(store, *(job(each.removeprefix("job_"), key="k") for each in sorted(ids)), job("zz", key="other"))
    newest = sorted(ids, reverse=True)

    first = await store.listed(JobFilter(key="k"), cursor=None, limit=3)
    second = await store.listed(JobFilter(key="k"), cursor=first.next, limit=3)

    assert [each.id for each in (*first.items, *second.items)] == newest
    assert second.next is None


async def test_jobs_are_listed_by_state(store):
    await added(store, job("a"), job("b"))
    await begun(store, "b")

    found = await store.listed(JobFilter(state=JobState.RUNNING), cursor=None, limit=9)

    assert [each.id for each in found.items] == ["job_b"]


async def test_the_figures_tell_length_and_age_of_each_line(store):
    await added(store, job("a"), job("b"), job("c", priority="batch"), job("d", due_at=NOW + timedelta(hours=1)))
    await issued(store, 1)

    figures = {each.priority: each for each in await store.figures(now=NOW + timedelta(seconds=20))}

    assert (figures["interactive"].waiting, figures["interactive"].ticketed, figures["interactive"].age_s) == (1, 1, 20)
    assert (figures["batch"].waiting, figures["batch"].ticketed) == (1, 0)


async def test_what_ended_long_ago_is_forgotten_and_its_blobs_are_named(store):
    await added(store, job("old", input_digest="sha256:8"), job("new"), job("waiting"))
    for name in ("old", "new"):
        await begun(store, name)
    await store.succeed(success("old", digest="sha256:7"), now=NOW - timedelta(days=9))
    await store.succeed(success("new"), now=NOW)

    digests = await store.forget(before=NOW - timedelta(days=7))

    assert digests == ["sha256:7", "sha256:8"]
    assert await store.find("job_old") is None
    assert await store.events("job_old", after=0) == []
    assert await store.find("job_new") is not None


async def test_who_listens_to_a_job_is_woken_by_its_changes(store):
    await added(store, job("a"))
    with store.listening("job_a") as listener:
        await begun(store, "a")

        assert await listener.rung(timeout_s=DEADLINE_S)


async def test_who_listens_for_work_is_woken_by_a_submission_of_another_process(store_url, store):
    if store_url == "sqlite://":
        pytest.skip("Nobody else sees what one process holds in memory.")
    other = SqlJobs(opened_database(store_url))

    async def submitted() -> None:
        # The same one again would be no news.
        await other.add(JobSubmission(job(), b"input"))

    with store.listening("work") as listener:
        await first_ring_heard(listener, submitted)
    await other.close()


async def first_ring_heard(listener, act) -> None:
    """Repeats `act` until it is heard: a listener on a server needs a moment to be heard of."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await act()
            if await listener.rung(timeout_s=0.5):
                return


async def test_a_webhook_hears_of_the_events_that_it_wants(store, database):
    webhooks = SqlWebhooks(database)
    await webhooks.add(Webhook("whk_1", "https://a.example", NOW, events=("headrace.job.failed",)))
    await webhooks.add(Webhook("whk_2", "https://b.example", NOW, key="stranger"))
    await webhooks.add(Webhook("whk_3", "https://c.example", NOW))
    await added(store, job("a", key="mine"))
    await begun(store, "a")

    await store.succeed(success("a"), now=NOW)

    due = await webhooks.due(now=NOW, limit=9, hold_s=60)
    assert [each.webhook_id for each in due] == ["whk_3"]
    assert await webhooks.due(now=NOW, limit=9, hold_s=60) == []
    assert (await webhooks.find(due[0].id)).state is DeliveryState.WAITING


async def test_what_is_committed_is_there_after_the_store_was_opened_again(store_url, store):
    if store_url == "sqlite://":
        pytest.skip("What is held in memory ends with its process.")
    await added(store, job("a"))
    await begun(store, "a")
    await store.succeed(success("a"), now=NOW)
    await store.close()

    again = SqlJobs(opened_database(store_url))
    try:
        assert (await again.find("job_a")).state is JobState.SUCCEEDED
        assert (await again.result("job_a")).body == b'{"answer": 42}'
    finally:
        await again.close()


async def test_a_ring_that_fails_costs_nobody_a_change(store, monkeypatch):
    def broken() -> None:
        raise FileNotFoundError("The folder of bells was taken away.")

    if not hasattr(store._bell, "_neighbours"):
        pytest.skip("Only bells of one machine lie in a folder.")
    monkeypatch.setattr(store._bell, "_neighbours", broken)

    await added(store, job("a"))

    assert (await store.find("job_a")).state is JobState.QUEUED
