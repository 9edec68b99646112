"""The processes of a server as one tree: killed, drained, replaced, and started where they cannot be."""

import os
import resource
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from raised import DEADLINE_S, children_of, command, descendants_of, is_alive, raised, surroundings


def wait_until(claim):
    deadline = time.monotonic() + DEADLINE_S
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def grind(client, word="wheat"):
    return client.post("/v1/mill/grind", json={"corn": word})


def test_a_server_answers_by_several_processes_and_adds_up_their_metrics(tmp_path):
    with raised(tmp_path, "--processes", 2, "--only", "gateway") as server:
        for _ in range(40):
            with server.client() as client:
                assert grind(client).json()["output"] == "wheat"
        with server.client() as client:
            metrics = [client.get("/metrics").text for _ in range(6)]
        members = server.members()

    assert len(members) == 2
    line = 'headrace_requests_total{route="/v1/mill/grind",status="200"} 40.0'
    assert all(line in each for each in metrics)


def test_what_may_be_preloaded_is_made_once_by_the_parent_and_used_by_every_process(tmp_path):
    with raised(tmp_path, "--processes", 2, "--only", "gateway", app="millapp:register") as server:
        answers = set()
        for _ in range(40):
            with server.client() as client:
                answers.add(client.post("/v1/register/born", json={"word": "who"}).json()["output"])

        made_by, answered_by = zip(*(answer.split() for answer in answers), strict=True)

        assert set(made_by) == {str(server.process.pid)}
        assert set(answered_by) <= set(map(str, server.members()))


def test_a_process_that_holds_too_much_is_relieved_by_a_fresh_one_that_is_ready_before(tmp_path):
    memory = {"HEADRACE_SERVICES__LEAK__MEMORY": "400 MB"}
    with raised(tmp_path, "--only", "gateway", app="millapp:hoard", **memory) as server:
        (first,) = server.members()
        answered_by = []
        deadline = time.monotonic() + DEADLINE_S
        while not answered_by or answered_by[-1] == first:
            assert time.monotonic() < deadline
            # A connection that is opened in the moment in which a server stops may be closed unanswered by any server.
            with server.client() as client, suppress(httpx.RemoteProtocolError):
                kept = client.post("/v1/hoard/keep", json={"megabytes": 20 if len(answered_by) < 20 else 0})
                assert kept.status_code == 200
                answered_by.append(kept.json()["output"])
            time.sleep(0.01)
        wait_until(lambda: first not in server.members())

        assert server.wait_for("memory_ceiling_passed")["ceiling_bytes"] == 400_000_000
        assert server.wait_for("member_relieved")["member"] == "server"
        assert not [each for each in server.told if each.get("event") == "member_died"]
        assert len(server.members()) == 1


def test_a_process_that_hangs_takes_no_new_clients_with_it(tmp_path):
    with raised(tmp_path, "--processes", 2, "--only", "gateway") as server:
        server.wait_for("ready")
        for hanging in server.members():
            os.kill(hanging, signal.SIGSTOP)
            try:
                for _ in range(12):
                    with server.client() as client:
                        assert grind(client).json()["output"] == "wheat"
            finally:
                os.kill(hanging, signal.SIGCONT)


def test_a_process_that_is_told_to_end_turns_no_client_away(tmp_path):
    answers: list[int] = []
    over = threading.Event()

    def come_and_go(url):
        while not over.is_set():
            # A client for each call, and so a connection.
            answers.append(httpx.get(f"{url}/livez", trust_env=False, timeout=DEADLINE_S).status_code)

    with raised(tmp_path, "--processes", 2, "--only", "gateway") as server:
        server.wait_for("ready")
        with ThreadPoolExecutor(4) as pool:
            coming = [pool.submit(come_and_go, server.url) for _ in range(4)]
            try:
                for count in range(1, 4):
                    os.kill(server.members()[0], signal.SIGTERM)
                    server.wait_for("member_died", count=count)
                    before = len(answers)
                    wait_until(lambda before=before: len(answers) > before + 20 or any(each.done() for each in coming))
            finally:
                over.set()
        for each in coming:
            each.result()

    assert set(answers) == {200}


def test_killing_the_parent_ends_the_whole_tree_with_its_workers(tmp_path):
    with raised(tmp_path, "--processes", 2, "--only", "gateway", app="millapp:guarded") as server:
        tree = descendants_of(server.process.pid)
        assert len(tree) > 4

        server.process.kill()

        wait_until(lambda: not any(map(is_alive, tree)))


def test_a_killed_process_is_replaced_and_the_others_answer_meanwhile(tmp_path):
    with raised(tmp_path, "--processes", 2, "--only", "gateway") as server:
        victim = server.members()[0]

        os.kill(victim, signal.SIGKILL)

        server.wait_for("serving", count=3)
        assert server.wait_for("member_died")["reason"] == "SIGKILL"
        with server.client() as client:
            assert grind(client).status_code == 200
        wait_until(lambda: len(server.members()) == 2)
        assert victim not in server.members()


def test_a_stopped_server_answers_all_that_it_was_asked(tmp_path):
    with raised(tmp_path) as server, server.client() as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.post, "/v1/mill/linger", json={"seconds": 3.0}) for _ in range(8)]
        wait_until(lambda: b"in_flight_requests 8.0" in client.get("/metrics").content)

        server.process.terminate()

        assert [call.result(DEADLINE_S).status_code for call in calls] == [200] * 8
        assert server.process.wait(DEADLINE_S) == 0
        server.wait_for("drained")
        assert children_of(server.process.pid) == []


def test_a_server_that_is_paused_and_continued_goes_on(tmp_path):
    with raised(tmp_path) as server:
        tree = [server.process.pid, *descendants_of(server.process.pid)]
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        # What is tested is that much more time passes than one look at the members takes.
        time.sleep(3.0)
        for pid in tree:
            os.kill(pid, signal.SIGCONT)

        with server.client() as client:
            assert grind(client).status_code == 200
        time.sleep(1.5)

        assert server.process.poll() is None
        assert not [each for each in server.told if each.get("event") in {"drained", "stopped", "member_died"}]


def failed_start(tmp_path, *arguments: object, **options: object) -> str:
    done = subprocess.run(
        command("up", "millapp:app", *arguments),
        cwd=tmp_path,
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        **options,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        told = failed_start(tmp_path, "--port", port)

    assert f"Port {port} of 127.0.0.1 is taken" in told
    assert "--port" in told


def test_a_second_server_does_not_share_the_port_of_the_first(tmp_path):
    with raised(tmp_path) as server:
        told = failed_start(tmp_path, "--port", server.url.rpartition(":")[2])

    assert "is taken" in told


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    told = failed_start(tmp_path, "--port", 0, "--data", "file/data")

    assert "file/data cannot be made" in told
    assert "--data" in told


def test_a_disc_without_room_is_named(tmp_path):
    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    told = failed_start(tmp_path, "--port", 0, "--data", "data", preexec_fn=no_room)

    assert "has room" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "gatway"), "There is no role 'gatway'"),
        (("--processes", "many"), "is no number of processes"),
        (("--host", "no.such.host.invalid"), "no address of this machine"),
        (("--port", "70000"), "is no port"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, arguments, told):
    assert told in failed_start(tmp_path, "--port", 0, *arguments)
