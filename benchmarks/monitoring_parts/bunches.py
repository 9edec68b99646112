"""Decisions that come in bunches: false alarms of undrifted traffic, and how soon a change in it is found."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
from figures import Figures

from headrace.domain.observation import Observation
from headrace.monitoring.watch import ReleaseWatch, WatchOptions
from headrace.monitoring.window import exemplar_of, reference_of

MEANS = (1, 2, 5, 12)
ALPHA = 0.05
_A_BATCH = 40
_UNHEARD = 10_000


def bunches(figures: Figures, *, runs: int, decisions: int, workers: int) -> None:
    """Each bunch has one source, language and label, and numbers that are alike; sizes are geometric."""
    with ProcessPoolExecutor(workers) as pool:
        for mean in MEANS:
            found = list(pool.map(_run, [(seed, mean, decisions) for seed in range(runs)]))
            facts = {"bunch": mean, "runs": runs, "decisions": decisions, "alpha": ALPHA}
            rung = np.mean([alarms > 0 for alarms, _ in found])
            figures.tell("runs of bunched decisions with a false alarm", float(rung), unit="share", **facts)
            delays = [delay for alarms, delay in found if not alarms]
            if delays:
                median = float(np.median(delays))
                facts |= {"runs": len(delays), "unheard": sum(delay == _UNHEARD for delay in delays)}
                figures.tell("decisions to the alarm in bunches, median", median, unit="decisions", **facts)


def _run(given: tuple[int, int, int]) -> tuple[int, int]:
    """False alarms, and how many decisions a change took: half of what one source sends is in a new language."""
    seed, mean, decisions = given
    rng = np.random.default_rng(seed)
    watch = ReleaseWatch("sha256:a", WatchOptions(alpha=ALPHA), rng)
    alarms = sum(_looks(watch, _traffic(rng, decisions, mean, is_changed=False)))
    for taken, causes in enumerate(_looks(watch, _traffic(rng, 4_000, mean, is_changed=True)), 1):
        if causes:
            return alarms, taken * _A_BATCH
    return alarms, _UNHEARD


def _looks(watch: ReleaseWatch, observed: list[Observation]) -> list[int]:
    """How many causes each look names."""
    found = []
    for start in range(0, len(observed), _A_BATCH):
        batch = observed[start : start + _A_BATCH]
        exemplars = [exemplar_of("dec", "sha256:a", each) for each in batch]
        found.append(len(watch.take(reference_of(batch, fewest=0), exemplars)))
    return found


def _traffic(rng: np.random.Generator, decisions: int, mean: int, *, is_changed: bool) -> list[Observation]:
    found: list[Observation] = []
    while len(found) < decisions:
        source = str(rng.choice(["erp", "mail", "web"], p=[0.5, 0.3, 0.2]))
        language = str(rng.choice(["en", "de", "fr"], p=[0.7, 0.2, 0.1]))
        if is_changed and source == "mail" and rng.random() < 0.5:
            language = "es"
        label = str(rng.choice(["invoice", "letter", "report", "cv"], p=[0.4, 0.3, 0.2, 0.1]))
        length, confidence = rng.normal(7, 0.8), rng.beta(8, 2)
        found += [
            Observation(
                numbers={
                    "characters": float(np.exp(rng.normal(length, 0.3))),
                    "confidence": float(np.clip(rng.normal(confidence, 0.05), 0, 1)),
                },
                categories={"label": label},
                tags={"source": source, "language": language},
            )
            for _ in range(rng.geometric(1 / mean))
        ]
    return found[:decisions]
