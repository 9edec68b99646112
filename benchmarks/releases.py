"""What further releases cost that share the encoder: memory for each, and throughput when every answer is shadowed.

    python benchmarks/releases.py [--quick]

Heads are taught on the sample documents with token vectors of the encoder and the static table, and registered as
versions that differ. Rounds whose answers are all answered by a second release too, out of the caller's sight, take
turns with rounds that are not.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, perf_counter, process_time
from typing import Any

from decision_log import documents_argument, pieces, settings_in
from figures import ROOT, Figures

from headrace import Example
from headrace.assembly import Running, opened_registry
from headrace.domain.model import ModelVersion
from headrace.domain.release import Variant
from headrace.errors import Overloaded
from headrace.serving.context import Context
from headrace.serving.endpoint import Endpoint
from headrace_documents.app import app as documents
from headrace_documents.training import ClassifierTrainer

CALLERS = 4
PATH = "document-analyzer/analyze"


def examples() -> list[Example]:
    """The training documents of the samples, read as they should be."""
    folder = ROOT / "samples" / "truth" / "train"
    found = sorted(folder.rglob("*.txt"))
    return [Example(path.read_text(encoding="utf-8"), path.parent.name, path.name) for path in found]


def registered(folder: str, count: int, features: tuple[str, ...]) -> list[ModelVersion]:
    """A champion and `count` - 1 others of the same size and features, each with a digest of its own."""
    trained = ClassifierTrainer(features=features).train(examples(), seed=0, budget_s=600.0)
    registry = opened_registry(settings_in(folder))
    versions = [
        registry.register(
            ClassifierTrainer().model, trained.files, metrics=trained.metrics, lineage={"copy": str(number)}
        )
        for number in range(count)
    ]
    registry.move_alias(versions[0], expected=None)
    return versions


def resident_bytes() -> int:
    """What this process holds in memory of its own and of files."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


async def loaded(endpoint: Endpoint, questions: Sequence[Any], shadow: Variant | None, live: Variant) -> None:
    """All questions answered; with a `shadow` each by it too, right after the caller had the answer."""
    waiting = iter(questions)

    async def caller() -> None:
        for question in waiting:
            context = Context(deadline=monotonic() + 60)
            try:
                answered = await endpoint.answer_as(live, question, context=context, input_digest="")
            except Overloaded:
                await asyncio.sleep(0.005)
                continue
            if shadow is not None:
                again = Context(deadline=monotonic() + 60, work=answered.context.work)
                await endpoint.answer_as(shadow, question, context=again, input_digest="")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def measured(
    running: Running, versions: Sequence[ModelVersion], figures: Figures, *, texts: int, rounds: int
) -> None:
    endpoint, champion = running.endpoints[PATH], running.champions["document-analyzer"]
    questions = [documents_argument(text) for text in pieces(texts)]
    await loaded(endpoint, questions, None, Variant(champion.id))
    before = resident_bytes()
    candidates = [running.planner.release("document-analyzer", {each.name: each}) for each in versions[1:]]
    for candidate in candidates:
        await running.loaded.load(candidate)
    added = (resident_bytes() - before) / len(candidates) / 1e6
    figures.tell(
        "memory_added_by_release", added, unit="MB", releases=len(candidates), model_mb=versions[0].size_bytes / 1e6
    )
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * rounds):
        is_shadowed = number % 4 in {0, 3}
        shadow = Variant(candidates[0].id, "shadow") if is_shadowed else None
        begun, cpu_begun = perf_counter(), process_time()
        await loaded(endpoint, questions, shadow, Variant(champion.id, is_shadowed=is_shadowed))
        rates[is_shadowed].append(len(questions) / (perf_counter() - begun))
        costs[is_shadowed].append((process_time() - cpu_begun) * 1000 / len(questions))
    with_shadow, without = statistics.median(rates[True]), statistics.median(rates[False])
    facts = {"callers": CALLERS, "questions": len(questions), "rounds": rounds}
    figures.tell("throughput_shadowed", with_shadow, unit="1/s", **facts)
    figures.tell("throughput_alone", without, unit="1/s", **facts)
    figures.tell("cost_of_shadow", 1 - with_shadow / without, unit="share", **facts)
    ratio = statistics.median(costs[True]) / statistics.median(costs[False])
    figures.tell("cpu_of_this_process_with_shadow", ratio, unit="ratio", **facts)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small enough for a check that it works")
    is_quick = parser.parse_args().quick
    figures = Figures("releases", is_quick=is_quick)
    with tempfile.TemporaryDirectory() as folder:
        versions = registered(folder, 3 if is_quick else 6, ("words", "static", "minilm"))
        async with documents.running(settings_in(folder)) as running:
            await measured(running, versions, figures, texts=20 if is_quick else 60, rounds=2 if is_quick else 8)


if __name__ == "__main__":
    asyncio.run(main())
