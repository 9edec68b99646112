"""The page on formats and limits says what the code does."""

from dataclasses import fields
from pathlib import Path

import pytest

from headrace_documents.media_types import EXTENSIONS
from headrace_documents.readers.reader import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("limit", fields(Limits), ids=lambda limit: limit.name)
def test_every_limit_is_told_with_its_default(limit):
    assert f"| `{limit.name}` | {int(limit.default):,} |" in PAGE


@pytest.mark.parametrize("extension", sorted({each for names in EXTENSIONS.values() for each in names}))
def test_every_ending_is_told(extension):
    listed = {
        each.strip() for line in PAGE.splitlines() if line.startswith("| ") for each in line.split("|")[2].split(",")
    }

    assert extension in listed
