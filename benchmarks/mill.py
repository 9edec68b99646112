"""What benchmarks and chaos tests of jobs start and kill: stores, brokers, workers, submitters."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
from mill_app import Mill as Application

from headrace.assembly import planner_of
from headrace.assembly.jobs import broker_of
from headrace.domain.job import Job
from headrace.domain.stores import JobFilter
from headrace.jobs.job_queue import JobQueue, Question
from headrace.settings import Settings, load_settings
from headrace.storage.artifacts import opened_artifacts
from headrace.storage.database import StoreUnavailable
from headrace.storage.jobs import SqlJobs
from headrace.storage.schema import opened_database

HERE = Path(__file__).resolve().parent
SEARCH_PATH = os.pathsep.join([str(HERE), str(HERE.parent / "src")])
POSTGRES = "postgresql://root@127.0.0.1:5432/{}"
LAST_CHARACTERS = 8000
FIRST_PORT, PORTS = 20_000, 12_000
"""Below those that systems give to connections that go out."""
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
KEEPERS = {
    "sqlite": ("sqlite", "embedded"),
    "postgres": ("postgres", "embedded"),
    "redis": ("sqlite", "redis"),
    "rabbitmq": ("postgres", "rabbitmq"),
}
"""Each keeper as a store and a broker."""

SHARED = {
    "embedded": "embedded",
    "redis": "redis://127.0.0.1:6379/9",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672/",
}
"""The brokers that run on this machine anyway."""

ORPHANS = (
    "SELECT count(*) FROM outbox WHERE job_id NOT IN (SELECT id FROM jobs WHERE state = 'queued')",
    "SELECT count(*) FROM jobs WHERE state = 'queued' AND id NOT IN (SELECT job_id FROM outbox)",
)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is said to a server at `port`, and how the answer of one that does its work begins."""

    port: int
    said: bytes
    answered: bytes

    def is_answered(self) -> bool:
        """Whether it is now, within a few seconds."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as place:
            place.settimeout(5)
            place.sendall(self.said)
            return place.recv(len(self.answered)) == self.answered
        return False


class Server:
    """A server of one's own on a port of its own, which may be killed and started again; `log` has what it prints."""

    def __init__(
        self, command: list[str], greeting: Greeting, log: Path, *, environment: dict[str, str] | None = None
    ) -> None:
        self._command = command
        self._greeting = greeting
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, within_s: float = 120.0) -> None:
        """Returns when it answers as such a server does, and not only takes connections.

        Raises:
            TimeoutError: it does not, or has ended.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._greeting.is_answered():
                return
            time.sleep(0.1)
        code = self._process.poll()
        self.kill()
        raise TimeoutError(f"{self._command[0]} {'did not start' if code is None else f'ended with {code}'}.")

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def free_port() -> int:
    """A port that nobody listens at, nor any connection goes out from: one of those might be there after a kill."""
    while True:
        port = FIRST_PORT + secrets.randbelow(PORTS)
        with suppress(OSError), socket.socket() as place:
            place.bind(("127.0.0.1", port))
            return port


def redis_server(folder: Path, *, fsync: str = "everysec") -> tuple[Server, str]:
    """A Redis with an append-only file, and its url."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--appendfsync", fsync, "--save", ""]
    command = [shutil.which("redis-server") or "redis-server", *options]
    # While it reads its file it answers with an error.
    greeting = Greeting(port, b"PING\r\n", b"+PONG")
    return Server(command, greeting, folder / "redis.log"), f"redis://127.0.0.1:{port}/0"


def rabbitmq_server(folder: Path) -> tuple[Server, str]:
    """A RabbitMQ node of its own, and its url."""
    port, folder = free_port(), folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "RABBITMQ_NODENAME": f"mill{uuid4().hex[:8]}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        # It takes no messages while less is free on its disk, which is that of all temporary files.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit disk_free_limit 1000000",
        "HOME": str(folder),
    }
    # An open connection begins with a frame of a method, `connection.start`.
    server = Server(
        [RABBITMQ], Greeting(port, b"AMQP\0\0\x09\x01", b"\x01"), folder / "boot.log", environment=environment
    )
    return server, f"amqp://guest:guest@127.0.0.1:{port}/"


