"""Serving against its peers, on one machine in one run: a tiny model, and MiniLM-L6 in float32 and int8.

`python benchmarks/serving.py [--quick] [--only start,tiny,encoder,overload] [--peers mosec,fastapi,litserve,bentoml]`
prints one JSON line a figure. Peers are installed by uv into environments of their own below `.headrace/peers`. Every
server has two processes; ours logs each answer as a decision. `cpu_us` is the processor time of all processes of a
server for an answer, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from serving_parts.load import Outcome, Target, closed_loop, get, open_loop, post  # noqa: E402
from serving_parts.servers import Running, Server, headrace, peers, running  # noqa: E402

WORDS = [
    "invoice",
    "letter",
    "amount",
    "due",
    "total",
    "madam",
    "sir",
    "report",
    "quarter",
    "section",
    "contract",
    "party",
    "hereby",
    "agreed",
    "manual",
    "press",
    "button",
    "figure",
    "water",
    "mill",
    "river",
    "corn",
    "grind",
    "stone",
    "wheel",
    "page",
    "table",
    "chapter",
    "price",
    "order",
    "number",
    "date",
    "signed",
]
GOAL_MS = 250.0
ROUNDS = 5
"""Of closed loops, by turns of all servers; the median counts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A second or two for each figure, Mosec alone as a peer.")
    parser.add_argument("--only", default="start,tiny,encoder,overload", help="Which parts to run.")
    parser.add_argument("--peers", default="", help="Which peers to measure.")
    arguments = parser.parse_args()
    chosen = arguments.peers.split(",") if arguments.peers else (["mosec"] if arguments.quick else [])
    seconds = 2.0 if arguments.quick else 6.0
    parts = arguments.only.split(",")
    with TemporaryDirectory(prefix="headrace-bench-") as folder:
        if "start" in parts:
            starts(Path(folder), 3 if arguments.quick else 9, chosen)
        if "tiny" in parts:
            tiny(Path(folder), seconds, chosen)
        for precision in ("fp32", "int8"):
            if "encoder" in parts or "overload" in parts:
                encoder(Path(folder), precision, seconds, chosen, parts=parts)


def say(figure: str, **values: object) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    line = {"benchmark": "serving", "figure": figure, **values, "machine": machine, "commit": commit.stdout.strip()}
    # What was never measured is null: JSON has no NaN.
    shown = {key: None if isinstance(value, float) and isnan(value) else value for key, value in line.items()}
    print(json.dumps(shown), flush=True)


def texts(lengths: tuple[int, ...]) -> list[str]:
    source = random.Random(1)
    return [" ".join(source.choice(WORDS) for _ in range(source.choice(lengths))) for _ in range(256)]


@contextmanager
def served(
    server: Server, asked: list[str], labels: list[str], env: dict[str, str]
) -> Iterator[tuple[Running, Target]]:
    requests = [post(server.path, json.dumps({"text": text}).encode()) for text in asked]
    expected = [f'"{label}"'.encode() for label in labels]
    with running(server, requests[0], expected[0], env) as up:
        yield up, Target("127.0.0.1", up.port, requests, expected)


def starts(folder: Path, times: int, chosen: list[str]) -> None:
    """From the command to the first right answer, and the memory of all processes a moment later; medians."""
    from onnx_graphs import write_mlp  # noqa: PLC0415 - what the other parts need not have
    from serving_parts.tiny import WIDTH  # noqa: PLC0415

    home = folder / "start"
    home.mkdir()
    paths = {"tiny": write_mlp(home / "tiny.onnx", width=WIDTH), "encoder": _written_encoder(home / "fp32", int8=False)}
    for model, path in paths.items():
        env = {f"{model.upper()}_MODEL": str(path)}
        ours = headrace(model)
        # The job worker is a process that peers do not have.
        alone = replace(ours, name="headrace, gateways alone", command=(*ours.command, "--only", "gateway"))
        for server in [ours, alone, *(each for each in peers(model) if not chosen or each.name in chosen)]:
            request = post(server.path, json.dumps({"text": "the amount due is 100"}).encode())
            seconds, cpu_s, memory = [], [], []
            for _ in range(times):
                with running(server, request, b'"label"', env) as up:
                    seconds.append(up.start_s)
                    cpu_s.append(up.cpu_s())
                    sleep(2)
                    memory.append(up.proportional_bytes() / 1e6)
            say(
                f"{model}, start to first right answer",
                server=server.name,
                start_s=round(median(seconds), 2),
                fastest_s=round(min(seconds), 2),
                cpu_s=round(median(cpu_s), 2),
                pss_mb=round(median(memory)),
                times=times,
            )


