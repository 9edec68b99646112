"""The watch: false alarms, delays beside River's detectors, causes, accuracy without labels, anomalies, and its cost.

    python benchmarks/monitoring.py [--quick] [--only PART,PART]

Parts: false_alarms, delays, causes, dated, bunches, estimates, anomalies, cost, throughput, shares.

Times are of the processor. Peers get what suits them best, and are tuned to the share of runs with a false alarm that
Headrace itself shows: over the same undrifted runs, of the same length, with a detector for each of the same streams.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# Times of the processor would count the threads of the algebra library that only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from figures import Figures
from monitoring_parts import judging, races
from monitoring_parts.bunches import bunches
from monitoring_parts.shares import shares
from monitoring_parts.streams import SHIFTS
from monitoring_parts.throughput import throughput

PARTS = (
    "false_alarms",
    "delays",
    "causes",
    "dated",
    "bunches",
    "estimates",
    "anomalies",
    "cost",
    "throughput",
    "shares",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--rate", type=float, default=None, help="share of false alarms that peers are tuned to")
    parser.add_argument("--runs", type=int, default=None, help="undrifted runs (default: 1,000)")
    parser.add_argument("--begin", type=int, default=0, help="the first undrifted run, where they are run in pieces")
    parser.add_argument("--shifts", default="", help="places of the shifts to race, as 0,2; all if not given")
    parser.add_argument("--without-adwin", action="store_true", help="which takes most of the time")
    parser.add_argument("--races", type=int, default=None, help="runs of each shift (default: 200)")
    parser.add_argument("--deltas", default="", help="of Page-Hinkley, as 0.25; all if not given")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate")
    given = parser.parse_args()
    figures = Figures("monitoring", is_quick=given.quick)
    parts, workers = given.only.split(","), given.workers
    runs, decisions = (given.runs or 20, 5_000) if given.quick else (given.runs or 1_000, 100_000)
    rate = given.rate
    if "false_alarms" in parts:
        some = range(given.begin, given.begin + runs)
        rate = races.false_alarms(figures, some, decisions=decisions, workers=workers)
    if "delays" in parts:
        if rate is None:
            parser.error("delays need false_alarms in the same run, or --rate as that measured it.")
        shifts = [SHIFTS[int(place)] for place in given.shifts.split(",")] if given.shifts else SHIFTS
        makers = races.tuned(
            figures,
            rate=rate,
            runs=runs,
            decisions=decisions,
            workers=workers,
            peers=races.Peers.named(given.deltas, with_adwin=not given.without_adwin),
        )
        races.delays(
            figures,
            makers,
            shifts=shifts,
            runs=given.races or (20 if given.quick else 200),
            change_at=2_000 if given.quick else 10_000,
            workers=workers,
        )
    if "causes" in parts:
        races.causes(figures, runs=3 if given.quick else 60, change_at=5_000, workers=workers)
    if "dated" in parts:
        races.dated(figures, shuffles=4 if given.quick else 40)
    if "bunches" in parts:
        bunches(figures, runs=4 if given.quick else 40, decisions=2_000 if given.quick else 5_000, workers=workers)
    others(figures, parts, is_quick=given.quick)


def others(figures: Figures, parts: Sequence[str], *, is_quick: bool) -> None:
    """The parts without peers."""
    if "estimates" in parts:
        judging.estimates(figures, windows=40 if is_quick else 400)
    if "anomalies" in parts:
        judging.anomalies(figures, rounds=3 if is_quick else 30, most=2_000 if is_quick else 8_000)
    if "cost" in parts:
        judging.cost(figures, decisions=20_000 if is_quick else 1_000_000)
    if "shares" in parts:
        shares(figures, texts=40 if is_quick else 600)
    if "throughput" in parts:
        throughput(figures, documents_a_round=40 if is_quick else 300, rounds=2 if is_quick else 8)


if __name__ == "__main__":
    main()
