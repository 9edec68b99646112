"""Logs are lines for machines."""

import io
import json
import logging
from pathlib import Path

import pytest

from headrace.telemetry import configured_logs


def test_each_event_is_one_line_with_its_facts_whatever_they_are():
    stream = io.StringIO()
    logger = configured_logs(stream)

    logger.info("serving", port=8000, folder=Path("data"))
    logger.error("member_died", reason="two\nlines")

    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first["event"] == "serving"
    assert (first["port"], first["folder"], first["level"]) == (8000, "data", "info")
    assert first["timestamp"].endswith("Z")
    assert (second["level"], second["reason"]) == ("error", "two\nlines")


def test_a_failure_is_told_with_its_trace():
    stream = io.StringIO()
    with pytest.raises(ValueError, match="stands still") as failure:
        int("the mill stands still")
    configured_logs(stream).error("request_failed", exc_info=failure.value)

    (told,) = map(json.loads, stream.getvalue().splitlines())
    assert told["exception"].splitlines()[-1].startswith("ValueError: ")
    assert "test_logs.py" in told["exception"]


def test_what_a_library_warns_of_is_a_line_like_all_others(monkeypatch):
    stream = io.StringIO()
    root = logging.getLogger()
    # Other tests, and libraries beneath them, may have left logging as no server has it.
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)
    monkeypatch.setattr(root.manager, "disable", logging.NOTSET)
    configured_logs(stream).hear_libraries()
    logging.getLogger("millstone").warning("worn by %s", "grit")
    logging.getLogger("millstone").info("turning")

    (told,) = map(json.loads, stream.getvalue().splitlines())
    assert told["event"] == "library_warned"
    assert (told["library"], told["message"], told["level"]) == ("millstone", "worn by grit", "info")
