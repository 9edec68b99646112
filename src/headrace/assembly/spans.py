"""The spans of a platform: exported where `[telemetry] otlp` names a collector, and nothing at all elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from headrace.errors import InvalidConfiguration
from headrace.serving.answer_spans import AnswerSpans
from headrace.serving.answered import Answered
from headrace.serving.door import Failed, Mourn
from headrace.serving.endpoint import Observe
from headrace.settings import Settings
from headrace.telemetry import Spans


def opened_spans(stack: AsyncExitStack, settings: Settings) -> Spans | None:
    """The spans that go to a collector, closed with `stack`; None when no collector is named.

    Raises:
        InvalidConfiguration: `share` is none, or the libraries are not installed.
    """
    telemetry = settings.telemetry
    if not 0 <= telemetry.share <= 1:
        raise InvalidConfiguration(f"[telemetry] share = {telemetry.share} is no share.", remedy="Write 0 to 1.")
    if not telemetry.otlp:
        return None
    exported = _library().ExportedSpans(telemetry.otlp, headers=telemetry.headers, attributes={}, share=telemetry.share)
    stack.push_async_callback(asyncio.to_thread, exported.close)
    spans: Spans = exported
    return spans


def observing(observe: Observe, spans: Spans | None) -> Observe:
    """Sees answers as `observe` does, and makes spans of them where there are any."""
    if spans is None:
        return observe
    told = AnswerSpans(spans)

    def observed(answered: Answered) -> None:
        told(answered)
        observe(answered)

    return observed


def mourning(mourn: Mourn, spans: Spans | None) -> Mourn:
    """Hears of failures as `mourn` does, and makes spans of them where there are any."""
    if spans is None:
        return mourn
    told = AnswerSpans(spans)

    async def mourned(failed: Failed) -> None:
        told.failed(failed)
        await mourn(failed)

    return mourned


def _library() -> Any:
    try:
        return import_module("headrace.telemetry.otlp")
    except ModuleNotFoundError as missing:
        raise InvalidConfiguration(
            "[telemetry] otlp names a collector, and the libraries to speak to it are not installed.",
            remedy="Install them: pip install 'headrace[otlp]'.",
        ) from missing
