"""Logs are lines for machines."""

import io
import json
from pathlib import Path

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
