"""What kills and outages cost: jobs lost, stuck, answered twice; innocents blamed; time to recover.

    python benchmarks/chaos.py [--quick] [--only sqlite,postgres,redis,rabbitmq] [--case workers,broker,submitter,...]

Each case runs on each keeper: SQLite and Postgres as both store and broker, Redis over SQLite, RabbitMQ over Postgres.
Workers are processes of `headrace up`; what is killed gets SIGKILL. Redis and RabbitMQ are instances of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from figures import Figures
from mill import KEEPERS, SEARCH_PATH, Mill, Server, grounds, last_words
from mill_app import Book, Nap, noted

from headrace.domain.job import AttemptOutcome, Job, JobRequest, JobState
from headrace.storage.database import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each."""

    jobs: int
    kills: int
    submitter_kills: int
    pages: int
    outage_s: float
    lease_s: float
    wait_s: float


REFUSALS = 2
"""Deliveries of a webhook that are refused before one is acknowledged."""
SILENCE_S = 5.0

WHOLE = Size(jobs=450, kills=6, submitter_kills=40, pages=40, outage_s=10.0, lease_s=5.0, wait_s=600.0)
QUICK = Size(jobs=80, kills=2, submitter_kills=6, pages=4, outage_s=2.0, lease_s=2.0, wait_s=180.0)


@dataclass(slots=True)
class Scene:
    """One case on one keeper."""

    keeper: str
    mill: Mill
    server: Server | None
    size: Size
    draw: random.Random

    async def submit_naps(self, count: int) -> list[str]:
        """Jobs of 50 to 200 ms."""
        naps = [Nap(f"nap-{number}", round(self.draw.uniform(0.05, 0.2), 3)) for number in range(count)]
        jobs = await asyncio.gather(*(self.mill.submit("nap", nap) for nap in naps))
        return [job.id for job in jobs]

    async def running_somewhere(self, ids: list[str]) -> None:
        """Returns when a job runs; where all ended before one was seen, as on a busy machine, more join `ids`."""
        async with asyncio.timeout(self.size.wait_s):
            while not await self.mill.store.leases():
                for each in self.mill.processes:
                    each.check()
                if all(job.state.is_final for job in await self.mill.jobs()):
                    ids += await self.submit_naps(self.size.jobs)
                await asyncio.sleep(0.02)


