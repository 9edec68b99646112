"""Logs: structured lines, one JSON object each."""

from __future__ import annotations

import logging
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

    def hear_libraries(self) -> None:
        """Writes what libraries warn of in lines of this form too; Python would write it as plain text beside them."""
        logging.getLogger().addHandler(_Heard(self))

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        failure = facts.pop("exc_info", None)
        if isinstance(failure, BaseException):
            facts["exception"] = "".join(traceback.format_exception(failure))
        line = msgspec.json.encode(facts | {"event": event, "level": level, "timestamp": moment}, enc_hook=str)
        self._stream.write(line.decode() + os.linesep)
        self._stream.flush()


class _Heard(logging.Handler):
    """Passes on what is logged by libraries, from warnings upwards."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """As an error what the library calls one."""
        write = self._logger.error if record.levelno >= logging.ERROR else self._logger.info
        failure = record.exc_info[1] if record.exc_info else None
        write("library_warned", library=record.name, message=record.getMessage(), exc_info=failure)


def configured_logs(stream: TextIO | None = None) -> Logger:
    """A logger that writes to `stream`, or to standard error."""
    return Logger(stream or sys.stderr)
