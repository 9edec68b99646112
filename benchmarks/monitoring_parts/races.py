"""False alarms and delays: all contestants over the same simulated traffic, and over dated documents."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from figures import Figures, shared_folder
from monitoring_parts.contestants import Adwins, Headrace, PageHinkleys, agrees_with_river, learned_edges
from monitoring_parts.streams import FEATURES, SHIFTS, Shift, Traffic
from river.drift import ADWIN, PageHinkley

from headrace.monitoring.detectors import ConformalRanks, Wagers
from headrace.monitoring.quantile_sketch import sketch_of
from headrace.monitoring.stream import Stream
from headrace_documents.classifier.tokens import StaticReader

Floats = npt.NDArray[np.float64]
ALPHA = 0.05
PATIENCE = 20_000
DELTAS = (0.005, 0.25)
ADWIN_DELTAS = (1e-4, 1e-5, 1e-6, 1e-7)


def false_alarms(figures: Figures, *, runs: int, decisions: int) -> float:
    """The share of runs of undrifted decisions in which any feature ever rings."""
    traffic, edges = Traffic(runs, 3), learned_edges(Traffic(1, 1))
    streams = runs * len(FEATURES)
    ranks, wagers = ConformalRanks(streams, max(len(each) for each in edges) + 2), Wagers(streams)
    rng, highest = np.random.default_rng(5), np.ones(streams)
    for _ in range(decisions):
        values = traffic.step().values
        bins = np.concatenate([np.searchsorted(e, v, side="left") for e, v in zip(edges, values, strict=True)])
        np.maximum(highest, wagers.next(ranks.next(bins, rng.random(streams))), out=highest)
    rung = (highest.reshape(len(FEATURES), runs) >= len(FEATURES) / ALPHA).any(axis=0)
    facts: dict[str, Any] = {"runs": runs, "decisions": decisions, "streams": len(FEATURES), "alpha": ALPHA}
    figures.tell("runs with any false alarm", float(rung.mean()), unit="share", **facts)
    return float(rung.mean())


def tuned(figures: Figures, *, rate: float, runs: int, decisions: int) -> dict[str, Callable[[int], Any]]:
    """River's detectors with the same share of runs with a false alarm, `rate`, in runs as long as ours."""
    rate = max(rate, 1 / runs)
    figures.tell("page-hinkley agrees with River's own", agrees_with_river(Traffic(1, 5), 20_000), unit="truth")
    makers: dict[str, Callable[[int], Any]] = {}
    for delta in DELTAS:
        traffic, test = Traffic(runs, 7), PageHinkleys(runs, delta)
        for _ in range(decisions):
            test.take(traffic.step())
        # One threshold a feature, all at the same rarity, so that the runs in which any is passed are `rate` of all.
        highest = test.highest.reshape(runs, -1, len(FEATURES)).max(axis=1)
        thresholds = _joint(highest, rate)
        makers[f"page-hinkley, delta {delta:g}"] = lambda many, d=delta, t=thresholds: PageHinkleys(many, d, t)
    adwin_runs = max(20, runs // 8)
    chosen = ADWIN_DELTAS[-1]
    for delta in ADWIN_DELTAS:
        traffic, test = Traffic(adwin_runs, 11), Adwins(adwin_runs, delta)
        rung = np.zeros(adwin_runs, bool)
        for _ in range(decisions):
            rung[test.take(traffic.step())[0]] = True
        figures.tell("runs with any false alarm", rung.mean(), unit="share", peer=f"river ADWIN, delta {delta:g}")
        if rung.mean() <= rate:
            chosen = delta
            break
    makers[f"ADWIN, delta {chosen:g}"] = lambda many: Adwins(many, chosen)
    return makers


def delays(figures: Figures, makers: dict[str, Callable[[int], Any]], *, runs: int, change_at: int) -> None:
    """The median of decisions from a change to its alarm, and how often the loudest stream is what was changed."""
    for shift in SHIFTS:
        found: dict[str, list[Floats]] = {}
        for name, make in {"headrace": _headrace, **makers}.items():
            traffic = Traffic(runs, 13)
            contestant = make(runs)
            # Every contestant has seen the same normal decisions before.
            for _ in range(change_at):
                contestant.take(traffic.step())
            found[name] = _raced(contestant, traffic, shift, runs)
        for name, (late, right) in found.items():
            peer = {} if name == "headrace" else {"peer": f"river {name}"}
            figures.tell(
                "decisions to the alarm, median", np.median(late), unit="decisions", shift=shift.name, runs=runs, **peer
            )
            if name == "headrace":
                figures.tell("cause ranked first", right.mean(), unit="share", shift=shift.name, runs=runs)


def dated(figures: Figures, *, shuffles: int) -> None:
    """Dated security advisories: decisions from the first of a flood of one package to the alarm.

    The advisories before it drift too, over the years: after an alarm every contestant begins anew.
    """
    folder = shared_folder("data/drift/advisories")
    if folder is None:
        return
    rows = _advisories(folder / "stream_to_2022-06.jsonl.gz")
    flood = _flood([row["package"] for row in rows])
    reader = StaticReader()
    features = np.array([_features(reader, row["text"]) for row in rows])
    features = (features - features[:200].mean(axis=0)) / np.maximum(features[:200].std(axis=0), 1e-9)
    rng = np.random.default_rng(17)
    bound = features.shape[1] / ALPHA
    # Shuffled, the same advisories have no change: at most ALPHA of these runs may ring, for anyone.
    shuffled = [features[rng.permutation(len(features))] for _ in range(shuffles)]
    false = np.mean([_ours(rows, bound, rng, after=0) is not None for rows in shuffled])
    facts: dict[str, Any] = {"data": "advisories", "documents": len(rows), "flood_begins": int(flood)}
    figures.tell("runs with any false alarm, shuffled", false, unit="share", alpha=ALPHA, **facts)
    _tell_ring(figures, _ours(features, bound, rng, after=flood), flood, facts)
    rate = max(float(false), 1 / shuffles)
    for name, make in _dated_peers(shuffled, rate).items():
        _tell_ring(figures, _theirs(make, features, after=flood), flood, facts | {"peer": f"river {name}"})


def _headrace(runs: int) -> Headrace:
    """Bins are learned from decisions of their own, as a stream does."""
    contestant = Headrace(Traffic(1, 1), ALPHA, seed=19)
    contestant.resize(runs)
    return contestant


def _raced(contestant: Any, traffic: Traffic, shift: Shift, runs: int) -> list[Floats]:
    late, right = np.full(runs, float(PATIENCE)), np.zeros(runs)
    wanted = FEATURES.index(shift.feature) + (0 if shift.segment is None else (shift.segment + 1) * len(FEATURES))
    waiting = np.ones(runs, bool)
    for place in range(PATIENCE):
        rings, streams = contestant.take(traffic.step(shift))
        fresh = waiting[rings]
        late[rings[fresh]], right[rings[fresh]] = place + 1, streams[fresh] == wanted
        waiting[rings] = False
        if not waiting.any():
            break
    return [late, right]


def _joint(highest: Floats, rate: float) -> Floats:
    """A threshold a feature such that `rate` of the runs pass any: the rarity is found by bisection."""
    low, high = 0.0, rate
    for _ in range(30):
        middle = (low + high) / 2
        over = (highest > np.quantile(highest, 1 - middle, axis=0)).any(axis=1).mean()
        low, high = (middle, high) if over <= rate else (low, middle)
    return np.quantile(highest, 1 - low, axis=0)


def _advisories(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _flood(packages: Sequence[str]) -> int:
    """Where the package that has the most advisories of all first makes up most of 40 in a row."""
    most = max(set(packages), key=lambda name: (list(packages).count(name), name))
    start = next(i for i in range(200, len(packages)) if packages[i : i + 40].count(most) > 20)
    return start + list(packages[start:]).index(most)


def _features(reader: StaticReader, text: str) -> list[float]:
    projection = np.random.default_rng(20_260_101).normal(size=(256, 16)) / 4
    pooled = reader.read(text[:2000]).pooled() @ projection
    return [float(np.log1p(len(text))), *(float(value) for value in pooled[:4])]


def _ours(features: Floats, bound: float, rng: np.random.Generator, *, after: int) -> int | None:
    """The first decision from `after` on at which any stream's capital passes the bound."""
    first = []
    for column in features.T:
        stream = Stream()
        for place, value in enumerate(column):
            if stream.take(sketch_of([value]), rng) >= bound:
                if place >= after:
                    first.append(place)
                    break
                stream.restart()
    return min(first, default=None)


def _theirs(make: Callable[[], Any], features: Floats, *, after: int) -> int | None:
    """As `_ours`; River's detectors begin anew by themselves."""
    first = []
    for column in features.T:
        detector = make()
        for place, value in enumerate(column):
            detector.update(float(value))
            if detector.drift_detected and place >= after:
                first.append(place)
                break
    return min(first, default=None)


def _dated_peers(shuffled: Sequence[Floats], rate: float) -> dict[str, Callable[[], Any]]:
    """River's detectors as tight as they may be: at most `rate` of the shuffled runs ring."""
    peers: dict[str, Callable[[], Any]] = {}
    for delta in DELTAS:
        highest = [max(_highest(column, delta) for column in rows.T) for rows in shuffled]
        threshold = float(np.quantile(highest, 1 - rate, method="higher"))
        peers[f"page-hinkley, delta {delta:g}"] = lambda d=delta, t=threshold: PageHinkley(delta=d, threshold=t)
    for delta in (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 1e-5):
        rung = [_theirs(lambda d=delta: ADWIN(delta=d), rows, after=0) is not None for rows in shuffled]
        peers["ADWIN"] = lambda d=delta: ADWIN(delta=d)
        if np.mean(rung) <= rate:
            break
    return peers


def _highest(column: Floats, delta: float) -> float:
    """The highest that River's Page-Hinkley gets to over a stream."""
    detector = PageHinkley(delta=delta, threshold=float("inf"))
    highest = 0.0
    for place, value in enumerate(column.tolist()):
        detector.update(value)
        if place >= 30:
            # River does not tell how near it is to its threshold.
            up = detector._sum_increase - detector._min_increase  # noqa: SLF001
            highest = max(highest, up, detector._max_decrease - detector._sum_decrease)  # noqa: SLF001
    return highest


def _tell_ring(figures: Figures, ring: int | None, flood: int, facts: dict[str, Any]) -> None:
    if ring is None:
        figures.tell("no alarm was raised", 0, unit="decisions", **facts)
    else:
        figures.tell("decisions to the alarm", ring - flood + 1, unit="decisions", **facts)
