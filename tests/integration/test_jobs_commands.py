"""`headrace jobs` and `headrace webhooks` against a real server, as a user runs them."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from served import served

from headrace.domain.job import JobProgress
from headrace.domain.stores import JobSuccess

LATER = {"Prefer": "respond-async"}


@pytest.fixture
async def mill(tmp_path):
    async with served(tmp_path) as it:
        yield it


async def headrace(mill, *arguments: str, code=0):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from headrace.cli.main import run; run()", *arguments, "--server", mill.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        told, complained = await process.communicate()
    assert process.returncode == code, complained.decode()
    return told.decode() + complained.decode()


def now():
    return datetime.now(UTC) + timedelta(seconds=1)


async def submitted(mill):
    return (await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=LATER)).json()["id"]


async def begun(mill, job_id):
    (each,) = await mill.running.jobs.store.begin([job_id], worker="w", now=now(), lease_s=60)
    return each.number


async def test_jobs_are_listed_shown_cancelled_and_run_again(mill):
    job_id = await submitted(mill)

    listed = await headrace(mill, "jobs", "list", "--json")
    cancelled = await headrace(mill, "jobs", "cancel", job_id)
    shown = await headrace(mill, "jobs", "show", job_id)
    again = await headrace(mill, "jobs", "retry", job_id)

    assert json.loads(listed.splitlines()[0])["id"] == job_id
    assert "cancelled" in cancelled
    assert "mill/grind" in shown
    assert "1 queued again" in again


async def test_a_job_is_watched_to_its_end(mill):
    job_id = await submitted(mill)
    watching = asyncio.create_task(headrace(mill, "jobs", "watch", job_id))
    number = await begun(mill, job_id)
    await mill.running.jobs.store.progress(job_id, number, JobProgress("pages", 1, 2, 0.5), now=now())
    await mill.running.jobs.store.succeed(JobSuccess(job_id, number, b"{}"), now=now())

    told = await watching

    assert f"{job_id} succeeded" in told


async def test_a_job_nobody_knows_is_an_error_with_its_id(mill):
    told = await headrace(mill, "jobs", "show", "job_nobody", code=1)

    assert "job_nobody" in told
    assert "Traceback" not in told


async def test_a_webhook_is_added_and_listed(mill):
    added = await headrace(mill, "webhooks", "add", "https://example.org/hook", "--events", "headrace.job.failed")
    listed = await headrace(mill, "webhooks", "list")

    assert "whsec_" in added
    assert "headrace.job.failed" in listed


async def test_jobs_without_a_server_are_called_wrongly(mill):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from headrace.cli.main import run; run()", "analyze", "x.pdf", "--jobs",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complained = await process.communicate()

    assert process.returncode == 1
    assert b"--server" in complained
