"""The how-to on drift is true: its example runs to its end, and its snippets work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from served import served

from headrace.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/watch-for-drift.md").read_text(encoding="utf-8")


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.timeout(600)
def test_the_example_raises_an_alarm_that_names_its_cause_and_ends_with_a_report(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "examples/drifting_documents.py", "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    alarm = next(line for line in done.stdout.splitlines() if line.startswith("ALARM"))
    assert any(name in alarm for name in ("office", "language", "label", "meaning", "words", "characters"))
    assert "its signature is right" in done.stdout
    assert "released, and answered as dec_" in done.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Something has changed" in page
    assert "<svg" in page
    assert "headrace decisions show dec_" in page


async def test_the_code_of_the_page_answers_and_its_check_is_made(tmp_path):
    names = {}
    for snippet in snippets("python"):
        exec(compile(snippet, "watch-for-drift.md", "exec"), names)

    async with served(tmp_path, pipelines=names["app"].pipelines, checks=names["app"].checks) as mill:
        answer = (await mill.client.post("/v1/mill/grind", json={"sack": "rye"})).json()

    assert answer["output"] == {"grain": "rye", "weight": 9.5, "moisture": 0.3}
    assert answer["quality"]["findings"] == [{"code": "wet", "detail": "Moisture is 30%."}]
    assert names["Grist"]("rye", 3.0, 0.4).observation().categories == {"label": "rye"}


def test_the_settings_of_the_page_are_settings(tmp_path):
    (tmp_path / "headrace.toml").write_text(snippets("toml")[0], encoding="utf-8")

    settings = load_settings(tmp_path, {}, {})

    assert settings.alerts["slow"].above == 800
    assert settings.quality.rules["garbled"] == {"suspect": 0.1, "quarantine": 0.4}
