"""Jobs by HTTP: answer now or later is one call, progress is followed without loss, and names make calls safe."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from httpx_sse import aconnect_sse
from served import served

from headrace.assembly import record_of
from headrace.assembly.worker import work
from headrace.domain.job import AttemptOutcome, JobError, JobProgress, JobState, RetryPolicy
from headrace.domain.stores import JobSuccess
from headrace.gateway.jobs import result_response
from headrace.jobs.job_queue import Question

LATER = {"Prefer": "respond-async"}
DEADLINE_S = 30


@pytest.fixture
async def mill(tmp_path):
    overrides = {"webhooks.allowed_hosts": ["receiver.example"], "jobs.lease_s": 1.0}
    async with served(tmp_path, overrides=overrides) as it:
        yield it


@pytest.fixture
async def strict_mill(tmp_path):
    async with served(tmp_path, overrides={"jobs.release_gone": "fail"}) as it:
        yield it


def now():
    return datetime.now(UTC) + timedelta(seconds=1)


async def begun(mill, job_id):
    (each,) = await mill.running.jobs.store.begin([job_id], worker="w", now=now(), lease_s=30)
    return each.number


async def succeeded(mill, job_id, body=b'{"output":"wheat"}'):
    number = await begun(mill, job_id)
    await mill.running.jobs.store.succeed(JobSuccess(job_id, number, body), now=now())


async def later(mill, **headers: str):
    response = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=LATER | headers)
    assert response.status_code == 202, response.text
    return response


async def test_who_prefers_an_answer_later_gets_a_job_at_once(mill):
    response = await later(mill)

    job = response.json()
    assert job["state"] == "queued"
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert response.headers["preference-applied"] == "respond-async"
    assert (await mill.client.get(response.headers["location"])).json()["id"] == job["id"]


async def test_who_waits_gets_the_answer_when_it_comes_in_time(mill):
    call = asyncio.create_task(
        mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Prefer": "wait=30"})
    )
    job_id = await the_queued_job(mill)
    await succeeded(mill, job_id)

    response = await call

    assert response.status_code == 200
    assert response.json() == {"output": "wheat"}
    assert response.headers["preference-applied"] == "wait=30"


def test_the_answer_of_a_job_tells_its_times_as_any_other_does():
    body = b'{"output":1,"timings_ms":{"queued":1.0,"grind":2.04,"total":3.5}}'

    response = result_response(SimpleNamespace(release="sha256:1"), SimpleNamespace(decision_id="dec_1", body=body))

    assert dict(response.headers) == {
        "x-headrace-release": "sha256:1",
        "x-headrace-decision": "dec_1",
        "server-timing": "grind;dur=2.0, total;dur=3.5",
    }


async def test_who_waits_in_vain_gets_the_job_that_goes_on(mill):
    response = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Prefer": "wait=0"})

    assert response.status_code == 202
    assert response.json()["state"] == "queued"


async def the_queued_job(mill):
    async with asyncio.timeout(30):
        while True:
            found = (await mill.client.get("/v1/jobs?state=queued")).json()["items"]
            if found:
                return found[0]["id"]
            await asyncio.sleep(0.01)


async def test_the_same_name_and_question_are_the_same_job(mill):
    first = await later(mill, **{"Idempotency-Key": "order-7"})
    second = await later(mill, **{"Idempotency-Key": "order-7"})

    assert first.json()["id"] == second.json()["id"]


async def test_twenty_calls_with_one_name_at_once_make_one_job(mill):
    found = await asyncio.gather(*(later(mill, **{"Idempotency-Key": "order-8"}) for _ in range(20)))

    assert len({response.json()["id"] for response in found}) == 1


async def test_the_same_name_for_another_question_is_refused(mill):
    await later(mill, **{"Idempotency-Key": "order-7"})

    response = await mill.client.post(
        "/v1/mill/grind", json={"corn": "rye"}, headers=LATER | {"Idempotency-Key": "order-7"}
    )

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_mismatch"


async def test_a_name_that_is_being_answered_is_a_conflict_for_who_wants_the_answer_now(mill):
    job = (await later(mill, **{"Idempotency-Key": "order-7"})).json()

    response = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Idempotency-Key": "order-7"})

    assert response.status_code == 409
    assert response.json()["job_id"] == job["id"]


async def test_a_name_that_was_answered_gives_the_answer_again(mill):
    job = (await later(mill, **{"Idempotency-Key": "order-7"})).json()
    await succeeded(mill, job["id"], b'{"output":"flour"}')

    again = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Idempotency-Key": "order-7"})

    assert again.json() == {"output": "flour"}


async def test_a_job_that_failed_raises_what_it_failed_with_for_who_waits(mill):
    job = (await later(mill, **{"Idempotency-Key": "order-7"})).json()
    number = await begun(mill, job["id"])
    error = JobError("unreadable", "The corn is stones.", retryable=False)
    await mill.running.jobs.store.fail(job["id"], number, error, now=now(), policy=RetryPolicy(), jitter=0.5)

    again = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Idempotency-Key": "order-7"})

    assert again.status_code == 422
    assert again.json()["detail"] == "The corn is stones."


async def test_the_answer_of_a_job_is_a_conflict_until_it_is_there(mill):
    job = (await later(mill)).json()
    early = await mill.client.get(f"/v1/jobs/{job['id']}/result")
    await succeeded(mill, job["id"])
    result = await mill.client.get(f"/v1/jobs/{job['id']}/result")

    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    assert result.json() == {"output": "wheat"}


async def test_a_job_is_cancelled_once_and_may_be_run_again(mill):
    job = (await later(mill)).json()

    cancelled = await mill.client.delete(f"/v1/jobs/{job['id']}")
    twice = await mill.client.delete(f"/v1/jobs/{job['id']}")
    again = await mill.client.post(f"/v1/jobs/{job['id']}/retry")

    assert cancelled.json()["state"] == "cancelled"
    assert twice.status_code == 409
    assert again.json()["state"] == "queued"


async def test_jobs_nobody_knows_are_not_found(mill):
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/events"), ("GET", "/result")]:
        response = await mill.client.request(method, f"/v1/jobs/job_unknown{path}")

        assert response.status_code == 404, (method, path)


async def test_pages_of_jobs_leave_nothing_out(mill):
    made = {(await later(mill)).json()["id"] for _ in range(5)}

    seen, cursor = [], ""
    while cursor is not None:
        page = (await mill.client.get("/v1/jobs", params={"limit": 2, "cursor": cursor})).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next"]

    assert seen == sorted(made, reverse=True)


async def followed(mill, job_id, *, last=None):
    headers = {} if last is None else {"Last-Event-ID": last}
    async with aconnect_sse(mill.client, "GET", f"/v1/jobs/{job_id}/events", headers=headers) as source:
        return [(each.id, each.event, json.loads(each.data)) async for each in source.aiter_sse()]


async def test_a_job_is_followed_to_its_end_and_from_the_middle_without_loss(mill):
    job_id = (await later(mill)).json()["id"]
    following = asyncio.create_task(followed(mill, job_id))
    number = await begun(mill, job_id)
    for done in range(1, 4):
        progress = JobProgress("pages", done, 3, done / 3)
        await mill.running.jobs.store.progress(job_id, number, progress, now=now())
    await mill.running.jobs.store.succeed(JobSuccess(job_id, number, b"{}"), now=now())

    async with asyncio.timeout(30):
        events = await following
        rest = await followed(mill, job_id, last=events[2][0])

    assert [int(each[0]) for each in events] == list(range(1, len(events) + 1))
    assert [each[2]["progress"]["done"] for each in events if each[1] == "progress"] == [1, 2, 3]
    assert events[-1][2]["state"] == "succeeded"
    assert rest == events[3:]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "ftp://example.org", "http://[::1]:8000/", "https://a:b@c.example"]
)
async def test_an_address_that_must_not_be_told_is_refused(mill, url):
    registered = await mill.client.post("/v1/webhooks", json={"url": url})
    named = await mill.client.post("/v1/mill/grind", json={"corn": "x"}, headers=LATER | {"X-Headrace-Webhook": url})

    assert registered.status_code == named.status_code == 422
    assert registered.json()["code"] == "refused_address"


async def test_a_webhook_is_made_listed_rotated_and_removed(mill):
    made = (await mill.client.post("/v1/webhooks", json={"url": "https://example.org/h"})).json()
    rotated = (await mill.client.post(f"/v1/webhooks/{made['id']}/rotate")).json()
    listed = (await mill.client.get("/v1/webhooks")).json()["items"]
    removed = await mill.client.delete(f"/v1/webhooks/{made['id']}")

    assert made["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert "secret" not in listed[0]
    assert removed.status_code == 204
    assert (await mill.client.get("/v1/webhooks")).json()["items"] == []


async def test_an_event_nobody_knows_is_refused_with_the_nearest(mill):
    wish = {"url": "https://example.org/h", "events": ["headrace.job.success"]}

    response = await mill.client.post("/v1/webhooks", json=wish)

    assert response.status_code == 422
    assert "headrace.job.succeeded" in response.json()["detail"]


async def test_the_end_of_a_job_waits_to_be_delivered_to_the_address_it_named(mill):
    url = "http://receiver.example/hook"
    job = (await later(mill, **{"X-Headrace-Webhook": url})).json()
    await succeeded(mill, job["id"])

    page = (await mill.client.get("/v1/webhooks/deliveries")).json()

    (delivery,) = page["items"]
    assert (delivery["url"], delivery["type"], delivery["subject"]) == (url, "headrace.job.succeeded", job["id"])
    again = await mill.client.post(f"/v1/webhooks/deliveries/{delivery['id']}/resend")
    assert again.json()["state"] == "waiting"


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["mill/measure", "batches"])
async def test_an_upload_that_is_cut_short_becomes_no_job(mill, path, framing):
    host, _, port = mill.url.removeprefix("http://").partition(":")
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nPrefer: respond-async\r\n{framing}\r\n\r\n"
    body = b"wheat" if "Length" in framing else b"5\r\nwheat\r\n"

    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    async with asyncio.timeout(DEADLINE_S):
        while not counted(await mill.client.get("/metrics"), path):
            await asyncio.sleep(0.01)

    assert (await mill.client.get("/v1/jobs")).json()["items"] == []
    assert (await mill.client.get("/v1/batches")).json()["items"] == []


def counted(metrics, path):
    return any(f"/v1/{path}" in line and "headrace_requests_total" in line for line in metrics.text.splitlines())


async def test_a_store_that_does_not_work_is_told_to_callers_without_its_address_and_to_the_log_with_it(mill):
    await mill.running.jobs.store.close()

    refused = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=LATER)

    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert "closed" not in refused.json()["detail"]
    assert [facts["code"] for event, facts in mill.told if event == "request_failed"] == ["store_unavailable"]


async def submitted_to(mill, release, corn):
    return await mill.running.jobs.queue.submit(
        Question("mill/grind", release, content=json.dumps({"corn": corn}).encode())
    )


async def worked_off(mill, job):
    working = asyncio.create_task(work(mill.running))
    try:
        return await mill.running.jobs.queue.wait(job.id, timeout_s=60)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_job_is_answered_by_the_release_it_was_submitted_to_though_another_serves(mill):
    serving = mill.running.champions["mill"]
    earlier = replace(serving, traits={**serving.traits, "mill": {"made": "earlier"}})
    mill.running.stores.releases.add(record_of(earlier))
    job = await submitted_to(mill, earlier.id, "wheat")

    done = await worked_off(mill, job)

    assert done.state is JobState.SUCCEEDED
    result = await mill.client.get(f"/v1/jobs/{job.id}/result")
    assert result.json()["release"] == earlier.id != serving.id
    assert result.headers["x-headrace-release"] == earlier.id
    assert earlier.id not in mill.running.loaded


def of_other_code(mill, **changes: object):
    gone = replace(mill.running.champions["mill"], code="sha256:" + "0" * 64, **changes)
    mill.running.stores.releases.add(record_of(gone))
    return gone


async def told_releases(mill, job):
    events = await mill.running.jobs.queue.events(job.id)
    return [(each.kind, told["release"]) for each in events if "release" in (told := json.loads(each.data))]


async def is_answered_by_what_serves(mill, job, earlier):
    serving = mill.running.champions["mill"].id
    result = await mill.client.get(f"/v1/jobs/{job.id}/result")
    assert result.json()["release"] == result.headers["x-headrace-release"] == serving != earlier
    assert await told_releases(mill, job) == [("release", {"from": earlier, "to": serving})]
    shown = (await mill.client.get(f"/v1/jobs/{job.id}")).json()
    assert (shown["release"], len(shown["attempts"])) == (serving, 1)


async def test_a_job_from_before_a_change_of_the_code_is_bound_anew_and_says_so(strict_mill):
    gone = of_other_code(strict_mill)
    job = await submitted_to(strict_mill, gone.id, "wheat")

    await worked_off(strict_mill, job)

    await is_answered_by_what_serves(strict_mill, job, gone.id)


async def test_a_job_whose_release_is_gone_is_bound_anew(mill):
    unknown, other = "sha256:" + "1" * 64, of_other_code(mill, settings={"mill": {"millstone": "granite"}}).id
    for earlier in (unknown, other):
        job = await submitted_to(mill, earlier, "wheat")

        await worked_off(mill, job)

        await is_answered_by_what_serves(mill, job, earlier)


@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "of other settings"])
async def test_a_job_whose_release_is_gone_fails_where_none_may_stand_in_and_a_retry_is_answered(strict_mill, is_known):
    mill = strict_mill
    gone = of_other_code(mill, settings={"mill": {"millstone": "granite"}}).id if is_known else "sha256:" + "1" * 64
    job = await submitted_to(mill, gone, "wheat")

    failed = (await worked_off(mill, job)).body()
    retried = await mill.client.post(f"/v1/jobs/{job.id}/retry")
    done = await worked_off(mill, job)

    assert (failed["state"], failed["error"]["code"], failed["error"]["retryable"]) == ("failed", "release_gone", False)
    assert gone[:19] in failed["error"]["detail"]
    assert "Retry the job" in failed["error"]["detail"]
    assert len(failed["attempts"]) == 1
    assert retried.status_code == 202
    assert done.state is JobState.SUCCEEDED
    serving = mill.running.champions["mill"].id
    assert (await mill.client.get(f"/v1/jobs/{job.id}/result")).json()["release"] == serving
    assert await told_releases(mill, job) == [("state", {"from": gone, "to": serving})]


async def beats_until_handed_back(mill, job, code):
    """Another worker, of that code, which is killed once the job was left to it."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.to_thread(mill.running.jobs.attendances.attend, "another:1:a", {code})
            attempts = (await mill.running.jobs.queue.look_up(job.id)).attempts
            if any(each.outcome is AttemptOutcome.HANDED_BACK for each in attempts):
                return
            await asyncio.sleep(0.02)