@dataclass(slots=True)
class Verdict:
    """What became of the jobs of a case."""

    lost: int
    stuck: int
    twice: int
    innocents_dead: int
    recovery_s: float = 0.0
    facts: dict[str, float] | None = None
    last_words: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, stuck, answered twice or blamed for nothing."""
        return not (self.lost or self.stuck or self.twice or self.innocents_dead)


def judged(ids: list[str], jobs: list[Job], kills: list[datetime], *, guilty: frozenset[str] = frozenset()) -> Verdict:
    """Holds what was submitted against what the store has."""
    found = {job.id: job for job in jobs}
    ended = [each for job in jobs for each in job.attempts if each.outcome is AttemptOutcome.LAPSED_INNOCENT]
    waits = []
    for attempt in ended:
        before = [kill for kill in kills if attempt.ended_at and attempt.started_at <= kill <= attempt.ended_at]
        if before and attempt.ended_at:
            waits.append((attempt.ended_at - before[-1]).total_seconds())
    answers = Counter(job.id for job in jobs for each in job.attempts if each.outcome is AttemptOutcome.SUCCEEDED)
    return Verdict(
        lost=sum(each not in found for each in ids),
        stuck=sum(not job.state.is_final for job in jobs),
        twice=sum(count > 1 for count in answers.values()),
        innocents_dead=sum(job.state is JobState.FAILED and job.id not in guilty for job in jobs),
        recovery_s=max(waits, default=0.0),
        facts={"lapsed": len(ended)},
    )


async def workers_killed(scene: Scene) -> Verdict:
    """SIGKILL of a worker in mid-job, again and again."""
    mill, size = scene.mill, scene.size
    ids = await scene.submit_naps(size.jobs)
    mill.start("control")
    workers = [mill.start("worker") for _ in range(2)]
    kills: list[datetime] = []
    while len(kills) < size.kills:
        await scene.running_somewhere(ids)
        await asyncio.sleep(scene.draw.uniform(0.1, 0.6))
        victim = scene.draw.choice(workers)
        if any(str(victim.member()) in lease.worker for lease in await mill.store.leases()):
            kills.append(datetime.now(UTC))
            victim.kill_member()
    verdict = judged(ids, await mill.ended(within_s=size.wait_s), kills)
    verdict.facts = {**(verdict.facts or {}), "kills": len(kills)}
    return verdict


async def broker_killed(scene: Scene) -> Verdict | None:
    """SIGKILL and restart of the broker, then a broker that is stopped for a while."""
    if scene.server is None:
        return None
    mill, size = scene.mill, scene.size
    ids = await scene.submit_naps(size.jobs // 2)
    mill.start("control")
    mill.start("worker")
    await scene.running_somewhere(ids)
    scene.server.kill()
    # The truth is up: submissions go on.
    ids += await scene.submit_naps(size.jobs // 4)
    scene.server.start()
    await asyncio.sleep(1.0)
    scene.server.kill()
    await asyncio.sleep(size.outage_s)
    ids += await scene.submit_naps(size.jobs // 4)
    scene.server.start()
    return judged(ids, await mill.ended(within_s=size.wait_s), [])


async def submitter_killed(scene: Scene) -> Verdict:
    """A submitter that is killed between its writes: what it was told of is there, and nothing is half there."""
    mill, size = scene.mill, scene.size
    told: list[str] = []
    for _ in range(size.submitter_kills):
        environment = {**os.environ, **mill.environment(), "PYTHONPATH": SEARCH_PATH}
        command = [sys.executable, __file__, "--submit", str(mill.folder), mill.store_url]
        with subprocess.Popen(  # noqa: ASYNC220 - begun in no time, and killed soon
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = await asyncio.to_thread(process.stdout.readline)
            await asyncio.sleep(scene.draw.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
            # The last line may have been cut in the middle.
            lines = (first + process.stdout.read()).split("\n")[:-1]
            told += [line for line in lines if line]
    kept = await mill.jobs()
    orphans = mill.orphans()
    mill.start("control")
    mill.start("worker")
    verdict = judged(told, await mill.ended(within_s=size.wait_s), [])
    # Now that all have ended, a ticket that is still out leads to no job.
    orphans += mill.orphans() + await mill.tickets_out(within_s=30.0)
    verdict.facts = {"kills": size.submitter_kills, "told": len(told), "kept": len(kept), "orphans": orphans}
    return verdict


async def store_cut(scene: Scene) -> Verdict | None:
    """All connections to the store are cut, several times."""
    if not scene.mill.store_url.startswith("postgres"):
        return None
    mill, size = scene.mill, scene.size
    mill.start("control")
    mill.start("worker")
    ids: list[str] = []
    for _ in range(3):
        ids += await scene.submit_naps(size.jobs // 3)
        await scene.running_somewhere(ids)
        with psycopg.connect(mill.store_url, autocommit=True) as own:
            own.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        # The first look after a cut may find a dead connection; the next has a new one.
        with suppress(StoreUnavailable):
            await mill.jobs()
    return judged(ids, await mill.ended(within_s=size.wait_s), [])


async def poisoned(scene: Scene) -> Verdict:
    """One job that ends every process it runs in, among 100 good ones."""
    mill, size = scene.mill, scene.size
    good = await scene.submit_naps(min(100, size.jobs))
    poison = await mill.submit("nap", Nap("poison", poison=True))
    mill.start("control")
    mill.start("worker")
    verdict = judged(good, await mill.ended(within_s=size.wait_s), [], guilty=frozenset({poison.id}))
    runs = sum(line.startswith("nap poison ") for line in noted(mill.log))
    verdict.facts = {"poison_runs": runs}
    return verdict


async def pages_killed(scene: Scene) -> Verdict:
    """The worker is killed at every page of one document, and whoever is told of its end refuses at first."""
    mill, size = scene.mill, scene.size
    async with reluctant_receiver(REFUSALS) as (url, heard):
        mill.more = {"HEADRACE_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]'}
        verdict = await _read_under_kills(scene, url)
        async with asyncio.timeout(size.wait_s):
            while len(heard) <= REFUSALS:  # noqa: ASYNC110 - control is a process of its own
                await asyncio.sleep(0.1)
        # One that was acknowledged is not delivered again.
        await asyncio.sleep(SILENCE_S)
    verdict.facts = {
        **(verdict.facts or {}),
        "deliveries": len(heard),
        "refused": REFUSALS,
        "webhook_ids": len(set(heard)),
    }
    verdict.twice += len(set(heard)) - 1 + len(heard) - REFUSALS - 1
    return verdict


async def _read_under_kills(scene: Scene, webhook_url: str) -> Verdict:
    mill, size = scene.mill, scene.size
    job = await mill.submit("read", Book("book", size.pages), request=JobRequest(webhook_url=webhook_url))
    mill.start("control")
    worker = mill.start("worker")
    killed = 0
    begun: list[str] = []
    async with asyncio.timeout(size.wait_s * 3):
        async for event in mill.queue.watch(job.id):
            if event is None or event.kind != "progress" or b" begun" not in event.data:
                continue
            stage = event.data.partition(b'"stage":"')[2].partition(b'"')[0].decode()
            begun.append(stage)
            if stage == f"page {killed + 1} begun" and killed < size.pages:
                worker.kill_member()
                killed += 1
    ended = await mill.queue.look_up(job.id)
    verdict = judged([job.id], [ended], [])
    again = sum(count - 1 for count in Counter(begun).values())
    verdict.facts = {"pages": size.pages, "kills": killed, "pages_again_a_kill": again / max(1, killed)}
    return verdict


@asynccontextmanager
async def reluctant_receiver(refusals: int) -> AsyncIterator[tuple[str, list[str]]]:
    """An address that refuses so many deliveries, and the `webhook-id` of each that came."""
    heard: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(fields["content-length"]))
        heard.append(fields["webhook-id"])
        status = b"503 Service Unavailable" if len(heard) <= refusals else b"204 No Content"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", heard
    finally:
        server.close()


CASES: dict[str, Callable[[Scene], Awaitable[Verdict | None]]] = {
    "workers": workers_killed,
    "broker": broker_killed,
    "submitter": submitter_killed,
    "store": store_cut,
    "poison": poisoned,
    "pages": pages_killed,
}


async def run_case(case: str, keeper: str, size: Size) -> Verdict | None:
    """What became of it; None where the case does not apply."""
    with grounds(keeper, own_broker=True) as (folder, store_url, broker_url, server):
        mill = Mill(folder, store_url, broker_url, size.lease_s)
        scene = Scene(keeper, mill, server, size, random.Random(7))
        try:
            verdict = await CASES[case](scene)
            if verdict is not None and not verdict.is_good:
                verdict.last_words = last_words(folder)
            return verdict
        finally:
            await mill.close()


async def submit_for_ever(folder: str, store_url: str) -> None:
    """The submitter that is killed: prints the id of each job that it was told to be durable."""
    mill = Mill(Path(folder), store_url, "embedded", 5.0)
    number = 0
    while True:
        number += 1
        job = await mill.submit("nap", Nap(f"nap-{os.getpid()}-{number}", 0.01))
        os.write(1, f"{job.id}\n".encode())


def main() -> None:
    """Runs the cases and tells their figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(KEEPERS))
    parser.add_argument("--case", default=",".join(CASES))
    parser.add_argument("--submit", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.submit:
        asyncio.run(submit_for_ever(*given.submit))
    size, figures, failed = QUICK if given.quick else WHOLE, Figures("chaos", is_quick=given.quick), False
    for case in given.case.split(","):
        for keeper in given.only.split(","):
            begun = time.monotonic()
            verdict = asyncio.run(run_case(case, keeper, size))
            if verdict is None:
                continue
            if verdict.last_words:
                print(verdict.last_words, file=sys.stderr)
            facts = {"case": case, "keeper": keeper, **(verdict.facts or {})}
            for name in ("lost", "stuck", "twice", "innocents_dead"):
                value = getattr(verdict, name)
                failed = failed or bool(value) or bool(facts.get("orphans"))
                figures.tell(name, value, unit="jobs", **facts)
            if verdict.recovery_s:
                figures.tell("recovery", verdict.recovery_s, unit="s", lease_s=size.lease_s, **facts)
            figures.tell("duration", time.monotonic() - begun, unit="s", **facts)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
