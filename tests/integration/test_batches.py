"""Batches by HTTP: many documents handed in together, one progress, one end, failures listed among the answers."""

import io
import json
import os
import tarfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from served import served

from headrace.domain.job import JobError, RetryPolicy
from headrace.domain.stores import JobSuccess

HOOK = {"X-Headrace-Webhook": "http://receiver.example/hook"}


@pytest.fixture
async def mill(tmp_path):
    overrides = {"webhooks.allowed_hosts": ["receiver.example"], "limits.archive": "1 MiB", "limits.upload": "64 KiB"}
    async with served(tmp_path, overrides=overrides) as it:
        yield it


def now():
    return datetime.now(UTC) + timedelta(seconds=1)


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return content.getvalue()


def tarred(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return content.getvalue()


async def submitted(mill, content, media_type="application/zip", **headers: str):
    return await mill.client.post("/v1/batches", content=content, headers={"Content-Type": media_type} | headers)


async def worked_off(mill, *, failing=()):
    store = mill.running.jobs.store
    page = (await mill.client.get("/v1/jobs?state=queued&limit=200")).json()["items"]
    for job in page:
        (each,) = await store.begin([job["id"]], worker="w", now=now(), lease_s=30)
        if job["filename"] in failing:
            error = JobError("unreadable", "It is damaged.", retryable=False)
            await store.fail(job["id"], each.number, error, now=now(), policy=RetryPolicy(), jitter=0.5)
        else:
            body = json.dumps({"name": job["filename"]}).encode()
            await store.succeed(JobSuccess(job["id"], each.number, body), now=now())


@pytest.mark.parametrize(("pack", "media_type"), [(zipped, "application/zip"), (tarred, "application/x-tar")])
async def test_an_archive_becomes_a_job_for_each_of_its_files(mill, pack, media_type):
    files = {"a.txt": b"one", "folder/b.txt": b"two", "../../c.txt": b"three"}

    response = await submitted(mill, pack(files), media_type)

    batch = response.json()
    jobs = (await mill.client.get("/v1/jobs", params={"batch": batch["id"]})).json()["items"]
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/batches/{batch['id']}"
    assert batch["progress"]["total"] == 3
    assert sorted(job["filename"] for job in jobs) == ["a.txt", "b.txt", "c.txt"]
    assert {job["priority"] for job in jobs} == {"batch"}


async def test_a_list_of_texts_and_stored_documents_becomes_a_batch(mill):
    digest = mill.running.jobs.artifacts.put(b"stored before")
    documents = [{"text": "Invoice 7", "filename": "7.txt"}, {"digest": digest}]

    response = await mill.client.post("/v1/batches", json={"documents": documents})

    assert response.json()["jobs"]["queued"] == 2


async def test_the_end_of_a_batch_is_told_once_and_its_failures_stand_in_the_results(mill):
    files = {f"{number}.txt": b"x" for number in range(5)}
    batch = (await submitted(mill, zipped(files), **HOOK)).json()
    await mill.running.jobs.batches.sweep()
    unfinished = (await mill.client.get(f"/v1/batches/{batch['id']}")).json()
    await worked_off(mill, failing={"3.txt"})

    for _ in range(3):
        await mill.running.jobs.batches.sweep()

    finished = (await mill.client.get(f"/v1/batches/{batch['id']}")).json()
    lines = [
        json.loads(line) for line in (await mill.client.get(f"/v1/batches/{batch['id']}/results")).text.splitlines()
    ]
    told = (await mill.client.get("/v1/webhooks/deliveries")).json()["items"]
    assert unfinished["state"] == "running"
    assert (finished["state"], finished["progress"]["fraction"]) == ("finished", 1.0)
    assert [each["type"] for each in told] == ["headrace.batch.finished"]
    by_name = {line["filename"]: line for line in lines}
    assert len(lines) == 5
    assert by_name["3.txt"]["error"] == {"code": "unreadable", "detail": "It is damaged."}
    assert by_name["1.txt"]["answer"] == {"name": "1.txt"}


async def test_a_batch_that_is_cancelled_ends_with_what_was_done(mill):
    batch = (await submitted(mill, zipped({"a.txt": b"1", "b.txt": b"2"}))).json()

    cancelled = (await mill.client.delete(f"/v1/batches/{batch['id']}")).json()

    assert cancelled["jobs"]["cancelled"] == 2


async def test_a_batch_that_its_submitter_left_half_done_is_ended(mill):
    store, batches = mill.running.jobs.batches._store, mill.running.jobs.batches
    batch = (await submitted(mill, zipped({"a.txt": b"1"}))).json()
    half = await store.find(batch["id"])
    await store.seal(batch["id"], total=0)
    await store.add(replace(half, id="bat_half", created_at=datetime.now(UTC) - timedelta(hours=2)))
    await batches.sweep()
    await batches.sweep()

    assert (await mill.client.get("/v1/batches/bat_half")).json()["state"] == "finished"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no archive at all", "unreadable"),
        (zipped({}), "unreadable"),
        (zipped({"big.txt": b"0" * 100_000}), "too_large"),
        (zipped({f"{n}.txt": b"0" * 60_000 for n in range(30)}), "too_large"),
        (zipped({"a.txt": os.urandom(5000)})[:-4000], "unreadable"),
    ],
    ids=["no archive", "empty", "a bomb in one file", "a bomb in many", "cut off"],
)
async def test_an_archive_that_cannot_be_taken_is_refused_whole(mill, content, code):
    response = await submitted(mill, content)

    assert (response.status_code, response.json()["code"]) == ({"unreadable": 422, "too_large": 413}[code], code)
    assert (await mill.client.get("/v1/jobs")).json()["items"] == []
    assert list((mill.running.settings.models_folder.parent / "incoming").glob("*")) == []


async def test_an_archive_over_the_limit_is_refused_while_it_comes(mill):
    async def pieces():
        for _ in range(64):
            yield os.urandom(64 * 1024)

    response = await submitted(mill, pieces())

    assert response.status_code == 413


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"documents": []}, 422),
        ({"documents": [{"text": "a", "url": "http://b"}]}, 400),
        ({"documents": [{"text": "a"}], "endpoint": "mill/measur"}, 422),
        ({"documents": [{"digest": "sha256:" + "0" * 64}]}, 404),
        ({"documents": "a"}, 400),
    ],
)
async def test_a_list_that_is_wrong_is_refused(mill, wish, status):
    response = await mill.client.post("/v1/batches", json=wish)

    assert response.status_code == status, response.text