@contextmanager
def postgres_database() -> Iterator[str]:
    """The url of a fresh database on the server at the default port, dropped in the end."""
    name = f"headrace_mill_{uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES.format("postgres"), autocommit=True, connect_timeout=5) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield POSTGRES.format(name)
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@dataclass
class Mill:
    """One platform of several processes, in a folder of its own."""

    folder: Path
    store_url: str
    broker_url: str
    lease_s: float
    processes: list[Processes] = field(default_factory=list)
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "runs.log"
        self.store = SqlJobs(opened_database(self.store_url))
        self.queue = JobQueue(self.store, opened_artifacts(self.settings().job_artifacts_url))
        self.release = planner_of([Application], self.settings()).champion("mill").id

    def environment(self) -> dict[str, str]:
        """What processes are told of this platform."""
        return {
            "HEADRACE_DATA": str(self.folder),
            "HEADRACE_STORE__URL": self.store_url,
            "HEADRACE_BROKER__URL": self.broker_url,
            "HEADRACE_BROKER__PREFIX": f"mill-{self.folder.name}",
            "HEADRACE_JOBS__LEASE_S": str(self.lease_s),
            "HEADRACE_JOBS__CONCURRENCY": "8",
            "HEADRACE_SERVICES__READER__REPLICAS": "1",
            **self.more,
        }

    def settings(self) -> Settings:
        """The same as settings."""
        return load_settings(self.folder, self.environment(), {})

    def start(self, role: str) -> Processes:
        """A supervisor with one role, and what it supervises."""
        log = (self.folder / f"{role}-{len(self.processes)}.log").open("wb")
        environment = {**os.environ, **self.environment(), "MILL_LOG": str(self.log), "PYTHONPATH": SEARCH_PATH}
        boot = "from headrace.cli.main import run; run()"
        command = [sys.executable, "-c", boot, "up", "mill_app:app", "--only", role, "--port", "0"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(Processes(process))
        return self.processes[-1]

    async def submit(self, endpoint: str, question: object, **more: object) -> Job:
        """A job for the application."""
        content = msgspec.json.encode(question)
        return await self.queue.submit(Question(f"mill/{endpoint}", self.release, content=content, **more))

    async def jobs(self) -> list[Job]:
        """All of them."""
        found: list[Job] = []
        cursor: str | None = None
        while True:
            page = await self.queue.listed(JobFilter(), cursor=cursor, limit=500)
            found += page.items
            if (cursor := page.next) is None:
                return found

    def orphans(self) -> int:
        """Rows of the outbox that lead to no queued job, and queued jobs that have no row there."""
        is_postgres = self.store_url.startswith("postgres")
        opened = psycopg.connect(self.store_url) if is_postgres else sqlite3.connect(self._file)
        with closing(opened) as store:
            return sum(store.execute(query).fetchone()[0] for query in ORPHANS)

    async def tickets_out(self, *, within_s: float) -> int:
        """Tickets in the broker, once there are none or the time is over."""
        broker = broker_of(self.settings(), self.store)
        deadline = time.monotonic() + within_s
        try:
            while (left := await broker.depth()) and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.2)
            return left
        finally:
            await broker.close()

    @property
    def _file(self) -> str:
        return self.store_url.removeprefix("sqlite:///")

    async def ended(self, *, within_s: float) -> list[Job]:
        """All jobs, when all have ended or the time is over."""
        deadline = time.monotonic() + within_s
        while True:
            with suppress(StoreUnavailable):
                jobs = await self.jobs()
                if all(job.state.is_final for job in jobs) or time.monotonic() > deadline:
                    return jobs
            await asyncio.sleep(0.5)

    async def close(self) -> None:
        """Ends all processes."""
        for each in self.processes:
            each.end()
        await self.store.close()


class Processes:
    """A supervisor and the one member that it keeps alive."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def member(self) -> int | None:
        """The process that does the work; None while there is none."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with suppress(OSError):
            found = children.read_text(encoding="ascii").split()
            return int(found[0]) if found else None
        return None

    def check(self) -> None:
        """Raises ChildProcessError once the supervisor has ended, with all that it supervised."""
        if (code := self._process.poll()) is not None:
            raise ChildProcessError(f"{' '.join(map(str, self._process.args[3:]))} ended with {code}.")

    def kill_member(self) -> int | None:
        """SIGKILL to the process that does the work, in whatever it is doing."""
        pid = self.member()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def end(self) -> None:
        """Asks it to end, and ends it when it does not."""
        self._process.terminate()
        try:
            self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def grounds(keeper: str, *, own_broker: bool) -> Iterator[tuple[Path, str, str, Server | None]]:
    """A folder, the urls of store and broker of a keeper, and the broker's server where it may be killed."""
    store, broker = KEEPERS[keeper]
    with tempfile.TemporaryDirectory(prefix="mill-") as name:
        folder, server, broker_url = Path(name), None, SHARED[broker]
        try:
            if own_broker and broker != "embedded":
                own = redis_server if broker == "redis" else rabbitmq_server
                server, broker_url = own(folder / broker)
                server.start()
            if store == "postgres":
                with postgres_database() as url:
                    yield folder, url, broker_url, server
            else:
                yield folder, f"sqlite:///{folder}/headrace.db", broker_url, server
        except BaseException as failure:
            failure.add_note(last_words(folder))
            raise
        finally:
            if server is not None:
                server.kill()


def last_words(folder: Path) -> str:
    """What all logs of a folder end with, and how full its disk is: the folder does not outlive the failure."""
    ends = [f"--- {shutil.disk_usage(folder).free // 1_000_000} MB are free on the disk of {folder}"]
    for log in sorted(folder.rglob("*.log")):
        with suppress(OSError):
            ends.append(f"--- {log.relative_to(folder)}\n{log.read_text(errors='replace')[-LAST_CHARACTERS:]}")
    return "\n".join(ends)
