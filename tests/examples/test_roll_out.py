"""The how-to on rollouts, run as it stands: its files are written, its commands run in one shell."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "roll-out-a-new-model.md"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: title=(?P<title>\S+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
DEADLINE_S = 600


def script_of(page, folder, port):
    """The commands of the page; its files are written into `folder`."""
    commands = ["set -euo pipefail"]
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "python":
            (folder / block["title"]).write_text(block["code"], encoding="utf-8")
        else:
            commands.append(block["code"].replace("8000", str(port)))
    return "\n".join(commands)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.timeout(DEADLINE_S + 60)
def test_a_good_model_is_promoted_a_broken_one_rolled_back_and_the_last_answer_given_again(tmp_path, port):
    shutil.copytree(ROOT / "samples" / "train", tmp_path / "samples" / "train")
    script = script_of(PAGE, tmp_path, port)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    log = tmp_path / "told"

    with log.open("w") as out:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            code = shell.wait(DEADLINE_S)
        finally:
            # What the page begins in the background belongs to the shell's own group, and goes with it.
            (tmp_path / "enough").touch()
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(shell.pid, number)
                    shell.wait(20)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue

    told = log.read_text()
    assert code == 0, told[-4000:]
    assert told.index("promoted, 100 % of the traffic") < told.index("rolled_back, 0 % of the traffic")
    assert "identical" in told.lower()
