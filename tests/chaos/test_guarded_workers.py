"""Workers that crash, hang, hoard and attack; and parents that are killed."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from authored import GuardedEcho, Hostile

from headrace.errors import Unreadable
from headrace.serving.context import Context
from headrace.serving.runtimes.confinement import ALL_PROTECTIONS
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of

TESTS = Path(__file__).parents[1]


@asynccontextmanager
async def raised(guard):
    origin = origin_of(Hostile(), guard=guard, artifact=None)
    built = GuardedReplicas(origin, Hostile.methods, count=1, spares=1)
    await built.start()
    try:
        yield built
    finally:
        await built.close()


@pytest.fixture
async def replicas():
    async with raised(Hostile.guard) as built:
        yield built


@pytest.fixture
async def protected(replicas):
    missing = set(ALL_PROTECTIONS) - set(replicas.health().protections)
    if missing:
        pytest.skip(f"this kernel does not give: {', '.join(sorted(missing))}")
    return replicas


async def ask(replicas, method, question):
    return (await replicas.ask(Hostile.methods[method], question, Context())).value


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("abort", "signal 6"),
        ("die", "killed"),
        ("fault", "signal 11"),
        ("hoard", "memory"),
        ("lie", "not of the type"),
        ("babble", "not of the type"),
    ],
)
async def test_a_document_that_ends_its_readers_is_refused_with_the_reason(replicas, method, reason):
    with pytest.raises(Unreadable, match=reason):
        await ask(replicas, method, "x")

    assert await ask(replicas, "greet", "still here") == "still here"


async def test_a_document_that_takes_too_long_is_refused_with_the_time():
    async with raised(replace(Hostile.guard, wall_s=1.5)) as impatient:
        with pytest.raises(Unreadable, match=r"took longer than the 1\.5 s"):
            await ask(impatient, "hang", "x")

        assert await ask(impatient, "greet", "still here") == "still here"


async def test_a_death_is_told_with_the_log_of_the_worker():
    told = []
    origin = origin_of(Hostile(), guard=Hostile.guard, artifact=None)
    replicas = GuardedReplicas(
        origin, Hostile.methods, count=1, spares=0, on_death=lambda reason, log: told.append((reason, log))
    )
    await replicas.start()
    try:
        with pytest.raises(Unreadable):
            await ask(replicas, "fault", "x")
    finally:
        await replicas.close()

    assert len(told) == 2
    assert "signal 11" in told[0][0]
    assert "Segmentation fault" in told[0][1]


@pytest.mark.parametrize(
    ("method", "question", "outcome"),
    [
        ("map_memory", "x", "OSError"),
        ("fork", "x", "PermissionError"),
        ("run", sys.executable, "PermissionError"),
        ("read", "/etc/passwd", "PermissionError"),
        ("read", str(Path(__file__)), "PermissionError"),
        ("read", "/proc/1/environ", "PermissionError"),
        ("make_device", "disc", "PermissionError"),
        ("listen", "\0abstract", "PermissionError"),
    ],
)
async def test_a_worker_may_not_leave_its_cell(protected, method, question, outcome):
    assert await ask(protected, method, question) == outcome


async def test_a_worker_may_not_touch_its_parent(protected):
    assert await ask(protected, "kill", os.getpid()) == "PermissionError"
    assert await ask(protected, "read", f"/proc/{os.getpid()}/environ") == "PermissionError"


async def test_a_worker_reaches_no_network(protected):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await ask(protected, "connect", server.getsockname()[1]) == "PermissionError"


@pytest.mark.parametrize("method", ["write", "truncate", "chmod", "read"])
async def test_a_worker_cannot_touch_a_file_of_its_owner(protected, tmp_path, method):
    file = tmp_path / "precious.txt"
    file.write_text("precious")
    mode = file.stat().st_mode

    outcome = await ask(protected, method, str(file))

    assert outcome == "PermissionError"
    assert file.read_text() == "precious"
    assert file.stat().st_mode == mode


async def test_a_worker_may_start_threads_and_write_into_its_own_folder(protected):
    assert await ask(protected, "thread", "x") == "done"
    assert await ask(protected, "leave_behind", "note.txt") == ""


async def test_a_document_finds_no_traces_of_the_one_before(replicas):
    await ask(replicas, "leave_behind", "note.txt")

    assert await ask(replicas, "leave_behind", "other.txt") == ""


async def test_a_worker_sees_nothing_of_its_parents_environment(replicas, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert await ask(replicas, "environment", "AWS_SECRET_ACCESS_KEY") == "nothing"


async def test_a_worker_that_prints_without_end_is_answered_all_the_same(replicas):
    assert await ask(replicas, "shout", "x") == "done"


async def test_a_spare_takes_over_while_another_is_raised(replicas):
    with pytest.raises(Unreadable):
        await ask(replicas, "abort", "x")

    assert await ask(replicas, "greet", "hello") == "hello"
    assert replicas.health().restarts == 2


async def test_a_worker_that_was_killed_while_idle_is_replaced(replicas):
    for pid in _children():
        os.kill(pid, signal.SIGKILL)

    assert await ask(replicas, "greet", "hello") == "hello"


def test_an_unbound_guarded_service_works_from_one_event_loop_after_the_other():
    service = GuardedEcho()

    first = asyncio.run(service.echo("one"))
    second = asyncio.run(service.echo("two"))

    assert (first, second) == ("one", "two")


def test_an_unbound_guarded_service_recovers_from_a_loop_that_ended_in_mid_call():
    service = GuardedEcho()

    async def leave_early():
        call = asyncio.create_task(service.linger(30.0))
        while not _children():
            await asyncio.sleep(0.01)
        del call

    asyncio.run(leave_early())

    assert asyncio.run(service.echo("again")) == "again"


def test_no_worker_outlives_a_parent_that_is_killed():
    script = (
        "import asyncio, os, sys\n"
        "from authored import GuardedEcho\n"
        "from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of\n"
        "async def main():\n"
        "    origin = origin_of(GuardedEcho(), guard=GuardedEcho.guard, artifact=None)\n"
        "    replicas = GuardedReplicas(origin, GuardedEcho.methods, count=2)\n"
        "    await replicas.start()\n"
        "    print(*[w._process.pid for w in replicas._workers], flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TESTS)}
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    watches = [os.pidfd_open(pid) for pid in workers]

    parent.kill()
    parent.wait()

    assert len(workers) == 3
    for watch in watches:
        readable, _, _ = select.select([watch], [], [], 10)
        assert readable, "a worker lives on"


def test_a_program_that_ends_leaves_no_worker_and_no_folder(tmp_path):
    script = "import asyncio\nfrom authored import GuardedEcho\nprint(asyncio.run(GuardedEcho().echo('hello')))\n"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)},
    )

    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "", 0)
    assert list(tmp_path.iterdir()) == []


def _children() -> list[int]:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="ascii")
    return [int(pid) for pid in listed.split()]
