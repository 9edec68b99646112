"""`headrace models`, `releases`, `decisions replay` and `feedback` as a user runs them, on a small application."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from milled import WORD, app, settings_in

from headrace.serving.context import Context

TESTS = Path(__file__).parents[1]
DEADLINE_S = 120


@pytest.fixture
def home(tmp_path):
    for word in ("granite", "basalt"):
        (tmp_path / word).mkdir()
        (tmp_path / word / WORD).write_text(json.dumps(word))
    (tmp_path / "jute").mkdir()
    (tmp_path / "jute" / WORD).write_text('"jute"')
    return tmp_path


@pytest.fixture
def headrace(home):
    def run(*arguments: object, code=0):
        done = subprocess.run(
            [sys.executable, "-c", "from headrace.cli.main import run; run()", *map(str, arguments), "--data", "data"],
            cwd=home,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def answered(home, corn="rye"):
    async def ask():
        async with app.running(settings_in(home / "data")) as running:
            answered = await running.endpoints["mill/run"].answer(corn, context=Context(), input_digest="")
            return answered.decision

    return asyncio.run(ask())


def test_versions_are_registered_pinned_compared_and_replayed(home, headrace):
    headrace("models", "register", "jute", "--name", "sack", "--alias", "champion")
    first = headrace("models", "register", "granite", "--name", "stone", "--alias", "champion").stdout.strip()
    second = headrace("models", "register", "basalt", "--name", "stone", "--alias", "challenger").stdout.strip()

    listed = json.loads(headrace("models", "list", "--json").stdout)
    assert {(each["name"], *each["aliases"]) for each in listed} == {
        ("sack", "champion"), ("stone", "champion"), ("stone", "challenger"),
    }  # fmt: skip
    assert "granite" in headrace("models", "show", "stone").stdout
    assert headrace("models", "verify").stdout.count("is whole") == 3
    headrace("models", "lock", "--app", "milled:app")
    lock = (home / "headrace.lock").read_text()
    assert first in lock
    assert second not in lock

    decision = answered(home)
    replayed = headrace("decisions", "replay", decision.id, "--app", "milled:app", "--json")
    assert json.loads(replayed.stdout)["identical"] is True
    candidate = headrace("releases", "create", "--model", "stone@challenger", "--app", "milled:app").stdout.strip()
    assert len(json.loads(headrace("releases", "list", "--json").stdout)) == 2
    assert "models.stone" in headrace("releases", "diff", decision.release, candidate).stdout
    assert json.loads(headrace("releases", "show", candidate[:20], "--json").stdout)["id"] == candidate
    different = headrace("decisions", "replay", decision.id, "--release", candidate, "--app", "milled:app")
    assert "granite" in different.stdout
    assert "basalt" in different.stdout

    headrace("models", "alias", "stone", "champion", "stone@challenger")
    refused = headrace("up", "milled:app", "--port", "0", code=1)
    assert f"headrace models alias stone champion {first}" in refused.stderr


def test_models_go_out_and_come_back(home, headrace):
    digest = headrace("models", "register", "granite", "--name", "stone").stdout.strip()
    headrace("models", "export", digest, "--mlflow", "flow")
    headrace("models", "export", digest[:20], "--modelpack", "pack")

    assert headrace("models", "register", "flow").stdout.strip() == digest
    assert headrace("models", "register", "pack").stdout.strip() == digest
    (home / "bad.pkl").write_bytes(b"\x80\x04N.")
    assert "pickle" in headrace("models", "register", "bad.pkl", "--name", "x", code=1).stderr
    victim = next((home / "data" / "models" / "versions").rglob(WORD))
    victim.write_text('"slate!!"')
    assert "changed" in headrace("models", "verify", code=1).stderr


def test_feedback_comes_one_by_one_and_in_files(home, headrace):
    first, second = answered(home), answered(home)

    assert headrace("feedback", "label", first.id, "flour").stdout.startswith("fbk_")
    assert headrace("feedback", "outcome", first.id, "loaves", "3").stdout.startswith("out_")
    (home / "f.csv").write_text(
        f"decision_id,label,metric,value\n{first.id},bran,,\n{second.id},,loaves,4\ndec_0,a,,\n"
    )
    (home / "f.jsonl").write_text(json.dumps({"decision_id": second.id, "label": "flour", "by": "Ada"}) + "\n")

    partly = headrace("feedback", "upload", "f.csv", code=3)
    headrace("feedback", "upload", "f.jsonl")

    assert "2 kept, 1 refused" in partly.stdout
    assert "Row 3" in partly.stderr
    shown = json.loads(headrace("decisions", "feedback", first.id, "--json").stdout)
    assert (shown["label"], shown["values"]) == ("bran", {"loaves": 3.0})
    headrace("feedback", "label", "dec_0", "x", code=1)
    (home / "bad.csv").write_text("id,label\n1,2\n")
    assert "decision_id" in headrace("feedback", "upload", "bad.csv", code=1).stderr
