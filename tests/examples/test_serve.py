"""The how-to on serving is true: its application is written, and its commands run against it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from raised import DEADLINE_S, raised, surroundings

from headrace.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "words.py").write_text(snippets("python")[0])
    return tmp_path


def curls(url):
    commands = [line for each in snippets("sh") for line in each.splitlines() if line.startswith("curl")]
    return [
        subprocess.run(
            command.replace("http://127.0.0.1:8000", url),
            shell=True,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        ).stdout
        for command in commands
    ]


def test_the_application_of_the_page_answers_the_calls_of_the_page(folder):
    with raised(folder, "--only", "gateway", app="words:app") as server:
        counted, listed, ready, contract = map(json.loads, curls(server.url))

    assert counted["output"] == 6
    assert set(listed) == {"items", "next"}
    assert ready["ready"] is True
    assert "/v1/words/count" in contract["paths"]


def test_the_service_of_the_page_answers_apart(folder):
    with raised(folder, "--only", "service:counter", app="words:app") as service:
        url = {"HEADRACE_SERVICES__COUNTER__URL": service.url}
        with raised(folder, "--only", "gateway", app="words:app", **url) as server:
            counted = json.loads(curls(server.url)[0])

    assert counted["output"] == 6


def test_the_settings_of_the_page_are_settings(tmp_path):
    for number, each in enumerate(snippets("toml")):
        tomllib.loads(each)
        home = tmp_path / str(number)
        home.mkdir()
        (home / "headrace.toml").write_text(each)
        load_settings(home, {}, {})


def test_the_keys_of_the_page_are_made_and_listed(tmp_path):
    commands = [line for each in snippets("sh") for line in each.splitlines() if line.startswith("headrace keys")]
    told = [
        subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=surroundings() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        ).stdout
        for command in commands
    ]

    assert told[0].startswith("hrk_")
    assert "mail import" in told[1]
