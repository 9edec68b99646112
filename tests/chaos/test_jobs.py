"""Jobs under kills: the short form of `benchmarks/chaos.py`, and stores that fill up or turn read-only."""

import asyncio
import os
import random
import shutil
import socket
import sqlite3
from pathlib import Path

import chaos
import pytest
from mill import RABBITMQ, Greeting, Server, free_port, grounds
from sqlalchemy import event

from headrace.domain.stores import JobFilter
from headrace.jobs.job_queue import JobQueue, Question
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.database import StoreUnavailable
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

SIZE = chaos.Size(jobs=24, kills=1, submitter_kills=2, pages=3, outage_s=1.0, lease_s=2.0, wait_s=120.0)


def needs(keeper: str) -> None:
    """Says loudly what is missing; with CI=true that is a failure."""
    missing = {
        "postgres": not _answers(5432),
        "redis": shutil.which("redis-server") is None,
        "rabbitmq": not Path(RABBITMQ).exists() or not _answers(5432),
    }
    if missing.get(keeper):
        reason = f"What {keeper} needs is not installed here: its kills were NOT tested."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def test_a_server_that_ends_at_its_start_is_told_at_once(tmp_path):
    server = Server(["false"], Greeting(free_port(), b"", b"x"), tmp_path / "boot.log")

    with pytest.raises(TimeoutError, match="false ended with 1"):
        server.start(within_s=60)


def test_a_failure_tells_what_the_logs_of_all_processes_end_with():
    def fail() -> None:
        with grounds("sqlite", own_broker=True) as (folder, *_):
            (folder / "rabbitmq").mkdir()
            for place, word in (("worker-0.log", "first"), ("rabbitmq/node.log", "second")):
                (folder / place).write_text(word, encoding="utf-8")
            raise LookupError("a job")

    with pytest.raises(LookupError) as failed:
        fail()

    (note,) = failed.value.__notes__
    assert "--- rabbitmq/node.log\nsecond" in note
    assert "--- worker-0.log\nfirst" in note


async def verdict_of(case: str, keeper: str) -> chaos.Verdict:
    needs(keeper)
    verdict = await chaos.run_case(case, keeper, SIZE)
    assert verdict is not None
    found = (verdict.lost, verdict.stuck, verdict.twice, verdict.innocents_dead)
    assert found == (0, 0, 0, 0), verdict.last_words
    return verdict


@pytest.mark.parametrize("keeper", ["sqlite", "postgres"])
async def test_no_job_is_lost_or_answered_twice_when_workers_are_killed(keeper):
    verdict = await verdict_of("workers", keeper)

    assert verdict.facts["kills"] == SIZE.kills


@pytest.mark.parametrize("keeper", ["redis", "rabbitmq"])
async def test_no_job_is_lost_when_the_broker_is_killed_and_away(keeper):
    await verdict_of("broker", keeper)


@pytest.mark.parametrize("keeper", ["sqlite", "postgres"])
async def test_a_submitter_that_is_killed_leaves_nothing_half_written(keeper):
    verdict = await verdict_of("submitter", keeper)

    assert verdict.facts["told"] >= SIZE.submitter_kills
    assert verdict.facts["orphans"] == 0


async def test_connections_that_are_cut_cost_no_job():
    await verdict_of("store", "postgres")


async def test_a_poison_job_runs_five_times_and_its_neighbours_succeed():
    verdict = await verdict_of("poison", "sqlite")

    assert verdict.facts["poison_runs"] == 5


async def test_a_document_killed_at_every_page_computes_one_page_again_a_kill():
    verdict = await verdict_of("pages", "sqlite")

    assert verdict.facts["kills"] == SIZE.pages
    assert verdict.facts["pages_again_a_kill"] <= 1
    assert (verdict.facts["webhook_ids"], verdict.facts["deliveries"]) == (1, chaos.REFUSALS + 1)


async def test_a_store_that_is_full_refuses_and_keeps_nothing_by_half(tmp_path):
    database = opened_database(f"sqlite:///{tmp_path}/headrace.db")
    store = SqlJobs(database)
    queue = JobQueue(store, opened_artifacts(str(tmp_path / "artifacts")))

    def full(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")

    event.listen(database.engine, "checkout", full)
    outcomes = await asyncio.gather(
        *(queue.submit(question(random.Random(n).randbytes(12_000))) for n in range(20)), return_exceptions=True
    )
    event.remove(database.engine, "checkout", full)
    refused = [each for each in outcomes if isinstance(each, StoreUnavailable)]
    kept = await queue.listed(JobFilter(), limit=100)
    accepted = {each.id for each in outcomes if not isinstance(each, BaseException)}
    await store.close()

    assert refused
    assert "full" in str(refused[0])
    assert {job.id for job in kept.items} == accepted


async def test_a_store_that_is_read_only_refuses_and_names_the_remedy(tmp_path):
    url = f"sqlite:///{tmp_path}/headrace.db"
    store = SqlJobs(opened_database(url))
    queue = JobQueue(store, opened_artifacts(str(tmp_path / "artifacts")))
    job = await queue.submit(question(b"before"))
    await store.close()

    database = opened_database(f"sqlite:///file:{tmp_path}/headrace.db?mode=ro&uri=true")
    store = SqlJobs(database)
    queue = JobQueue(store, opened_artifacts(str(tmp_path / "artifacts")))
    with pytest.raises(StoreUnavailable, match="read-only"):
        await queue.submit(question(b"after"))
    assert (await queue.look_up(job.id)).id == job.id
    await store.close()
    assert database.folder == tmp_path


def question(content: bytes) -> Question:
    return Question("p/e", "sha256:1", content=content)
