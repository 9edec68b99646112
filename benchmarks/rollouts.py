"""How honest the rollout statistics are: false alarms and misses over thousands of simulated rollouts.

`python benchmarks/rollouts.py [--quick]` prints one JSON line a figure. The peer of each is what teams commonly do:
a two-proportion z-test, or a chi-square test of the sample ratio, at the usual level after every request.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from headrace.domain.exposure import Observation, Tables, counted, figures_of
from headrace.domain.guard_rule import DEGRADED, ERRORS, LATENCY, LOW_CONFIDENCE
from headrace.domain.rollout import Rollout, RolloutPlan, RolloutState
from headrace.domain.rollout_figures import Marks, Stratum, Verdict
from headrace.rollouts.evidence import harm, sample_ratio
from headrace.rollouts.judge import judged

ALPHA, RATIO_ALPHA = 0.05, 0.01
SEED = 20261125
START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = RolloutPlan()
WEIGHT = {rule.name: rule.weight for rule in PLAN.guards}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A tenth of the rollouts.")
    runs = 100 if parser.parse_args().quick else 1000
    for name, traffic in TRAFFIC.items():
        say(f"false rollbacks, A/A, {name} traffic, looking at every request", **false_rollbacks(traffic, runs))
    say("error share 10 % -> 20 %, half of the traffic each", **detection(runs))
    say("sample ratio 10 % -> 12 %", **mismatches(runs, truth=0.12))
    say("sample ratio 10 % as planned", **mismatches(runs, truth=0.10))
    walks = runs // 5 if runs > 100 else 10
    say("whole rollouts 1,5,25,50 %, equal candidate", **whole_rollouts(walks, worse=0.0, requests=24_000))
    say("whole rollouts 1,5,25,50 %, errors 2 % -> 4 % (the margin)", **whole_rollouts(walks, worse=0.02))
    say("whole rollouts 1,5,25,50 %, errors 2 % -> 30 %", **whole_rollouts(walks, worse=0.28))


def say(figure: str, **values: object) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    line = {"benchmark": "rollouts", "figure": figure, **values, "machine": machine, "commit": commit.stdout.strip()}
    print(json.dumps(line), flush=True)


# Traffic of one rollout: for each request the key's number, and whether its answer is bad, the same in both arms.
Traffic = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def bernoulli(random: np.random.Generator, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """Every request its own key, bad with 10 %."""
    return np.arange(requests), random.random(requests) < 0.1


def bursty(random: np.random.Generator, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """2 % bad, and outages of 60 requests on average during which 80 % are; keys come back now and then."""
    switches = np.cumsum(random.random(requests) < 1 / np.where(np.arange(requests) % 2, 60, 240))
    share = np.where(switches % 2, 0.8, 0.02)
    return random.integers(0, requests // 2, requests), random.random(requests) < share


def clustered(random: np.random.Generator, requests: int) -> tuple[np.ndarray, np.ndarray]:
    """A few keys send most of the requests, and each has its own share of bad answers, from none to nearly all."""
    popularity = 1 / np.arange(1, 401) ** 0.9
    keys = random.choice(400, size=requests, p=popularity / popularity.sum())
    return keys, random.random(requests) < random.beta(0.3, 1.7, 400)[keys]


TRAFFIC: dict[str, Traffic] = {"Bernoulli": bernoulli, "bursty": bursty, "clustered": clustered}


def false_rollbacks(traffic: Traffic, runs: int, *, requests: int = 4000) -> dict[str, object]:
    """With the errors' part of alpha, over a share that grows; and the naive test on the same requests."""
    random = np.random.default_rng(SEED)
    shares = np.repeat([0.1, 0.25, 0.5, 0.5], requests // 4)
    rolled_back = naive = 0
    for _ in range(runs):
        keys, bad = traffic(random, requests)
        is_candidate = random.random(int(keys.max()) + 1)[keys] < shares
        rolled_back += bool((marks_evidence(keys, bad, is_candidate, shares) >= np.log(1 / ALPHA)).any())
        naive += bool((z_scores(bad, is_candidate) > 1.6449).any())
    return {
        "runs": runs, "requests": requests, "alpha": ALPHA, "value": rolled_back / runs,
        "peer": "one-sided z-test at 0.05 after every request", "peer_value": naive / runs,
    }  # fmt: skip


def marks_evidence(keys: np.ndarray, bad: np.ndarray, is_candidate: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The logarithm of the e-process after each request: each key marks once, with its first bad answer."""
    places = np.flatnonzero(bad)
    _, first = np.unique(keys[places], return_index=True)
    marked = np.zeros(len(keys), dtype=bool)
    marked[places[first]] = True
    return harm(
        [
            Marks(
                float(share),
                np.cumsum(marked & is_candidate & (shares == share)),
                np.cumsum(marked & ~is_candidate & (shares == share)),
            )
            for share in np.unique(shares)
        ]
    )


def z_scores(bad: np.ndarray, is_candidate: np.ndarray) -> np.ndarray:
    """Of the difference of two shares after each request; 0 before both sides have 30."""
    here, there = np.cumsum(is_candidate), np.cumsum(~is_candidate)
    bad_here, bad_there = np.cumsum(bad & is_candidate), np.cumsum(bad & ~is_candidate)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (bad_here + bad_there) / (here + there)
        z = (bad_here / here - bad_there / there) / np.sqrt(pooled * (1 - pooled) * (1 / here + 1 / there))
    return np.where((here >= 30) & (there >= 30) & np.isfinite(z), z, 0.0)


def detection(runs: int, *, requests: int = 6000) -> dict[str, object]:
    """Requests a side until the errors' guard, with its part of alpha, rolls back."""
    random = np.random.default_rng(SEED)
    is_candidate = random.random((runs, requests)) < 0.5
    bad = random.random((runs, requests)) < np.where(is_candidate, 0.2, 0.1)
    marks = Marks(0.5, np.cumsum(bad & is_candidate, axis=1), np.cumsum(bad & ~is_candidate, axis=1))
    crossed = harm([marks]) >= np.log(1 / (ALPHA * WEIGHT[ERRORS]))
    aside = (np.argmax(crossed, axis=1) + 1) / 2
    peer = np.stack([z_scores(*pair) > 1.6449 for pair in zip(bad, is_candidate, strict=True)])
    return {
        "runs": runs, "value": float(np.median(aside)), "unit": "requests a side, median",
        "p95": float(np.quantile(aside, 0.95)), "found": float(crossed.any(axis=1).mean()),
        "peer": "one-sided z-test at 0.05 after every request",
        "peer_value": float(np.median((np.argmax(peer, axis=1) + 1) / 2)),
    }  # fmt: skip


def mismatches(runs: int, *, truth: float, keys: int = 20_000, planned: float = 0.1) -> dict[str, object]:
    """How many runs are held for their sample ratio, after how many keys."""
    random = np.random.default_rng(SEED)
    found: list[float] = []
    naive = 0
    numbers = np.arange(1, keys + 1)
    for _ in range(runs):
        candidate = np.cumsum(random.random(keys) < truth)
        evidence = sample_ratio([Stratum(planned, candidate, numbers - candidate)])
        crossed = evidence >= np.log(1 / RATIO_ALPHA)
        found += [float(np.argmax(crossed) + 1)] if crossed.any() else []
        chi_square = (candidate - planned * numbers) ** 2 / (planned * (1 - planned) * numbers)
        naive += bool((chi_square[100:] > 6.635).any())
    return {
        "runs": runs, "keys": keys, "alpha": RATIO_ALPHA, "value": len(found) / runs,
        "median_keys": float(np.median(found)) if found else None,
        "peer": "chi-square at 0.01 after every key", "peer_value": naive / runs,
    }  # fmt: skip


def whole_rollouts(runs: int, *, worse: float, requests: int = 16_000) -> dict[str, object]:
    """The judge itself with all guards, on clustered traffic, deciding about steps, promotion and rollback."""
    random = np.random.default_rng(SEED)
    ends: dict[str, int] = {}
    asked: list[int] = []
    began = time.perf_counter()
    for number in range(runs):
        state, seen = walk(random, f"salt-{number}", worse, requests)
        ends[state] = ends.get(state, 0) + 1
        asked.append(seen)
    return {
        "runs": runs, "value": ends, "median_requests": float(np.median(asked)),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def walk(random: np.random.Generator, salt: str, worse: float, requests: int) -> tuple[str, int]:
    """One rollout from its first step to its end, looked at after every 100 requests; the keys' salt is its own."""
    rollout = Rollout.begun(
        "rol_0", pipeline="p", champion="sha256:a", candidate="sha256:b", plan=PLAN, salt=salt, now=START
    )
    keys = random.integers(0, requests // 3, requests)
    tables = Tables()
    for begin in range(0, requests, 100):
        observations = [observed(random, rollout, f"key-{key}", worse) for key in keys[begin : begin + 100]]
        tables = counted(observations, tables)
        judgement = judged(rollout, figures_of(tables), at=START + timedelta(seconds=begin), at_step_s=0)
        rollout = followed(rollout, judgement.verdict)
        if rollout.is_over or rollout.state is RolloutState.HELD:
            return rollout.state.value, begin + 100
    return RolloutState.CANARY.value, requests


def observed(random: np.random.Generator, rollout: Rollout, key: str, worse: float) -> Observation:
    is_candidate = rollout.is_candidate(key)
    tendency = (zlib.crc32(key.encode()) % 97) / 97
    bad = {ERRORS: random.random() < 0.04 * tendency + worse * is_candidate}
    for guard, usual in ((DEGRADED, 0.02), (LATENCY, 0.05), (LOW_CONFIDENCE, 0.05)):
        bad[guard] = random.random() < 2 * usual * tendency
    return Observation(key=key, step=rollout.step, share=rollout.share, is_candidate=is_candidate, bad=bad)


def followed(rollout: Rollout, verdict: Verdict) -> Rollout:
    if verdict in {Verdict.STEP, Verdict.PROMOTE}:
        return rollout.stepped("", now=START)
    if verdict is Verdict.ROLL_BACK:
        return rollout.rolled_back("", now=START)
    return replace(rollout, state=RolloutState.HELD) if verdict is Verdict.HOLD else rollout


if __name__ == "__main__":
    main()
