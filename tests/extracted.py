"""Documents read in this process, and what must hold for every text that comes out."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from headrace import Context
from headrace_documents.extraction import TextExtractionService
from headrace_documents.schema import Document, Text

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"


@cache
def service() -> TextExtractionService:
    loaded = TextExtractionService()
    loaded.ensure_loaded()
    return loaded


def extracted(content: bytes, filename: str | None = None) -> Text:
    """The text of a document, read by the method itself: no worker process stands between."""
    document = Document(content, filename)
    return asyncio.run(TextExtractionService.methods["extract"].run(service(), document))


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def truth_of(name: str) -> str:
    return (SAMPLES / "truth" / f"{name}.txt").read_text(encoding="utf-8")


def corpus() -> Path:
    """The shared corpus of documents with their truth; skips loudly where it is not."""
    for home in filter(None, (os.environ.get("HEADRACE_SHARED"), ROOT.parent / "shared")):
        if (Path(home) / "corpus" / "manifest.json").is_file():
            return Path(home) / "corpus"
    pytest.skip("No shared corpus at ../shared/corpus (or HEADRACE_SHARED): fidelity was NOT tested.")


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def character_error(truth: str, found: str) -> float:
    """Edits per character of the truth, whatever the white space."""
    expected = normal(truth)
    return Levenshtein.distance(expected, normal(found)) / max(1, len(expected))


def check_places(text: Text) -> None:
    """Asserts what every answer relies on: offsets, pages, boxes and tables fit the text."""
    words = text.words
    assert len(words.starts) == len(words.ends) == len(words.pages) == len(words.boxes)
    assert np.all(words.starts < words.ends)
    assert np.all(words.ends[:-1] <= words.starts[1:])
    covered = "".join(text.characters[start:end] for start, end in zip(words.starts, words.ends, strict=True))
    assert covered == "".join(text.characters.split())
    by_number = {page.number: page for page in text.pages}
    for word in text.each_word():
        assert word.text == text.characters[word.start : word.end]
        if word.page is not None:
            page = by_number[word.page]
            assert page.start <= word.start < word.end <= page.end
        if word.box is not None:
            x0, y0, x1, y1 = word.box
            assert 0 <= x0 <= x1 <= page.width + 0.01
            assert 0 <= y0 <= y1 <= page.height + 0.01
    for table in text.tables:
        flat = [cell for row in table.rows for cell in row if cell]
        span = text.characters[table.start : table.end]
        assert "".join("".join(flat).split()) == "".join(span.split())
    assert text.document.characters == len(text.characters)


__all__ = ["Context", "character_error", "check_places", "corpus", "extracted", "normal", "sample", "truth_of"]
