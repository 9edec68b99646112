"""How fast jobs go in and out, beside raw brokers and the usual libraries in their durable settings.

    python benchmarks/job_queue.py [--quick] [--only embedded,curve,redis,rabbitmq] [--peers stored,taskiq]

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
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from figures import ROOT, Figures
from mill import rabbitmq_server, redis_server

from headrace.assembly.loop import loop_factory
from headrace.assembly.roles import SWITCH_S
from headrace.jobs.attempt import JobAnswer, Work
from headrace.jobs.broker import Broker
from headrace.jobs.brokers.embedded import EmbeddedBroker
from headrace.jobs.brokers.rabbitmq import RabbitBroker
from headrace.jobs.brokers.redis import RedisBroker
from headrace.jobs.job_queue import JobQueue, Question, utc_now
from headrace.jobs.pace import Pace
from headrace.jobs.relay import Relay
from headrace.jobs.worker import Note, Worker
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

HERE = Path(__file__).resolve().parent
PEERS = ROOT / ".headrace" / "peers"
CALLERS = 32
AT_ONCE = 128
GROUP_S = 0.002
"""The jobs that are told of within so little of the first were stored in the same commit."""
PEER_PACKAGES = {
    "redis": {
        "raw": ["redis"],
        "stored": ["redis"],
        "taskiq": ["taskiq", "taskiq-redis"],
        "dramatiq": ["dramatiq[redis]"],
        "celery": ["celery[redis]"],
    },
    "rabbitmq": {
        "raw": ["aio-pika"],
        "stored": ["aio-pika"],
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

    def worker(
        self, broker: Broker, answer: Callable[[Work], Awaitable[JobAnswer]], *, note: Note = lambda *_: None
    ) -> Worker:
        """A worker of a fixed number of jobs at once."""
        pace = Pace(least=AT_ONCE, most=AT_ONCE, first=AT_ONCE)
        return Worker(self.store, broker, self.artifacts, answer, pace=pace, note=note)  # type: ignore[arg-type]


async def drained(ground: Ground, broker: Broker, count: int) -> Drain:
    """How a worker answers `count` jobs, with progress, result and events stored durably.

    Timed as the peers are: from the first job's end to the last one's, when all that is told of them is in the store.
    """
    drain, done = Drain(count), asyncio.Event()

    async def answer(work: Work) -> JobAnswer:
        work.report("nap", 1, 1)
        return JobAnswer(b'{"output": "a"}')

    def ended(outcome: str, _seconds: float) -> None:
        if drain.ended(outcome):
            done.set()

    worker = asyncio.create_task(ground.worker(broker, answer, note=ended).run())
    async with asyncio.timeout(600):
        await done.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return drain


class Drain:
    """How many jobs ended, and in what time; `seconds` and `cpu_us_each` are those of the jobs after the first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._first = 0
        self._begun = self._cpu = 0.0
        self.seconds = self.cpu_us_each = 0.0

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return (self._count - self._first) / self.seconds

    def ended(self, outcome: str) -> bool:
        """One more was stored; whether it was the last."""
        if outcome != "succeeded":
            raise ValueError(outcome)
        self._done += 1
        if not self._begun:
            self._begun, self._cpu = time.perf_counter(), time.process_time()
        # A group is stored in one commit: those that ended with the first were not drained in the time measured.
        if time.perf_counter() - self._begun < GROUP_S:
            self._first = self._done
        if self._done == self._count:
            self.seconds = time.perf_counter() - self._begun
            self.cpu_us_each = (time.process_time() - self._cpu) / (self._count - self._first) * 1e6
        return self._done == self._count


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
        drain = await drained(ground, EmbeddedBroker(ground.store), (count + 200) // CALLERS * CALLERS)
        figures.tell("drains", drain.rate, unit="1/s", keeper="sqlite", cpu_us_each=round(drain.cpu_us_each))
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


async def over(figures: Figures, broker: str, *, count: int, peers: Collection[str]) -> None:
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
                await beside(figures, broker, policy, url, count=count, peers=peers)
            finally:
                server.kill()


async def beside(figures: Figures, broker: str, policy: str, url: str, *, count: int, peers: Collection[str]) -> None:
    """One server: the raw client first, then ours, then the libraries."""
    raw: dict[str, float] = {}
    for peer, packages in PEER_PACKAGES[broker].items():
        if peer != "raw" and peer not in peers:
            continue
        found = await asyncio.to_thread(peer_figures, broker, peer, packages, url, count)
        if peer == "raw":
            raw = found
            ours = await drained_over(broker, url, count)
            for figure in ("enqueue", "drain", "through"):
                of = raw.get("drain" if figure == "through" else figure)
                told = {"keeper": broker, "policy": policy, "of_raw": round(ours[figure] / of, 3) if of else None}
                figures.tell(figure, ours[figure], unit="1/s", cpu_us_each=ours.get(f"{figure}_cpu_us"), **told)
        for figure, value in found.items():
            ratio = value / raw[figure] if raw.get(figure) else 0.0
            unit = "us" if figure.endswith("_us") else "1/s"
            figures.tell(
                f"peer_{figure}", value, unit=unit, keeper=broker, policy=policy, peer=peer, of_raw=round(ratio, 3)
            )


async def drained_over(broker: str, url: str, count: int) -> dict[str, float]:
    """Jobs a second through a broker into the store.

    `drain`: all tickets are in the broker when the worker starts, as with the peers. `through`: the relay carries the
    jobs from the store to the broker in the meantime, in the same process.
    """

    def opened() -> Broker:
        return RedisBroker(url, consumer=f"{os.getpid()}") if broker == "redis" else RabbitBroker(url, prefetch=AT_ONCE)

    found: dict[str, float] = {}
    for figure, window in (("drain", count), ("through", 1024)):
        with tempfile.TemporaryDirectory(prefix="mill-") as name:
            ground = Ground.at(Path(name))
            begun = time.perf_counter()
            await ground.submit(count)
            relayed = opened()
            relay = asyncio.create_task(Relay(ground.store, relayed, window=window, lost_after_s=600).run())
            if figure == "drain":
                while sum(line.ticketed for line in await ground.store.figures(now=utc_now())) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                while await relayed.depth() < count:  # noqa: ASYNC110 - the broker counts a moment late
                    await asyncio.sleep(0.05)
                found["enqueue"] = count / (time.perf_counter() - begun)
            drain = await drained(ground, opened(), count)
            found |= {figure: drain.rate, f"{figure}_cpu_us": drain.cpu_us_each}
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)
            await relayed.close()
            await ground.store.close()
    return found


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
    parser.add_argument("--peers", default="stored,taskiq,dramatiq,celery", help="beside the raw client")
    given = parser.parse_args()
    figures, peers = Figures("job_queue", is_quick=given.quick), given.peers.split(",")
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "embedded": lambda: embedded(figures, count=1024 if given.quick else 10_240),
        "curve": lambda: curve(figures, sizes=[1024, 4096] if given.quick else [1024, 10_240, 102_400]),
        "redis": lambda: over(figures, "redis", count=512 if given.quick else 4096, peers=peers),
        "rabbitmq": lambda: over(figures, "rabbitmq", count=512 if given.quick else 2048, peers=peers),
    }
    # As in the processes of a server.
    sys.setswitchinterval(SWITCH_S)
    for part in given.only.split(","):
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(parts[part]())  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
