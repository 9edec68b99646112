"""The house stays in order: short files, one noun each, named after it."""

from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"}


def test_the_sources_are_found():
    assert len(SOURCES) > 10


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_source_file_has_at_most_400_lines(source: Path):
    lines = source.read_text(encoding="utf-8").count("\n")

    assert lines <= 400, f"{source.name} has {lines} lines: split it by noun"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_source_file_is_named_after_its_noun(source: Path):
    assert NAMES_THAT_SAY_NOTHING.isdisjoint({source.stem, source.parent.name})
