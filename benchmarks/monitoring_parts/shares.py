# ruff: noqa: SLF001, ASYNC110 - it looks at threads from inside, and waits until all was looked at
"""What part of the processor time of documents watching takes, whatever else the machine does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time, thread_time
from typing import Any

from decision_log import children_of, documents_argument, patiently, pieces, settings_in
from figures import ROOT, Figures

from headrace import Upload
from headrace.errors import HeadraceError
from headrace.monitoring.anomaly import FIT
from headrace_documents.app import app as documents
from headrace_documents.schema import Document

_AT_ONCE = 4
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def shares(figures: Figures, *, texts: int) -> None:
    """Of short texts, which need no reader, and of the sample documents of all formats, with their readers' time."""
    inbox = sorted((ROOT / "samples" / "inbox").iterdir())
    # The first few hundred teach the door what is normal, which it does once: they are not counted.
    asked = [documents_argument(text) for text in pieces(FIT + texts)]
    asyncio.run(_measured(figures, "short texts", asked[FIT:], before=asked[:FIT]))
    uploads = [Document.from_upload(Upload(path.read_bytes(), path.name, None)) for path in inbox]
    asyncio.run(_measured(figures, "sample documents", uploads))


async def _measured(figures: Figures, name: str, questions: Sequence[Any], before: Sequence[Any] = ()) -> None:
    with TemporaryDirectory() as folder:
        async with documents.running(settings_in(folder)) as running:
            endpoint, recorder = running.endpoints["document-analyzer/analyze"], running.monitoring.recorder
            inspect, observe = endpoint._inspect, endpoint._observe
            assert inspect is not None
            assert observe is not None
            assert recorder is not None
            door_s = 0.0

            async def inspected(arrival: Any) -> Any:
                nonlocal door_s
                begun = thread_time()
                try:
                    return await inspect(arrival)
                finally:
                    door_s += thread_time() - begun

            def observed(answered: Any) -> None:
                nonlocal door_s
                begun = thread_time()
                observe(answered)
                door_s += thread_time() - begun

            endpoint._inspect, endpoint._observe = inspected, observed
            turns = asyncio.Semaphore(_AT_ONCE)

            async def asked(question: Any) -> None:
                async with turns:
                    with suppress(HeadraceError):
                        await patiently(endpoint, question)

            await asyncio.gather(*map(asked, before))
            while recorder.waiting:
                await asyncio.sleep(0.01)
            door_s = 0.0
            witness = Path(f"/proc/self/task/{recorder._thread.native_id}/stat")
            own_s, witness_ms, readers_ms = process_time(), _ticks_ms(witness, with_children=False), _readers_ms()
            await asyncio.gather(*map(asked, questions))
            while recorder.waiting:
                await asyncio.sleep(0.01)
            witness_ms = _ticks_ms(witness, with_children=False) - witness_ms
            watching = door_s * 1000 + witness_ms
            whole = (process_time() - own_s) * 1000 + _readers_ms() - readers_ms
    facts = {"data": name, "documents": len(questions)}
    figures.tell("processor time of watching", watching / len(questions), unit="ms a document", **facts)
    figures.tell("processor time of the door", door_s * 1000 / len(questions), unit="ms a document", **facts)
    figures.tell("processor time of the witness", witness_ms / len(questions), unit="ms a document", **facts)
    figures.tell("processor time of all", whole / len(questions), unit="ms a document", **facts)
    figures.tell("share of the processor time that watching takes", watching / whole, unit="share", **facts)


def _readers_ms() -> float:
    return sum(_ticks_ms(Path(f"/proc/{reader}/stat")) for reader in _descendants(os.getpid()))


def _descendants(parent: int) -> list[int]:
    return [each for child in children_of(parent) for each in (child, *_descendants(child))]


def _ticks_ms(stat: Path, *, with_children: bool = True) -> float:
    """What a thread or a process has taken; also what its children had that have ended, which are its process's."""
    try:
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if with_children else 13]) * _TICK_MS