def tiny(folder: Path, seconds: float, chosen: list[str]) -> None:
    from onnx_graphs import write_mlp  # noqa: PLC0415 - what the other parts need not have
    from serving_parts.tiny import WIDTH, Tiny  # noqa: PLC0415

    env = {"TINY_MODEL": str(write_mlp(folder / "tiny.onnx", width=WIDTH))}
    os.environ.update(env)
    asked = texts((10, 20, 40))
    model = Tiny()
    labels = [model.predict([text])[0]["label"] for text in asked]
    begun = perf_counter()
    for text in asked:
        model.predict([text])
    say("tiny model, called directly, alone", us=round((perf_counter() - begun) / len(asked) * 1e6, 1))
    names = [headrace("tiny"), *(each for each in peers("tiny") if not chosen or each.name in chosen)]
    with ExitStack() as standing:
        servers = [(each, *standing.enter_context(served(each, asked, labels, env))) for each in names]
        found: dict[str, list[dict[str, Any]]] = {each.name: [] for each in names}
        # By turns: a machine that is shared is slower at one moment than at the next.
        for _ in range(ROUNDS):
            for server, up, target in servers:
                values: dict[str, Any] = {}
                if not server.is_peer:
                    static = replace(target, requests=[get("/livez")], expected=[b"true"])
                    values["static_p50_ms_1"] = round(closed_loop(static, callers=1, seconds=1.0).percentile_ms(50), 3)
                for callers in (1, 8, 64):
                    closed_loop(target, callers=callers, seconds=0.0, warm_s=0.5)
                    before = up.cpu_s()
                    outcome = closed_loop(target, callers=callers, seconds=seconds, warm_s=0.0)
                    values |= _closed(callers, outcome, up.cpu_s() - before)
                found[server.name].append(values)
        for server, up, _ in servers:
            more = {"pss_mb": round(up.proportional_bytes() / 1e6), "rounds": ROUNDS}
            say("tiny, closed loop, medians", server=server.name, **_medians(found[server.name]), **more)


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number; what came besides right answers is told of every round."""
    names = dict.fromkeys(name for each in rounds for name in each)
    told = {name: [each[name] for each in rounds if name in each] for name in names}
    return {name: values if name.startswith("others") else median(values) for name, values in told.items()}


def _closed(callers: int, outcome: Outcome, cpu_s: float) -> dict[str, Any]:
    answered = max(1, len(outcome.latencies_s))
    others = {status: count for status, count in outcome.statuses.items() if status != "200"}
    return {
        f"rate_{callers}": round(outcome.rate),
        f"p50_ms_{callers}": round(outcome.percentile_ms(50), 2),
        f"p99_ms_{callers}": round(outcome.percentile_ms(99), 2),
        f"cpu_us_{callers}": round(cpu_s / answered * 1e6),
        **({f"others_{callers}": others} if others else {}),
    }


def encoder(folder: Path, precision: str, seconds: float, chosen: list[str], *, parts: list[str]) -> None:
    env = {"ENCODER_MODEL": str(_written_encoder(folder / precision, int8=precision == "int8"))}
    os.environ.update(env)
    from serving_parts.encoder import Encoder  # noqa: PLC0415

    asked = texts((20, 60, 120, 180))
    model = Encoder()
    labels = [model.predict(text)["label"] for text in asked]
    names = [headrace("encoder"), *(each for each in peers("encoder") if not chosen or each.name in chosen)]
    with ExitStack() as standing:
        servers = [(each, *standing.enter_context(served(each, asked, labels, env))) for each in names]
        direct = _answered_by_turns(precision, servers, partial(_direct, model, asked), seconds, parts=parts)
        for server, _, target in servers:
            if "encoder" in parts:
                best = _highest_rate(target, direct, seconds)
                say(
                    f"encoder {precision}, highest open-loop rate, p99 < 250 ms",
                    server=server.name,
                    rate=round(best, 1),
                )
            if "overload" in parts:
                _overload(f"encoder {precision}", server, target, rate=2 * direct, seconds=seconds)


def _answered_by_turns(
    precision: str,
    servers: Sequence[tuple[Server, Running, Target]],
    direct: Callable[[float], float],
    seconds: float,
    *,
    parts: list[str],
) -> float:
    """What two threads answer that call the model directly, and the servers by turns with it; medians."""
    direct_rates: list[float] = []
    outcomes: dict[str, list[Outcome]] = {server.name: [] for server, _, _ in servers}
    for _ in range(ROUNDS):
        direct_rates.append(direct(seconds))
        for server, _, target in servers:
            if "encoder" in parts:
                outcomes[server.name].append(closed_loop(target, callers=8, seconds=2 * seconds))
    usual = median(direct_rates)
    say(f"encoder {precision}, called directly by two threads", rate=round(usual, 1), rounds=ROUNDS)
    for server, up, _ in servers:
        if found := outcomes[server.name]:
            say(
                f"encoder {precision}, closed loop, 8 callers, medians",
                server=server.name,
                rate=round(median(each.rate for each in found), 1),
                of_direct=round(median(each.rate / one for each, one in zip(found, direct_rates, strict=True)), 2),
                p99_ms=round(median(each.percentile_ms(99) for each in found)),
                pss_mb=round(up.proportional_bytes() / 1e6),
                rounds=ROUNDS,
            )
    return usual


def _written_encoder(folder: Path, *, int8: bool) -> Path:
    from safetensors.numpy import load_file  # noqa: PLC0415 - what the tiny part need not have

    from headrace_documents.classifier.encoder_graph import write_encoder  # noqa: PLC0415
    from headrace_documents.classifier.weights import MINILM  # noqa: PLC0415

    found = MINILM.locate()
    if found is None:
        raise SystemExit(f"The weights of MiniLM are not installed. {MINILM.remedy}")
    weights, tokenizer = found
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(Path(tokenizer).read_bytes())
    return write_encoder(load_file(weights), folder, int8=int8)


def _direct(model: Any, asked: list[str], seconds: float) -> float:
    """Answers a second of two threads that do nothing else: what no server can be better than."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - for this alone

    ends = perf_counter() + 2 * seconds

    def work(number: int) -> int:
        done = 0
        while perf_counter() < ends:
            model.predict(asked[(number + done) % len(asked)])
            done += 1
        return done

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(work, (0, 128))) / (2 * seconds)


