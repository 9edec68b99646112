"""Fidelity on the shared corpus: characters, tables, places, format by format."""

import json
import os
from pathlib import Path

import pytest
from extracted import ROOT, character_error, check_places, corpus, extracted, normal

from headrace_documents.media_types import EXTENSIONS

HOMES = [Path(home) for home in (os.environ.get("HEADRACE_SHARED"), str(ROOT.parent / "shared")) if home]
MANIFEST = next((home / "corpus" / "manifest.json" for home in HOMES if (home / "corpus").is_dir()), None)
ENTRIES = json.loads(MANIFEST.read_text(encoding="utf-8")) if MANIFEST else []
SCANS = {"scan", "mixed", "clean-200dpi", "noisy-skew", "150dpi-jpeg35", "3-page-g4"}
# A manual and its text twin differ by page headers, contents lists and link marks: only ratios count there.
BOUNDS = {"real-manual": 0.4, "consensus": 0.03, "scan": 0.01}


def bound_of(entry) -> float:
    tags = set(entry["tags"])
    if tags & SCANS:
        return BOUNDS["scan"]
    return next((BOUNDS[tag] for tag in tags if tag in BOUNDS), 0.02)


def read(entry):
    path = corpus() / entry["file"]
    return extracted(path.read_bytes(), path.name)


def test_the_corpus_is_there():
    assert (corpus() / "docs").is_dir()


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if not set(e["tags"]) & SCANS], ids=lambda e: Path(e["file"]).name
)
def test_a_document_is_read_as_it_is_written(entry):
    text = read(entry)

    check_places(text)
    assert text.document.media_type in {
        kind for kind, names in EXTENSIONS.items() if Path(entry["file"]).suffix[1:] in names
    }
    truth = (corpus() / entry["truth"]).read_text(encoding="utf-8")
    assert character_error(truth, text.characters) <= bound_of(entry)
    rows = [[normal(cell) for cell in row] for table in text.tables for row in table.rows]
    wanted = [[normal(cell) for cell in row] for table in entry["tables"] or [] for row in table]
    assert [row for row in wanted if row not in rows] == []


@pytest.mark.parametrize("name", ["pdf-mixed-1000.pdf", "scan-clean-1000.png", "scan-lowq-1000.jpg"])
def test_a_scanned_page_is_read(name):
    entry = next(iter(e for e in ENTRIES if e["file"].endswith(name)), None) or pytest.skip("no shared corpus")

    text = read(entry)

    check_places(text)
    assert text.document.ocr
    truth = (corpus() / entry["truth"]).read_text(encoding="utf-8")
    assert character_error(truth, text.characters) <= bound_of(entry)
    rows = [[normal(cell) for cell in row] for table in text.tables for row in table.rows]
    wanted = [[normal(cell) for cell in row] for table in entry["tables"] or [] for row in table]
    assert [row for row in wanted if row not in rows] == []
