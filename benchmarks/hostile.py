"""What harmful documents do to the guarded extractor: mutations of every sample and built attacks.

    python benchmarks/hostile.py [--quick] [--only docx,pdf] [--mutations 200]

Each document goes through the guarded workers, with a deadline. What must never happen is counted: an answer later than
the deadline plus a second, a worker above 1.5 GiB, a failure that is no plain refusal, a service that does not answer a
good document afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from attacks import Attack, attacks, mutations
from figures import ROOT, Figures

from headrace import DeadlineExceeded, InvalidInput
from headrace.serving.context import Context
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace_documents.extraction import TextExtractionService
from headrace_documents.schema import Document

DEADLINE_S = 20.0
GRACE_S = 1.0
MOST_BYTES = 1536 << 20
LARGEST_SAMPLE = 1_500_000
AT_ONCE = 2


@dataclass(slots=True)
class Toll:
    """What was counted over many documents."""

    outcomes: Counter[str] = field(default_factory=Counter)
    latest_s: float = 0.0
    largest_bytes: int = 0
    faults: list[str] = field(default_factory=list)
    deaths: int = 0

    def add(self, name: str, outcome: str, took_s: float, deadline_s: float) -> None:
        """One document more."""
        self.outcomes[outcome] += 1
        self.latest_s = max(self.latest_s, took_s)
        if took_s > deadline_s + GRACE_S:
            self.faults.append(f"{name}: {took_s:.1f} s")
        if outcome == "fault":
            self.faults.append(name)


@asynccontextmanager
async def guarded(toll: Toll) -> AsyncIterator[GuardedReplicas]:
    """The extractor in guarded workers, whose memory is watched as long as they live."""
    service = TextExtractionService()

    def on_death(_reason: str, _log: str) -> None:
        toll.deaths += 1

    origin = origin_of(service, guard=service.guard, artifact=None)
    replicas = GuardedReplicas(origin, service.methods, count=AT_ONCE, spares=1, on_death=on_death)
    await replicas.start()
    watch = asyncio.create_task(_watch(replicas, toll))
    try:
        yield replicas
    finally:
        watch.cancel()
        await replicas.close()


async def _watch(replicas: GuardedReplicas, toll: Toll) -> None:
    while True:
        toll.largest_bytes = max([toll.largest_bytes, *replicas.resident_bytes()])
        await asyncio.sleep(0.02)


async def outcome_of(replicas: GuardedReplicas, document: Document, *, deadline_s: float) -> tuple[str, str, float]:
    """`answered`, `refused`, `late` or `fault`; the reason in words; and the seconds that it took."""
    method = TextExtractionService.methods["extract"]
    begun = monotonic()
    try:
        await replicas.ask(method, document, Context(deadline=begun + deadline_s))
    except InvalidInput as error:
        return "refused", str(error), monotonic() - begun
    except DeadlineExceeded as error:
        return "late", str(error), monotonic() - begun
    # Whatever else there is, is what this benchmark looks for.
    except Exception as error:  # noqa: BLE001
        return "fault", f"{type(error).__name__}: {error}", monotonic() - begun
    return "answered", "", monotonic() - begun


def samples() -> dict[str, list[Path]]:
    """The project's own documents by format, the smaller ones."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "samples").glob("*/**/*")):
        is_document = path.is_file() and path.parts[-2] != "truth" and "truth" not in path.parts
        if is_document and {"inbox", "train"} & set(path.parts) and path.stat().st_size < LARGEST_SAMPLE:
            found.setdefault(path.suffix[1:].replace("tiff", "tif").replace("jpeg", "jpg"), []).append(path)
    return found


async def mutate(replicas: GuardedReplicas, toll: Toll, paths: list[Path], count: int, deadline_s: float) -> None:
    """Asks for `count` mutations of the documents in turn, a few at once."""
    each = -(-count // len(paths))
    documents = (
        (f"{path.name} {number}", Document(content, path.name))
        for path in paths
        for number, content in enumerate(mutations(path.read_bytes(), count=each, seed=len(path.name)))
    )
    await asyncio.gather(*(_asked(replicas, toll, documents, deadline_s) for _ in range(AT_ONCE)))


async def _asked(
    replicas: GuardedReplicas, toll: Toll, documents: Iterator[tuple[str, Document]], deadline_s: float
) -> None:
    for name, document in documents:
        outcome, reason, took_s = await outcome_of(replicas, document, deadline_s=deadline_s)
        toll.add(f"{name}: {reason}" if outcome == "fault" else name, outcome, took_s, deadline_s)


async def attack(replicas: GuardedReplicas, toll: Toll, built: Iterable[Attack], deadline_s: float) -> None:
    """Asks for every attack, one at a time; one that is answered though it must not be is a fault."""
    for each in built:
        document = Document(each.content, each.filename)
        outcome, reason, took_s = await outcome_of(replicas, document, deadline_s=deadline_s)
        print(f"  {each.name}: {outcome} in {took_s:.1f} s {reason[:150]}", file=sys.stderr)
        is_wrong = each.is_refused and (outcome != "refused" or each.reason not in reason)
        toll.add(f"{each.name}: {outcome} {reason}", "fault" if is_wrong else outcome, took_s, deadline_s)


async def is_alive(replicas: GuardedReplicas) -> bool:
    """Whether a good document is answered."""
    outcome, _, _ = await outcome_of(replicas, Document(b"All is well.", "a.txt"), deadline_s=60.0)
    return outcome == "answered"


def tell(figures: Figures, what: str, toll: Toll, *, alive: bool, deadline_s: float) -> None:
    """The figures of one format or of the attacks."""
    facts = {"of": what, "deadline_s": deadline_s}
    figures.tell("documents", sum(toll.outcomes.values()), unit="documents", **facts, **dict(toll.outcomes))
    figures.tell("worker deaths", toll.deaths, unit="processes", **facts)
    figures.tell("service alive", float(alive), unit="of 1", **facts)
    figures.tell("latest", toll.latest_s, unit="s", **facts)
    figures.tell("largest worker", toll.largest_bytes / (1 << 20), unit="MiB", limit=MOST_BYTES >> 20, **facts)
    figures.tell("faults", len(toll.faults), unit="documents", which=toll.faults[:10], **facts)


async def run(figures: Figures, *, count: int, only: set[str], deadline_s: float) -> int:
    """Everything; the number of faults."""
    faults = 0
    for form, paths in samples().items():
        if only and form not in only:
            continue
        toll = Toll()
        async with guarded(toll) as replicas:
            await mutate(replicas, toll, paths, count, deadline_s)
            alive = await is_alive(replicas)
        tell(figures, form, toll, alive=alive, deadline_s=deadline_s)
        faults += len(toll.faults) + (not alive) + (toll.largest_bytes > MOST_BYTES)
    if not only or "attacks" in only:
        toll = Toll()
        async with guarded(toll) as replicas:
            await attack(replicas, toll, attacks(), deadline_s)
            alive = await is_alive(replicas)
        tell(figures, "attacks", toll, alive=alive, deadline_s=deadline_s)
        faults += len(toll.faults) + (not alive) + (toll.largest_bytes > MOST_BYTES)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few mutations a format")
    parser.add_argument("--only", default="", help="formats, and `attacks`, parted by commas")
    parser.add_argument("--mutations", type=int, default=200, help="how many a format")
    options = parser.parse_args()
    figures = Figures("hostile", is_quick=options.quick)
    only = set(filter(None, options.only.split(",")))
    count = 6 if options.quick else options.mutations
    faults = asyncio.run(run(figures, count=count, only=only, deadline_s=DEADLINE_S))
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
