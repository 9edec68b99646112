"""Logs: structured lines, one JSON object each."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec


class Logger:
    """Writes one line an event: its facts, its name, the level and the moment; of an `exc_info` the whole trace.

    A line goes out in one piece, so that those of several processes that share a file do not tear each other apart.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def info(self, event: str, **facts: Any) -> None:
        """What an operator may want to know."""
        self._write("info", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """What an operator has to know."""
        self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        failure = facts.pop("exc_info", None)
        if isinstance(failure, BaseException):
            facts["exception"] = "".join(traceback.format_exception(failure))
        line = msgspec.json.encode(facts | {"event": event, "level": level, "timestamp": moment}, enc_hook=str)
        self._stream.write(line.decode() + os.linesep)
        self._stream.flush()


def configured_logs(stream: TextIO | None = None) -> Logger:
    """A logger that writes to `stream`, or to standard error."""
    return Logger(stream or sys.stderr)
