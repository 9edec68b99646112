"""How fast jobs go in and out, beside raw brokers and the usual libraries in their durable settings.

    python benchmarks/job_queue.py [--quick] [--only embedded,curve,redis,rabbitmq]

`embedded`: fsynced submissions from 32 callers, drains, and the time from submission to start. `curve`: claim time and
memory at 1,000, 10,000 and 100,000 queued jobs. `redis` and `rabbitmq`: drains through each broker, beside the raw
client and Taskiq, Dramatiq and Celery in venvs of their own, all over the same server of their own in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from figures import ROOT, Figures
from mill import Server, rabbitmq_server, redis_server

from headrace.jobs.attempt import JobAnswer, Work
from headrace.jobs.broker import Broker
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.brokers.rabbitmq import RabbitBroker
from headrace.jobs.brokers.redis import RedisBroker
from headrace.jobs.job_queue import JobQueue, Question, utc_now
from headrace.jobs.pace import Pace
from headrace.jobs.relay import Relay
from headrace.jobs.worker import Worker
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

HERE = Path(__file__).resolve().parent
PEERS = ROOT / ".headrace" / "peers"
CALLERS = 32
AT_ONCE = 128
PEER_PACKAGES = {
    "redis": {
        "raw": ["redis"],
        "taskiq": ["taskiq", "taskiq-redis"],
        "dramatiq": ["dramatiq[redis]"],
        "celery": ["celery[redis]"],
    },
    "rabbitmq": {
        "raw": ["aio-pika"],
        "taskiq": ["taskiq", "taskiq-aio-pika"],
        "dramatiq": ["dramatiq[rabbitmq]"],
        "celery": ["celery"],
    },
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A store of its own with its queue."""

    store: SqlJobs
    queue: JobQueue
    artifacts: object

    @classmethod
    def at(cls, folder: Path) -> Ground:
        """In a SQLite file that is flushed at every commit."""
        store = SqlJobs(opened_database(f"sqlite:///{folder}/headrace.db"))
        artifacts = opened_artifacts(str(folder / "artifacts"))
        return cls(store, JobQueue(store, artifacts), artifacts)

    async def submit(self, count: int, *, callers: int = CALLERS) -> float:
        """Seconds that `callers` need to submit `count` jobs, each waiting for its own before the next."""

        async def call(own: int) -> None:
            for _ in range(own):
                await self.queue.submit(Question("mill/nap", "sha256:0", content=b'{"name": "a"}'))

        begun = time.perf_counter()
        await asyncio.gather(*(call(count // callers) for _ in range(callers)))
        return time.perf_counter() - begun

    def worker(self, broker: Broker, answer: Callable[[Work], Awaitable[JobAnswer]]) -> Worker:
        """A worker of a fixed number of jobs at once."""
        pace = Pace(least=AT_ONCE, most=AT_ONCE, first=AT_ONCE)
        return Worker(self.store, broker, self.artifacts, answer, pace=pace)  # type: ignore[arg-type]


async def drained(ground: Ground, broker: Broker, count: int) -> float:
    """Seconds that a worker needs to answer `count` jobs, with progress, result and events stored durably."""
    answered, done = 0, asyncio.Event()

    async def answer(work: Work) -> JobAnswer:
        nonlocal answered
        answered += 1
        work.report("nap", 1, 1)
        if answered == count:
            done.set()
        return JobAnswer(b'{"output": "a"}')

    worker = asyncio.create_task(ground.worker(broker, answer).run())
    begun = time.perf_counter()
    async with asyncio.timeout(600):
        await done.wait()
        while await ground.store.leases():  # noqa: ASYNC110 - until all are stored
            await asyncio.sleep(0.01)
    seconds = time.perf_counter() - begun
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return seconds


async def embedded(figures: Figures, *, count: int) -> None:
    """SQLite as store and broker."""
    with tempfile.TemporaryDirectory(prefix="mill-") as name:
        ground = Ground.at(Path(name))
        flush_ms = flush_time_ms(Path(name))
        figures.tell("flush", flush_ms, unit="ms", of="fsync of 4 KiB on this disc, now")
        cpu = time.process_time()
        seconds = await ground.submit(count)
        cpu_us = (time.process_time() - cpu) / count * 1e6
        figures.tell("submissions", count / seconds, unit="1/s", callers=CALLERS, cpu_us_each=round(cpu_us))
        seconds = await ground.submit(200, callers=1)
        figures.tell("submissions", 200 / seconds, unit="1/s", callers=1)
        cpu = time.process_time()
        seconds = await drained(ground, EmbeddedBroker(ground.store), count + 200)
        cpu_us = (time.process_time() - cpu) / count * 1e6
        figures.tell("drains", (count + 200) / seconds, unit="1/s", keeper="sqlite", cpu_us_each=round(cpu_us))
        waits = sorted(await submit_to_start_ms(ground, 300))
        figures.tell(
            "submit_to_start_p50", statistics.median(waits), unit="ms", of="from the call to the answer's begin"
        )
        figures.tell("submit_to_start_p99", waits[int(len(waits) * 0.99)], unit="ms")
        await ground.store.close()


async def submit_to_start_ms(ground: Ground, count: int) -> list[float]:
    """Milliseconds from the call that submits, with its flush, to the beginning of the answer; one job at a time."""
    waits: list[float] = []
    began = asyncio.Event()

    async def answer(_work: Work) -> JobAnswer:
        waits.append((time.perf_counter() - begun) * 1000)
        began.set()
        return JobAnswer(b"{}")

    begun = 0.0
    worker = asyncio.create_task(ground.worker(EmbeddedBroker(ground.store), answer).run())
    await asyncio.sleep(0.3)
    for _ in range(count):
        began.clear()
        begun = time.perf_counter()
        await ground.queue.submit(Question("mill/nap", "sha256:0", content=b'{"name": "a"}'))
        await asyncio.wait_for(began.wait(), 30)
        await asyncio.sleep(0.005)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return waits


def flush_time_ms(folder: Path) -> float:
    """What one flush to this disc takes now."""
    with (folder / "flush").open("wb") as file:
        begun = time.perf_counter()
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        return (time.perf_counter() - begun) / 50 * 1000


async def curve(figures: Figures, *, sizes: list[int]) -> None:
    """How long a claim takes, and how much memory it needs, by the number of queued jobs."""
    with tempfile.TemporaryDirectory(prefix="mill-") as name:
        ground = Ground.at(Path(name))
        queued = 0
        for size in sizes:
            await ground.submit(size - queued)
            queued = size
            before, times = resident_mib(), []
            cpu = time.process_time()
            for _ in range(50):
                begun = time.perf_counter()
                tickets = await ground.store.issue(["interactive"], limit=16, now=utc_now(), ticket_s=60)
                await ground.store.begin([each.job_id for each in tickets], worker="w", now=utc_now(), lease_s=60)
                times.append((time.perf_counter() - begun) * 1000)
            queued -= 50 * 16
            cpu_ms = (time.process_time() - cpu) / 50 * 1000
            figures.tell("claim_of_16_p50", statistics.median(times), unit="ms", queued=size)
            figures.tell("claim_of_16_cpu", cpu_ms, unit="ms", queued=size)
            figures.tell("memory", before, unit="MiB", queued=size)
        await ground.store.close()


def resident_mib() -> float:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def over(figures: Figures, broker: str, *, count: int) -> None:
    """Drains through a broker, beside the raw client and the libraries over the same server."""
    with tempfile.TemporaryDirectory(prefix="mill-") as name:
        folder = Path(name)
        servers = {
            "redis": [
                ("everysec", redis_server(folder / "redis")),
                ("always", redis_server(folder / "always", fsync="always")),
            ],
            "rabbitmq": [("quorum", rabbitmq_server(folder / "rabbitmq"))],
        }[broker]
        for policy, (server, url) in servers:
            server.start()
            try:
                await beside(figures, broker, policy, (server, url), count=count)
            finally:
                server.kill()


async def beside(figures: Figures, broker: str, policy: str, server: tuple[Server, str], *, count: int) -> None:
    """One server: the raw client first, then ours, then the libraries."""
    _, url = server
    raw: dict[str, float] = {}
    for peer, packages in PEER_PACKAGES[broker].items():
        found = await asyncio.to_thread(peer_figures, broker, peer, packages, url, count)
        if peer == "raw":
            raw = found
            ours = await drained_over(broker, url, count)
            ratio = ours / raw["drain"] if raw.get("drain") else 0.0
            figures.tell("drains", ours, unit="1/s", keeper=broker, policy=policy, of_raw=round(ratio, 3))
        for figure, value in found.items():
            ratio = value / raw[figure] if raw.get(figure) else 0.0
            figures.tell(
                f"peer_{figure}", value, unit="1/s", keeper=broker, policy=policy, peer=peer, of_raw=round(ratio, 3)
            )


async def drained_over(broker: str, url: str, count: int) -> float:
    """Jobs a second through a broker, from the store by the relay to the answers in the store."""
    with tempfile.TemporaryDirectory(prefix="mill-") as name:
        ground = Ground.at(Path(name))
        await ground.submit(count)

        def opened() -> Broker:
            return (
                RedisBroker(url, consumer=f"{os.getpid()}")
                if broker == "redis"
                else RabbitBroker(url, prefetch=AT_ONCE)
            )

        relayed = opened()
        relay = asyncio.create_task(Relay(ground.store, relayed).run())
        seconds = await drained(ground, opened(), count)
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await relayed.close()
        await ground.store.close()
    return count / seconds


def peer_figures(broker: str, peer: str, packages: list[str], url: str, count: int) -> dict[str, float]:
    """What a peer measured of itself in a venv of its own; empty, and said loudly, when it cannot be installed."""
    venv = PEERS / f"{broker}-{peer}"
    python = venv / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
            subprocess.run(
                [python, "-m", "pip", "install", "-q", *packages], check=True, capture_output=True, timeout=600
            )
        done = subprocess.run(
            [python, HERE / "queue_peers.py", broker, peer, url, str(count)],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as failure:
        output = getattr(failure, "stderr", "") or ""
        print(f"SKIPPED: {peer} over {broker}: {failure} {str(output)[-600:]}", file=sys.stderr)
        return {}
    return found


def main() -> None:
    """Runs the parts and tells their figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="embedded,curve,redis,rabbitmq")
    given = parser.parse_args()
    figures = Figures("job_queue", is_quick=given.quick)
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "embedded": lambda: embedded(figures, count=1024 if given.quick else 10_240),
        "curve": lambda: curve(figures, sizes=[1024, 4096] if given.quick else [1024, 10_240, 102_400]),
        "redis": lambda: over(figures, "redis", count=512 if given.quick else 4096),
        "rabbitmq": lambda: over(figures, "rabbitmq", count=512 if given.quick else 2048),
    }
    for part in given.only.split(","):
        asyncio.run(parts[part]())  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
