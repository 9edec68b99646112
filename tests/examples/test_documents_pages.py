"""The tutorial, the how-tos and the explanation on classification and summaries are true: what they show runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headrace.assembly import Settings
from headrace.assembly.parts import parts_of
from headrace_documents.analyzer import DocumentAnalyzer
from headrace_documents.schema import Sentence
from headrace_documents.summarization import SummarizationService

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DEADLINE_S = 300
PAGES = (
    "tutorials/first-analysis.md",
    "how-to/train-your-own-labels.md",
    "how-to/summaries-by-a-language-model.md",
    "explanation/additive-explanations.md",
)


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def snippets(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def commands(name):
    return [line[2:] for block in snippets(name, "console") for line in block.splitlines() if line.startswith("$ ")]


def run(command, home, code=0):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tutorial_runs_from_the_first_question_to_the_taught_model(tmp_path):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    said = {command: run(command, tmp_path) for command in commands("tutorials/first-analysis.md")}

    line = json.loads(said["headrace analyze samples/inbox/scan-0012.pdf --json"])
    explanation = line["classification"]["explanation"]
    weights = sum(each["weight"] for each in explanation["evidence"])
    assert line["classification"]["label"] == "invoice"
    assert explanation["base"] + weights + explanation["rest"] == pytest.approx(explanation["total"], abs=1e-4)
    assert all(each["boxes"] for each in explanation["evidence"])
    assert (tmp_path / "out/report/index.html").is_file()
    assert "document-classifier@champion is now sha256:" in said["headrace train samples/train"]


def test_training_goes_on_without_what_cannot_be_read_and_takes_lines(tmp_path):
    folder, lines = commands("how-to/train-your-own-labels.md")
    for label in ("invoice", "letter"):
        (tmp_path / "mails" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / f"mails/{label}/{number}.txt").write_text(f"This is {label} number {number} of the {label}s.")
    (tmp_path / "mails/letter/broken.pdf").write_bytes(b"%PDF-1.7 cut off")
    said = run(folder, tmp_path, code=3)
    assert "(6 examples)" in said

    (one,) = snippets("how-to/train-your-own-labels.md", "json")
    example = json.loads(one)
    rows = [example, {"text": "Dear aunt, kind regards.", "label": "letter"}] * 2
    (tmp_path / "examples.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    digests = {re.search(r"sha256:[0-9a-f]{64}", run(lines, tmp_path).replace("\n", ""))[0] for _ in range(2)}
    assert len(digests) == 1


def test_a_label_set_of_one_is_refused_as_the_page_says(tmp_path):
    rows = [{"text": f"Pay invoice {number}.", "label": "invoice"} for number in range(12)]
    (tmp_path / "one.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    run("headrace train one.jsonl 2> told", tmp_path, code=1)

    told = " ".join((tmp_path / "told").read_text().split())
    assert "The 12 examples are all 'invoice', so there is nothing to tell apart." in told
    assert "The 12 examples are all 'invoice'" in page("how-to/train-your-own-labels.md")


def test_the_settings_of_the_page_are_settings():
    (toml,) = snippets("how-to/summaries-by-a-language-model.md", "toml")
    part = parts_of([DocumentAnalyzer()], Settings(**tomllib.loads(toml)))["summarizer"]

    assert part.options.url == "http://127.0.0.1:8080/v1"
    assert [rung.name for rung in part.rungs["summarize"]] == ["extractive", "lead"]


def test_the_fields_of_the_page_are_fields():
    summary, degraded = (json.loads(each) for each in snippets("how-to/summaries-by-a-language-model.md", "json"))

    (sentence,) = summary["sentences"]
    assert set(sentence) - {"sources"} <= set(Sentence.__dataclass_fields__)
    assert degraded["degraded"][0]["used"] in [rung.name for rung in SummarizationService.ladders["summarize"]]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)\)", page(name))

    assert links or "](" not in page(name)
    assert all(((DOCS / name).parent / link).exists() for link in links)


def test_the_index_names_every_page():
    index = page("README.md")

    assert all(f"({name})" in index for name in PAGES)
    assert shutil.which("make"), "the pages tell readers to run make"
