"""The how-tos on decisions and models: each of their commands runs, with real ids where the page has made-up ones."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DEADLINE_S = 300
LESSONS = {
    "invoice": ("Invoice number {}: the amount due is 100 euros.", "Please pay invoice {} by the due date."),
    "letter": ("Dear friend {}, with kind regards from the sea.", "My dear aunt {}, thank you for your letter."),
}


@pytest.fixture
def shell(tmp_path):
    """Runs a command in a folder of its own and gives what it printed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(command, code=0):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def lessons(tmp_path):
    """Small files of examples, in the place of the folders that the pages name."""
    for name, count in (("first.jsonl", 8), ("more.jsonl", 12)):
        lines = [
            json.dumps({"text": text.format(number), "label": label})
            for label, texts in LESSONS.items()
            for text in texts
            for number in range(count)
        ]
        (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / "a.txt").write_text("Invoice number 7: the amount due is 100 euros.")


def commands_of(page):
    blocks = CONSOLE.findall((HOW_TO / page).read_text(encoding="utf-8"))
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def filled(command, known):
    for made_up, real in known.items():
        command = command.replace(made_up, real)
    return command


@pytest.mark.timeout(900)
def test_models_are_pinned_and_exchanged_as_the_page_says(shell, lessons, tmp_path):
    shell("git init -q .")
    known = {"samples/train": "first.jsonl", "more/": "more.jsonl"}

    for command in commands_of("pin-and-exchange-models.md"):
        printed = shell(filled(command, known))
        if command.startswith("headrace models lock"):
            known["sha256:3f2a"] = json.loads(shell("headrace analyze a.txt --json"))["release"]
        if command.startswith("headrace releases create"):
            known["sha256:91bc"] = printed.strip()
            (version,) = [
                each for each in json.loads(shell("headrace models list --json")) if "champion" in each["aliases"]
            ]
            files = tmp_path / ".headrace" / "models" / "versions" / version["digest"][7:] / "files"
            shutil.copytree(files, tmp_path / "exported")
        if command.startswith("headrace releases diff"):
            assert "models.classifier" in printed

    assert (tmp_path / "headrace.lock").is_file()
    assert (tmp_path / "flow" / "MLmodel").is_file()
    assert (tmp_path / "pack" / "oci-layout").is_file()


@pytest.mark.timeout(900)
def test_answers_are_looked_up_and_given_again_as_the_page_says(shell, lessons, tmp_path):
    shell("headrace train first.jsonl --model document-classifier")
    shell("headrace train more.jsonl --model document-classifier --alias challenger")
    answer = json.loads(shell("headrace analyze a.txt --json"))
    other = shell("headrace releases create --model document-classifier@challenger").strip()
    known = {"dec_0192f3c4-…": answer["decision_id"], "sha256:91bc": other}
    (tmp_path / "corrections.csv").write_text(f"decision_id,label\n{answer['decision_id']},letter\n")

    printed = [shell(filled(command, known)) for command in commands_of("look-up-and-replay-answers.md")]

    assert any("identical" in each for each in printed)
    assert "letter" in printed[-1]
    again = shell(f"headrace decisions replay {shlex.quote(answer['decision_id'])} --input a.txt")
    assert "identical" in again


def test_the_redaction_of_the_page_keeps_the_length_and_takes_long_numbers_out():
    (code,) = PYTHON.findall((HOW_TO / "look-up-and-replay-answers.md").read_text(encoding="utf-8"))
    names = {}
    exec(compile(code, "page", "exec"), names)

    text = "Call 0171 2345 6789 about invoice 7."
    masked = names["masked"](text)

    assert len(masked) == len(text)
    assert "0171" not in masked
    assert "invoice 7" in masked
    assert names["app"].redact is names["masked"]
