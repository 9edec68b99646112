"""The watch: false alarms, delays beside River's detectors, causes, accuracy without labels, anomalies, and its cost.

    python benchmarks/monitoring.py [--quick] [--only false_alarms,delays,dated,estimates,anomalies,cost]

Times are of the processor. Peers get what suits them best and the same share of runs with a false alarm, tuned on runs
of the same length.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figures import Figures
from monitoring_parts import judging, races

PARTS = ("false_alarms", "delays", "dated", "estimates", "anomalies", "cost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--rate", type=float, default=None, help="share of false alarms that peers are tuned to")
    given = parser.parse_args()
    figures = Figures("monitoring", is_quick=given.quick)
    parts = given.only.split(",")
    rate = given.rate
    if "false_alarms" in parts:
        runs, decisions = (40, 2_000) if given.quick else (1_000, 100_000)
        rate = races.false_alarms(figures, runs=runs, decisions=decisions)
    if "delays" in parts:
        runs, decisions = (40, 2_000) if given.quick else (100, 100_000)
        makers = races.tuned(figures, rate=rate or 0.01, runs=runs, decisions=decisions)
        races.delays(figures, makers, runs=10 if given.quick else 40, change_at=2_000 if given.quick else 10_000)
    if "dated" in parts:
        races.dated(figures, shuffles=4 if given.quick else 40)
    if "estimates" in parts:
        judging.estimates(figures, windows=40 if given.quick else 400)
    if "anomalies" in parts:
        judging.anomalies(figures, rounds=3 if given.quick else 30, most=2_000 if given.quick else 8_000)
    if "cost" in parts:
        judging.cost(figures, decisions=20_000 if given.quick else 1_000_000)


if __name__ == "__main__":
    main()
