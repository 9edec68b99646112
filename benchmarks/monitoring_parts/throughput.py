# ruff: noqa: SLF001, ASYNC110 - it switches the watch off from inside, and waits until all is stored
"""What the watch costs of the throughput of documents: the same questions in rounds with and without it, in turns."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from decision_log import CALLERS, documents_argument, loaded, pieces, settings_in
from figures import Figures

from headrace.assembly import Running
from headrace.assembly.labels import calibration_by, labels_of, reference_by
from headrace.assembly.monitoring import monitor_of
from headrace.monitoring.monitor import Monitor
from headrace_documents.app import app as documents


def throughput(figures: Figures, *, documents_a_round: int, rounds: int) -> None:
    """Inputs inspected at the door, answers observed, sketches stored, and the look by the clock, or none of it."""
    asyncio.run(_measured(figures, documents_a_round=documents_a_round, rounds=rounds))


async def _measured(figures: Figures, *, documents_a_round: int, rounds: int) -> None:
    questions = [documents_argument(text) for text in pieces(documents_a_round)]
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    with TemporaryDirectory() as folder:
        async with documents.running(settings_in(folder)) as running:
            endpoint = running.endpoints["document-analyzer/analyze"]
            inspect, observe = endpoint._inspect, endpoint._observe
            assert running.monitoring.recorder is not None
            monitor = await asyncio.to_thread(_monitor, running)
            await loaded(endpoint, questions, callers=CALLERS)
            looking = _Looking(monitor, running.settings.monitoring.look_s)
            for number in range(2 * rounds):
                is_watched = number % 4 in {0, 3}
                endpoint._inspect, endpoint._observe = (inspect, observe) if is_watched else (None, None)
                begun, cpu_begun = perf_counter(), process_time()
                async with looking.meanwhile(is_watched=is_watched):
                    await loaded(endpoint, questions, callers=CALLERS)
                rates[is_watched].append(len(questions) / (perf_counter() - begun))
                # The witness may have a small share of a core only: it is let finish before the next round.
                while running.recorder.waiting or running.monitoring.recorder.waiting:
                    await asyncio.sleep(0.002)
                costs[is_watched].append((process_time() - cpu_begun) * 1000 / len(questions))
    watched, without = (statistics.median(rates[each]) for each in (True, False))
    facts = {"pipeline": "documents", "callers": CALLERS, "questions": len(questions), "rounds": rounds}
    figures.tell("throughput watched", watched, unit="1/s", peer="the same, unwatched", peer_value=without, **facts)
    figures.tell("throughput that watching costs", 1 - watched / without, unit="share", **facts)
    added = statistics.median(costs[True]) - statistics.median(costs[False])
    figures.tell("processor time that watching adds", added, unit="ms", beside=statistics.median(costs[False]), **facts)


def _monitor(running: Running) -> Monitor:
    """As the role `control` has it."""
    stores, registry = running.stores, running.registry
    return monitor_of(
        running.settings,
        running.monitoring.store,
        labels_of(stores),
        calibration_by(stores, registry),
        reference_by(stores, registry),
    )


class _Looking:
    """The look by the clock, which goes on only in the rounds that are watched."""

    def __init__(self, monitor: Monitor, every_s: float) -> None:
        self._monitor = monitor
        self._every_s = every_s
        self._left_s = every_s

    @asynccontextmanager
    async def meanwhile(self, *, is_watched: bool) -> AsyncIterator[None]:
        """Looks when it is time, counted over all rounds."""
        if not is_watched:
            yield
            return
        begun = perf_counter()
        looking = asyncio.create_task(self._live())
        try:
            yield
        finally:
            looking.cancel()
            self._left_s = max(0.0, self._left_s - (perf_counter() - begun))

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self._left_s)
            await asyncio.to_thread(self._monitor.look)
            self._left_s = self._every_s