def _highest_rate(target: Target, direct: float, seconds: float) -> float:
    """By halving, the highest rate of arrivals at which the 99th percentile is below 250 ms and none is turned away."""
    low, high = 0.0, direct
    for _ in range(5):
        rate = (low + high) / 2
        outcome = open_loop(target, rate=rate, seconds=2 * seconds)
        turned_away = sum(count for status, count in outcome.statuses.items() if status != "200")
        if outcome.percentile_ms(99) < GOAL_MS and turned_away <= 0.01 * outcome.offered:
            low = rate
        else:
            high = rate
    return low


def _overload(what: str, server: Server, target: Target, *, rate: float, seconds: float) -> None:
    """Twice what can be answered; then half of it, to see after how many seconds all is as usual again."""
    over = open_loop(target, rate=rate, seconds=2 * seconds, patience_s=5.0)
    after = open_loop(target, rate=rate / 8, seconds=6.0)
    begun = min((at - late for at, late in after.finished_at), default=0.0)
    slow = [at - begun for at, late in after.finished_at if late * 1000 > GOAL_MS]
    others = {status: count for status, count in over.statuses.items() if status not in {"200", "429", "503"} and count}
    say(
        f"{what}, twice the highest rate",
        server=server.name,
        offered=over.offered,
        answered=len(over.latencies_s),
        p99_ms=round(over.percentile_ms(99)) if over.latencies_s else None,
        refused=len(over.refusals_s),
        refusal_p99_ms=round(over.refusal_ms(99), 1) if over.refusals_s else None,
        others=others,
        usual_after_s=round(max(slow, default=0.0), 2),
    )


if __name__ == "__main__":
    main()
