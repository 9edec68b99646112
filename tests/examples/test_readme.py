"""The README is true: its commands run as they stand, its snippet is an application."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from raised import DEADLINE_S, raised
from typer.testing import CliRunner

import headrace_documents.schema as shapes
from headrace.cli.main import app
from headrace_documents.extraction import TextExtractionService
from headrace_documents.summarization import SummarizationService

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Taught and rolled out in the tutorial and the how-to on rollouts, whose commands run too; these take minutes.
ELSEWHERE = ("headrace train", "headrace releases create", "headrace rollouts start", "headrace decisions replay")
PLACEHOLDER = re.compile(r"\S*…\S*")


def commands(section):
    """The command lines below a heading, without what they say of themselves."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]


def run(command, folder, code=0):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    inbox = tmp_path / "samples" / "inbox"
    inbox.mkdir(parents=True)
    (tmp_path / "mails").mkdir()
    for name, place in (("1103.pdf", inbox), ("message-2.eml", tmp_path / "mails")):
        shutil.copy(ROOT / "samples/inbox" / name, place)
    shutil.copy(ROOT / "samples/inbox/A7-final-signed.pdf", tmp_path / "contract.pdf")
    return tmp_path


def test_the_targets_are_targets_of_make():
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)

    assert targets
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)


def test_documents_are_analysed_as_the_page_says(folder):
    chosen = [each for each in commands("Analyse documents") if each.startswith("headrace analyze")]
    told = {command: run(command, folder) for command in chosen}

    lines = [json.loads(line) for line in told["headrace analyze contract.pdf mails/ --json"].splitlines()]
    assert len(lines) == 2
    assert all(line["classification"]["label"] for line in lines)
    assert (folder / "out/report/index.html").is_file()


def test_what_is_served_answers_the_calls_of_the_page(folder):
    up, curl = commands("Serve them")
    later = commands("Answer later")
    monitor = next(each for each in commands("Change what answers") if each.startswith("headrace monitor"))

    assert up == "headrace up"
    with raised(folder, app="headrace_documents.app:app") as server:
        answer = json.loads(run(curl.replace("http://127.0.0.1:8000", server.url), folder))
        for command in later:
            run(f"{command.replace(' --server http://127.0.0.1:8000', '')} --server {server.url}", folder)
        run(f"HEADRACE_DATA={folder / 'data'} {monitor}", folder)

    assert answer["decision_id"].startswith("dec_")
    assert answer["document"]["filename"] == "1103.pdf"


def test_every_command_of_the_page_is_one_and_has_its_options():
    lines = re.findall(r"^(headrace .*?)(?:\s{2,}#.*)?$", README, re.MULTILINE)

    assert any(line.startswith(ELSEWHERE) for line in lines)
    for line in lines:
        words = PLACEHOLDER.sub("x", line).split()
        names = [words[1]] if words[1] in {"analyze", "up", "train", "doctor"} else words[1:3]
        told = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0, line
        assert all(option in told.output for option in words if option.startswith("--")), line


def test_the_snippet_is_an_application():
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    names = {name: getattr(shapes, name) for name in ("Text", "Document", "Classification")}
    names |= {"Analysis": dict, "TextExtractionService": TextExtractionService}
    names |= {"SummarizationService": SummarizationService, "__name__": "readme"}

    exec(compile(code, "README.md", "exec"), names)

    assert set(names["ClassificationService"].methods) == {"classify"}
    assert set(vars(names["DocumentAnalyzer"]())) == {"text_extractor", "classifier", "summarizer"}
