"""What a shadow costs: throughput with and without one, and the memory of each further release with the same encoder.

`python benchmarks/shadowing.py [--quick] [--only documents,texts,memory]` teaches heads on the sample documents and
asks the analyzer with the samples' PDFs, which have to be read, and with lines of text, which take next to no time, as
many callers at once as fit the machine. Windows without and with a shadow alternate, so that other work on the machine
meets both alike. The peer is the same platform without a shadow, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count, cycle, pairwise
from pathlib import Path
from time import monotonic

from headrace import Upload
from headrace.assembly import Running, settings_here
from headrace.assembly.candidates import RolloutOffice
from headrace.domain.guard_rule import ERRORS, GuardRule
from headrace.domain.rollout import RolloutPlan
from headrace.rollouts.desk import Act
from headrace.serving.answered import digest_of
from headrace.serving.context import Context
from headrace_documents.app import app

ROOT = Path(__file__).parents[1]
CALLERS = 8
PLAN = RolloutPlan(is_shadowed=True, fewest_keys=10**9, guards=(GuardRule(ERRORS, weight=1.0),))
FURTHER = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Shorter windows.")
    parser.add_argument("--only", default="documents,texts,memory", help="Which parts to run.")
    arguments = parser.parse_args()
    quick, parts = arguments.quick, arguments.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(2 + FURTHER):
            teach(Path(folder), seed)
        asyncio.run(measured(Path(folder), parts, window_s=4.0 if quick else 10.0, rounds=2 if quick else 5))


def say(figure: str, **values: object) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    line = {"benchmark": "shadowing", "figure": figure, **values, "machine": machine, "commit": commit.stdout.strip()}
    print(json.dumps(line), flush=True)


def teach(folder: Path, seed: int) -> None:
    """A head from the sample documents, under an alias of its own; the first one is champion."""
    headrace = Path(sys.executable).parent / "headrace"
    alias = "champion" if seed == 0 else f"challenger-{seed}"
    command = [headrace, "train", ROOT / "samples" / "train", "--budget", "5s", "--seed", str(seed), "--alias", alias]
    subprocess.run([*command, "--data", folder], check=True, capture_output=True)


async def measured(folder: Path, parts: list[str], *, window_s: float, rounds: int) -> None:
    async with app.running(settings_here({"data": str(folder)})) as running:
        for kind, asked in (("documents", documents), ("texts", texts)):
            if kind in parts:
                await shadowed(running, kind, asked(), window_s=window_s, rounds=rounds)
        if "memory" in parts:
            await further(running)


async def shadowed(running: Running, kind: str, asked: Iterator[Upload], *, window_s: float, rounds: int) -> None:
    """Answers a second by turns, without and with a shadow."""
    rolled = running.rollouts
    office = RolloutOffice(rolled.desk, running.planner, rolled.store, running.stores.releases)
    await rate(running, asked, window_s)
    without, with_shadow, cast, dropped = [], [], 0, 0
    for _ in range(rounds):
        without.append(await rate(running, asked, window_s))
        rollout = await asyncio.to_thread(office.start, "document-classifier@challenger-1", None, PLAN)
        await until(lambda: rolled.traffic["document-analyzer"].is_ready)
        with_shadow.append(await rate(running, asked, window_s))
        await asyncio.sleep(1.0)
        tallies = {
            it.name: tally.count for it, tally in rolled.store.tallies(rollout.id).items() if it.variant == "shadow"
        }
        cast, dropped = cast + tallies.get("requests", 0), dropped + tallies.get("dropped_shadows", 0)
        await asyncio.to_thread(rolled.desk.decide, Act.ROLLBACK, rollout.id)
        await until(lambda: rolled.traffic["document-analyzer"].rollout is None)
    cost = 1 - statistics.median(with_shadow) / statistics.median(without)
    say(
        f"throughput that shadowing all traffic costs, {kind}", value=round(cost, 4), unit="share",
        answers_per_s=round(statistics.median(with_shadow), 1), shadowed=cast, dropped=dropped,
        peer="the same without a shadow", peer_value=round(statistics.median(without), 1),
        rates=[[round(each, 1) for each in rates] for rates in (without, with_shadow)],
    )  # fmt: skip


def texts() -> Iterator[Upload]:
    """Lines of text, no two alike."""
    for number in count():
        content = f"Invoice number {number}: the amount due is {number}.50, payable in 30 days.".encode()
        yield Upload(content=content, filename=None, media_type="text/plain")


def documents() -> Iterator[Upload]:
    """The PDFs of the samples that need no OCR, each with another comment behind its end, so that none is known."""
    paths = [path for path in (ROOT / "samples").rglob("*.pdf") if not path.name.startswith(("scan", "mixed"))]
    contents = [path.read_bytes() for path in sorted(paths)]
    for number, content in enumerate(cycle(contents)):
        yield Upload(content=content + f"\n% {number}\n".encode(), filename=None, media_type="application/pdf")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event, and this is no hot path
            await asyncio.sleep(0.05)


async def further(running: Running) -> None:
    """Memory of this process before and after each further release that shares the encoder."""
    sizes = [resident_bytes()]
    for seed in range(2, 2 + FURTHER):
        version = running.registry.find("document-classifier", f"challenger-{seed}")
        release = await asyncio.to_thread(running.planner.release, "document-analyzer", {version.name: version})
        await running.loaded.load(release)
        sizes.append(resident_bytes())
    grown = [(after - before) / 1e6 for before, after in pairwise(sizes)]
    say("memory of each further release with the same encoder", value=[round(each, 2) for each in grown], unit="MB")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def rate(running: Running, asked: Iterator[Upload], window_s: float) -> float:
    """Answers a second from callers who ask again at once."""
    endpoint = running.endpoints["document-analyzer/analyze"]
    done, end = 0, monotonic() + window_s

    async def caller() -> None:
        nonlocal done
        while monotonic() < end:
            upload = next(asked)
            context = Context(deadline=monotonic() + 60)
            await endpoint.answer(
                endpoint.argument.from_upload(upload), context=context, input_digest=digest_of(upload.content)
            )
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / window_s


if __name__ == "__main__":
    main()
