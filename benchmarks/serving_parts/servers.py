"""The servers that are measured: how each is installed into an environment of its own, started and ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".headrace" / "peers"
START_S = 240.0
COMMON = ("numpy", "onnxruntime", "tokenizers")


@dataclass(frozen=True)
class Server:
    """`command` has `{python}` and `{port}` in it; `path` is where it answers. A peer names what it is installed by."""

    name: str
    path: str
    command: tuple[str, ...]
    packages: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        """Whether it is not ours."""
        return bool(self.packages)


def headrace(model: str, processes: int = 2) -> Server:
    """Ours, each answer logged as a decision."""
    app, path = ("app", "tiny-classifier") if model == "tiny" else ("encoder", "encoder-classifier")
    command = (
        "-c",
        "from headrace.cli.main import run; run()",
        "up",
        f"serving_parts.headrace_app:{app}",
        "--port",
        "{port}",
        "--data",
        "{data}",
        "--processes",
        str(processes),
    )
    return Server("headrace", f"/v1/{path}/classify", command)


def peers(model: str) -> list[Server]:
    """Each at its best setting for this model: batches for the tiny one, none for the encoder."""
    env = {"MODEL": model, "BATCH": "32" if model == "tiny" else "1"}
    uvicorn = ("-m", "uvicorn", "fastapi_app:app", "--port", "{port}", "--workers", "2", "--log-level", "error")
    bento = ("-m", "bentoml", "serve", "bentoml_app:Classifier", "--port", "{port}")
    return [
        Server(
            "mosec", "/inference", ("mosec_app.py", "--port", "{port}", "--capacity", "1024"), ("mosec==0.9.8",), env
        ),
        Server("fastapi", "/classify", uvicorn, ("fastapi", "uvicorn[standard]"), env),
        Server("litserve", "/predict", ("litserve_app.py", "{port}"), ("litserve",), env),
        Server("bentoml", "/classify", bento, ("bentoml",), env | {"BENTOML_DO_NOT_TRACK": "True"}),
    ]


@dataclass
class Running:
    """A server that answers: where, since how many seconds after its start, and the process that leads it."""

    port: int
    start_s: float
    pid: int

    def proportional_bytes(self) -> int:
        """The memory of all its processes, what they share divided among them (PSS)."""
        total = 0
        for pid in tree(self.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            except OSError:
                continue
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        return total

    def cpu_s(self) -> float:
        """Processor seconds of all its processes."""
        ticks = 0
        for pid in tree(self.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(server: Server, request: bytes, expected: bytes, env: dict[str, str]) -> Iterator[Running]:
    """Starts a server, waits for its first right answer, and ends it with all that it started."""
    python = _environment(server) if server.is_peer else Path(sys.executable)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = tempfile.mkdtemp(prefix="headrace-bench-")
    command = [str(python), *(part.format(port=port, data=data) for part in server.command)]
    environment = os.environ | env | server.env | {"OMP_NUM_THREADS": "1"}
    # What is installed is compiled for all of them, as an image of theirs would be; a start compiles nothing.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=HERE / "peers" if server.is_peer else HERE.parent,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while not _is_right(port, request, expected):
                if process.poll() is not None or perf_counter() - begun > START_S:
                    log.seek(0)
                    raise RuntimeError(f"{server.name} did not start: {log.read().decode(errors='replace')[-2000:]}")
                sleep(0.005)
            yield Running(port, perf_counter() - begun, process.pid)
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in reversed(tree(process.pid)):
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        continue
                try:
                    process.wait(10)
                    break
                except subprocess.TimeoutExpired:
                    continue
            shutil.rmtree(data, ignore_errors=True)


def _is_right(port: int, request: bytes, expected: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            received = b""
            while expected not in received:
                piece = connection.recv(65536)
                if not piece:
                    return False
                received += piece
            return True
    except OSError:
        return False


def _environment(server: Server) -> Path:
    """The Python of a peer, installed by uv where it is not there yet."""
    home = PEERS / server.name
    python = home / "bin" / "python"
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    if not python.exists():
        subprocess.run([uv, "venv", "-q", str(home), "--python", sys.executable], check=True)
    if not (home / ".installed").exists():
        subprocess.run(
            [uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python), *server.packages, *COMMON],
            check=True,
        )
        (home / ".installed").touch()
    return python


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return found
    for child in children:
        found += tree(int(child))
    return found
