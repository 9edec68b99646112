# ruff: noqa: SLF001, ASYNC110 - it looks at threads from inside, and waits until all was looked at
"""What part of the processor time of documents watching takes, whatever else the machine does."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import clock_gettime, process_time, pthread_getcpuclockid, thread_time
from typing import Any

from decision_log import children_of, documents_argument, patiently, pieces, settings_in
from figures import ROOT, Figures, shared_folder
from labelled_texts import sets_in

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
    learned = 2 * FIT
    for name, found in (("short texts", pieces(learned + texts)), ("short posts", _posts(learned + texts))):
        asked = [documents_argument(text) for text in found]
        if asked:
            asyncio.run(_measured(figures, name, asked[learned:], before=asked[:learned]))
    uploads = [Document.from_upload(Upload(path.read_bytes(), path.name, None)) for path in inbox]
    asyncio.run(_measured(figures, "sample documents", uploads))


def _posts(count: int) -> list[str]:
    """Beginnings of as many posts of the newsgroups, none like another, while pieces of the samples overlap."""
    folder = shared_folder("data/classification")
    if folder is None:
        return []
    chance = random.Random(7)
    posts = next(each for each in sets_in(folder) if each.name == "newsgroups20").cut(count, 0).train
    return [" ".join(post.text.split()[: chance.randrange(40, 300)]) for post in posts]


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
            assert recorder._thread.ident is not None
            witness = pthread_getcpuclockid(recorder._thread.ident)
            own_s, witness_s, readers_ms = process_time(), clock_gettime(witness), _readers_ms()
            await asyncio.gather(*map(asked, questions))
            while recorder.waiting:
                await asyncio.sleep(0.01)
            witness_ms = (clock_gettime(witness) - witness_s) * 1000
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


def _ticks_ms(stat: Path) -> float:
    """What a process has taken; also what its children had that have ended."""
    try:
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) * _TICK_MS