async def test_a_job_is_left_to_a_worker_of_its_own_code_until_that_is_silent(mill):
    gone = of_other_code(mill)
    mill.running.jobs.attendances.attend("another:1:a", {gone.code})
    job = await submitted_to(mill, gone.id, "wheat")
    beating = asyncio.create_task(beats_until_handed_back(mill, job, gone.code))

    done = await worked_off(mill, job)

    await beating

    assert [each.outcome for each in done.attempts[:-1]] == [AttemptOutcome.HANDED_BACK] * (len(done.attempts) - 1)
    assert len(done.attempts) > 1
    assert (done.state, done.release) == (JobState.SUCCEEDED, mill.running.champions["mill"].id)
    assert mill.running.jobs.attendances.attending() == []


async def test_who_waits_or_names_the_call_hears_of_the_release_that_answered(mill):
    gone = of_other_code(mill)
    named = {"Idempotency-Key": "once"}
    job = await mill.running.jobs.queue.submit(
        Question("mill/grind", gone.id, content=b'{"corn":"wheat"}', idempotency="/mill/grind/once")
    )
    await worked_off(mill, job)

    responses = [
        await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=named | extra)
        for extra in ({}, {"Prefer": "wait=5"})
    ]

    serving = mill.running.champions["mill"].id
    assert [each.headers["x-headrace-release"] for each in responses] == [serving] * 2
    assert [each.json()["release"] for each in responses] == [serving] * 2
