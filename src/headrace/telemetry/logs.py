"""Logs: structured lines, one JSON object each."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configured_logs(stream: TextIO | None = None, *, level: str = "info") -> structlog.stdlib.BoundLogger:
    """A logger that writes one JSON object a line; what was bound by `structlog.contextvars` stands in each."""
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger
