# ruff: noqa: SLF001, ASYNC110, ASYNC220 - it switches the log off from inside, and watches processes from outside
"""What the decision log costs, what three kills of a loaded server lose of it, and how many answers replay the same.

    python benchmarks/decision_log.py [--quick] [--only cost|replays|kills]

Cost: the same documents through the document analyzer, and the same words through a pipeline that computes next to
nothing, in rounds that keep decisions (journal, store, inputs, explanations) and rounds that do not, in turns, with the
event loop, the switch interval and the garbage collection of a server. Rates are of answers; until the last ones of a
round are stored the next one waits. Kills: `headrace up` is loaded over HTTP, with every tenth question as a job, while
all its processes but the supervisor (gateways and workers) are killed three times; then every answer that a client
received, and that of every job that was accepted, is looked up. Replay: stored decisions are answered again in other
company than before.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from time import clock_gettime, monotonic, perf_counter, process_time, pthread_getcpuclockid, thread_time
from typing import Any

import httpx
from figures import ROOT, Figures

from headrace import Service, batched, pipeline
from headrace.assembly import Platform, Running, Settings, opened_stores
from headrace.assembly.loop import loop_factory
from headrace.assembly.roles import SWITCH_S, YOUNG_OBJECTS
from headrace.errors import NotFound, Overloaded
from headrace.serving.answered import Answered
from headrace.serving.context import Context
from headrace.serving.endpoint import Endpoint
from headrace.serving.upload import Upload
from headrace_documents.app import app as documents
from headrace_documents.schema import Document

CALLERS = 8
READY_S, ANSWER_S = 120.0, 30.0


class WordService(Service):
    """Computes next to nothing, so that all else shows."""

    @batched(max_size=32)
    async def turn(self, words: list[str]) -> list[str]:
        """Each word from its end to its beginning."""
        return [word[::-1] for word in words]


@pipeline
class Words:
    """Turns a word round."""

    def __init__(self) -> None:
        self.word = WordService()

    async def turn(self, word: str) -> str:
        """From its end to its beginning."""
        return await self.word.turn(word)


app = Platform(Words)


def settings_in(folder: str) -> Settings:
    return Settings(data=folder)


def texts() -> list[str]:
    """Of the sample documents, as they should be read."""
    found = sorted((ROOT / "samples" / "truth").rglob("*.txt"))
    return [path.read_text(encoding="utf-8") for path in found]


def pieces(count: int) -> list[str]:
    """`count` different texts of a few hundred words, cut from the samples."""
    chance = random.Random(7)
    words = [word for text in texts() for word in text.split()]
    starts = [chance.randrange(len(words) - 300) for _ in range(count)]
    return [" ".join(words[start : start + chance.randrange(40, 300)]) for start in starts]


async def loaded(endpoint: Endpoint, questions: Sequence[Any], *, callers: int) -> list[float]:
    """Milliseconds that each question took, asked by `callers` at once."""
    waiting = iter(questions)
    took: list[float] = []

    async def caller() -> None:
        for question in waiting:
            begun = perf_counter()
            await patiently(endpoint, question)
            took.append((perf_counter() - begun) * 1000)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return took


async def patiently(endpoint: Endpoint, question: Any) -> None:
    """Asks again where the endpoint had learned to take on less than `CALLERS`."""
    while True:
        context = Context(deadline=monotonic() + ANSWER_S)
        try:
            await endpoint.answer(question, context=context, input_digest="sha256:x")
        except Overloaded:
            await asyncio.sleep(0.005)
        else:
            return


async def measured_cost(
    name: str, platform: Platform, path: str, questions: Sequence[Any], figures: Figures, *, rounds: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with platform.running(settings_in(folder)) as running:
            endpoint = running.endpoints[path]
            recorder = endpoint._record
            assert recorder is not None
            rates: dict[bool, list[float]] = {True: [], False: []}
            tails: dict[bool, list[float]] = {True: [], False: []}
            costs: dict[bool, list[float]] = {True: [], False: []}
            await loaded(endpoint, questions, callers=CALLERS)
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
            storing_clock = pthread_getcpuclockid(running.recorder._thread.ident or 0)
            stored_begun, taken_in = clock_gettime(storing_clock), 0.0

            def timed(answered: Answered) -> None:
                nonlocal taken_in
                begun = thread_time()
                recorder(answered)
                taken_in += thread_time() - begun

            for number in range(2 * rounds):
                keeps = number % 4 in {0, 3}
                endpoint._record = timed if keeps else None
                begun, cpu_begun = perf_counter(), process_time()
                took = await loaded(endpoint, questions, callers=CALLERS)
                rates[keeps].append(len(questions) / (perf_counter() - begun))
                # Storing lags a quarter of a second behind, in which nothing is answered here.
                while running.recorder.waiting:
                    await asyncio.sleep(0.02)
                tails[keeps].append(statistics.quantiles(took, n=100)[98])
                costs[keeps].append((process_time() - cpu_begun) * 1000 / len(questions))
            endpoint._record = recorder
            gc.unfreeze()
            answers = rounds * len(questions)
            storing_ms = (clock_gettime(storing_clock) - stored_begun) * 1000 / answers
            door_ms = taken_in * 1000 / answers
    with_log, without = statistics.median(rates[True]), statistics.median(rates[False])
    facts = {"pipeline": name, "callers": CALLERS, "questions": len(questions), "rounds": rounds}
    figures.tell("throughput_with_log", with_log, unit="1/s", **facts)
    figures.tell("throughput_without", without, unit="1/s", **facts)
    figures.tell("cost_of_throughput", 1 - with_log / without, unit="share", **facts)
    figures.tell("cpu_of_an_answer_without", statistics.median(costs[False]), unit="ms", **facts)
    figures.tell("cpu_added", statistics.median(costs[True]) - statistics.median(costs[False]), unit="ms", **facts)
    figures.tell("cpu_of_the_storing_thread", storing_ms, unit="ms", **facts)
    figures.tell("cpu_before_the_answer", door_ms, unit="ms", **facts)
    figures.tell("p99_added", statistics.median(tails[True]) - statistics.median(tails[False]), unit="ms", **facts)


async def measured_replays(count: int, figures: Figures) -> None:
    questions = [documents_argument(text) for text in pieces(count)]
    with tempfile.TemporaryDirectory() as folder:
        async with documents.running(settings_in(folder)) as running:
            endpoint = running.endpoints["document-analyzer/analyze"]
            await loaded(endpoint, questions, callers=CALLERS)
        async with documents.running(settings_in(folder)) as running:
            identical = await _identical(running, count)
    figures.tell("replayed", count, unit="decisions")
    figures.tell("replayed_identical", identical, unit="decisions")


async def _identical(running: Running, count: int) -> int:
    cursor, ids = None, []
    while True:
        page = running.decisions.listed(cursor=cursor, limit=200)
        ids += [each.id for each in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(ids) == count, f"{len(ids)} of {count} decisions are there"
    random.Random(11).shuffle(ids)
    waiting = iter(ids)
    identical = 0

    async def caller() -> None:
        nonlocal identical
        for each in waiting:
            replay = await running.replayer.replay(each)
            identical += replay.identical

    await asyncio.gather(*(caller() for _ in range(5)))
    return identical


def documents_argument(text: str) -> Any:
    return Document.from_upload(Upload(text.encode(), "piece.txt", "text/plain"))


async def measured_kills(requests: int, kills: int, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with server(folder) as (process, url):
            answered, jobs = await _under_fire(process, url, requests, kills)
        # A last start stores what the killed ones left, answers the jobs that still wait, and ends in peace.
        async with server(folder) as (_, url):
            answered += await _ended(url, jobs)
        with closing(opened_stores(settings_in(folder))) as stores:
            lost = sum(stores.decisions.find(each) is None for each in answered)
            missing = stores.decisions.missing()
    figures.tell("requests_answered", len(answered), unit="answers", kills=kills, by_jobs=len(jobs))
    figures.tell("answers_without_decision", lost, unit="answers", kills=kills)
    figures.tell("accounting_difference", missing, unit="decisions", kills=kills)


async def _under_fire(
    process: subprocess.Popen[bytes], url: str, requests: int, kills: int
) -> tuple[list[str], list[str]]:
    """The decision ids of all answers that came, and the ids of the jobs; the processes are killed meanwhile."""
    answered: list[str] = []
    jobs: list[str] = []
    moments = [requests * (number + 1) // (kills + 1) for number in range(kills)]

    async def caller(client: httpx.AsyncClient) -> None:
        while (asked := len(answered) + len(jobs)) < requests:
            later = {"Prefer": "respond-async"} if asked % 10 == 9 else {}
            try:
                response = await client.post("/v1/words/turn", json={"word": f"word {asked}"}, headers=later)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            if response.status_code == 200:
                answered.append(response.json()["decision_id"])
            elif response.status_code == 202:
                jobs.append(response.json()["id"])
            else:
                await asyncio.sleep(0.02)

    async def killer() -> None:
        for moment in moments:
            while len(answered) + len(jobs) < moment:
                await asyncio.sleep(0.001)
            for child in children_of(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False) as client:
        await asyncio.wait_for(asyncio.gather(killer(), *(caller(client) for _ in range(CALLERS))), timeout=600)
    return answered, jobs


async def _ended(url: str, jobs: Sequence[str]) -> list[str]:
    """The decision ids of all `jobs`, each waited for."""
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False) as client, asyncio.timeout(300):
        found = []
        for each in jobs:
            while (job := (await client.get(f"/v1/jobs/{each}")).json())["state"] in {"queued", "running"}:
                await asyncio.sleep(0.05)
            assert job["state"] == "succeeded", job
            found.append(str(job["decision_id"]))
    return found


@asynccontextmanager
async def server(folder: str, app: str = "decision_log:app") -> Any:
    """`headrace up` on a free port: its process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from headrace.cli.main import run; run()", "up", app, "--port", "0",
         "--processes", "2", "--data", folder],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)}, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        url = await asyncio.to_thread(_address, process.stderr)
        drain = asyncio.create_task(asyncio.to_thread(process.stderr.read))
        await _ready(url)
        yield process, url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 60)
        if process.poll() is None:
            process.kill()
    await drain


def _address(lines: Iterator[bytes]) -> str:
    for line in lines:
        with suppress(ValueError):
            told = json.loads(line)
            if told.get("event") == "starting":
                return str(told["url"])
    raise NotFound("The server did not say where it is.")


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        deadline = monotonic() + READY_S
        while monotonic() < deadline:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise NotFound("The server did not become ready.")


def children_of(parent: int) -> list[int]:
    """The processes whose parent is `parent`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(status.parent.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small enough for a check that it works")
    parser.add_argument("--only", choices=("cost", "replays", "kills"), help="one of the three")
    arguments = parser.parse_args()
    is_quick, only = arguments.quick, arguments.only
    figures = Figures("decision_log", is_quick=is_quick)
    # The records of the last quarter of a second are made after a round, which has to be long against that.
    analyses = [documents_argument(text) for text in pieces(40 if is_quick else 400)]
    words = [f"word {number}" for number in range(500 if is_quick else 3000)]
    rounds = 2 if is_quick else 10
    if only in {None, "cost"}:
        path = "document-analyzer/analyze"
        sys.setswitchinterval(SWITCH_S)
        for name, platform, asked, questions in (
            ("documents", documents, path, analyses),
            ("words", app, "words/turn", words),
        ):
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(measured_cost(name, platform, asked, questions, figures, rounds=rounds))
    if only in {None, "replays"}:
        asyncio.run(measured_replays(50 if is_quick else 1000, figures))
    if only in {None, "kills"}:
        asyncio.run(measured_kills(500 if is_quick else 10_000, 3, figures))


if __name__ == "__main__":
    main()
