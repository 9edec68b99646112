"""False alarms and delays: all contestants over the same simulated traffic, and over dated documents."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from figures import Figures, shared_folder
from monitoring_parts.contestants import Adwins, Headrace, Maker, PageHinkleys, Together, agrees_with_river
from monitoring_parts.streams import FEATURES, SHIFTS, STREAMS, Shift, Stretch, Traffic, joined
from river.drift import ADWIN, PageHinkley

from headrace.domain.observation import Observation
from headrace.monitoring.quantile_sketch import sketch_of
from headrace.monitoring.stream import Stream
from headrace.monitoring.watch import ReleaseWatch, WatchOptions
from headrace.monitoring.window import EVERYTHING, Seen, WindowSketch
from headrace_documents.classifier.tokens import StaticReader

Floats = npt.NDArray[np.float64]
ALPHA = 0.05
PATIENCE = 20_000
DELTAS = (0.005, 0.1, 0.25)
ADWIN_DELTAS = (1e-5, 1e-6, 1e-7)
_ADWIN_GROUPS = 3
_GROUP = 20
_SEED = 3
_BATCH = 25
_STRETCH = 1_000
_RACES = 200
"""Runs that are drawn side by side, each group with a seed of its own."""


def false_alarms(figures: Figures, runs: range, *, decisions: int, workers: int) -> float:
    """The share of runs of undrifted decisions in which any stream ever rings; each has a seed of its own."""
    groups = [(group, decisions) for group in range(runs.start // _GROUP, -(-runs.stop // _GROUP))]
    with ProcessPoolExecutor(workers) as pool:
        rung = np.concatenate(list(pool.map(_rung, groups)))
    facts: dict[str, Any] = {
        "begin": groups[0][0] * _GROUP,
        "runs": len(rung),
        "decisions": decisions,
        "streams": STREAMS,
        "alpha": ALPHA,
    }
    figures.tell("runs with any false alarm", float(rung.mean()), unit="share", **facts)
    return float(rung.mean())


def _rung(group: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which runs of a group of undrifted ones ring."""
    number, decisions = group
    traffic, headrace = Traffic(_GROUP, _SEED + number), Headrace(_GROUP, ALPHA, number)
    rung = np.zeros(_GROUP, bool)
    for stretch in _stretches(traffic, decisions):
        rung |= headrace.take(stretch).at >= 0
    return rung


def _stretches(traffic: Traffic, decisions: int, *, at_once: int = 10_000) -> Iterator[Stretch]:
    """So many decisions, a portion at a time, so that they fit in memory."""
    for start in range(0, decisions, at_once):
        yield traffic.next(min(at_once, decisions - start))


@dataclass(frozen=True, slots=True)
class Peers:
    """Which of River's detectors are raced: Page-Hinkley of these deltas, and all of them together where all are."""

    deltas: tuple[float, ...] = DELTAS
    with_adwin: bool = True

    @classmethod
    def named(cls, deltas: str, *, with_adwin: bool) -> Peers:
        """As the command line says: `0.1,0.25`, or nothing for all."""
        return cls(tuple(map(float, deltas.split(","))) if deltas else DELTAS, with_adwin)


def tuned(figures: Figures, *, rate: float, runs: int, decisions: int, workers: int, peers: Peers) -> dict[str, Maker]:
    """River's detectors, one a stream, such that a run rings as seldom as ours: `rate` of the same undrifted runs.

    What is made equal is the share of runs in which any of all streams rings, for that is what an operator hears.
    """
    rate = max(rate, 1 / runs)
    figures.tell("page-hinkley agrees with River's own", agrees_with_river(20_000), unit="truth")
    groups = range(-(-runs // _GROUP))
    makers: dict[str, Maker] = {}
    columns: list[Floats] = []
    with ProcessPoolExecutor(workers) as pool:
        for delta in peers.deltas:
            halves = [(some, decisions, delta) for some in (groups[::2], groups[1::2]) if some]
            highest = np.concatenate(list(pool.map(_highest_of, halves)))
            thresholds = _joint(highest, rate)
            name = f"Page-Hinkley, delta {delta:g}"
            _tell_rate(figures, name, (highest > thresholds).any(axis=1), decisions)
            makers[name] = partial(PageHinkleys, delta=delta, thresholds=thresholds)
            columns.append(highest)
        # Each delta is best at changes of one size; who does not know the size beforehand has to run them all.
        if peers.deltas == DELTAS:
            highest = np.hstack(columns)
            thresholds = _joint(highest, rate)
            together = (highest > thresholds).any(axis=1)
            _tell_rate(figures, "Page-Hinkley, the three deltas together", together, decisions)
            bounds = dict(zip(DELTAS, np.split(thresholds, len(DELTAS)), strict=True))
            makers["Page-Hinkley, the three deltas together"] = partial(Together, thresholds=bounds)
        for delta in ADWIN_DELTAS if peers.with_adwin else ():
            rung = np.concatenate(
                list(pool.map(_adwins_rung, [(each, decisions, delta) for each in groups[:_ADWIN_GROUPS]]))
            )
            _tell_rate(figures, f"ADWIN, delta {delta:g}", rung, decisions)
            makers["ADWIN"] = partial(Adwins, delta=delta)
            if rung.mean() <= rate:
                break
    return makers


def _highest_of(group: tuple[Sequence[int], int, float]) -> Floats:
    """How high the test of each feature gets in any stream of undrifted runs, (runs, features)."""
    numbers, decisions, delta = group
    runs = _GROUP * len(numbers)
    several = [_stretches(Traffic(_GROUP, _SEED + number), decisions, at_once=2_000) for number in numbers]
    test = PageHinkleys(runs, delta)
    for stretches in zip(*several, strict=True):
        test.take(joined(stretches))
    highest: Floats = test.highest.reshape(runs, -1, len(FEATURES)).max(axis=1)
    return highest


def _adwins_rung(group: tuple[int, int, float]) -> npt.NDArray[np.bool_]:
    number, decisions, delta = group
    traffic, test = Traffic(_GROUP, _SEED + number), Adwins(_GROUP, delta)
    rung = np.zeros(_GROUP, bool)
    for stretch in _stretches(traffic, decisions):
        rung |= test.take(stretch).at >= 0
    return rung


def _tell_rate(figures: Figures, peer: str, rung: npt.NDArray[np.bool_], decisions: int) -> None:
    facts = {"peer": f"river {peer}", "runs": len(rung), "decisions": decisions}
    figures.tell("runs with any false alarm", float(rung.mean()), unit="share", **facts)


def delays(
    figures: Figures, makers: dict[str, Maker], *, shifts: Sequence[Shift], runs: int, change_at: int, workers: int
) -> None:
    """The median of decisions from a change to its alarm; runs that rang before the change do not count."""
    contestants: dict[str, Maker] = {"headrace": partial(Headrace, alpha=ALPHA, seed=19), **makers}
    groups = [(number, min(_RACES, runs - start)) for number, start in enumerate(range(0, runs, _RACES))]
    with ProcessPoolExecutor(workers) as pool:
        for shift in shifts:
            races = [(make, shift, group, change_at) for make in contestants.values() for group in groups]
            heats = iter(list(pool.map(_raced, races)))
            for name in contestants:
                late = np.concatenate([next(heats) for _ in groups])
                peer = {} if name == "headrace" else {"peer": f"river {name}"}
                counted = {"runs": len(late), "unheard": int((late >= PATIENCE).sum())}
                figures.tell(
                    "decisions to the alarm, median",
                    np.median(late),
                    unit="decisions",
                    shift=shift.name,
                    within=_interval_of_median(late),
                    **counted,
                    **peer,
                )


def _interval_of_median(late: Floats) -> list[float]:
    """In which the median of endlessly many runs lies with 95 %, by order statistics."""
    half = 0.98 * np.sqrt(len(late))
    places = np.clip([np.floor(len(late) / 2 - half), np.ceil(len(late) / 2 + half)], 0, len(late) - 1).astype(int)
    return [float(each) for each in np.sort(late)[places]]


def _raced(race: tuple[Maker, Shift, tuple[int, int], int]) -> Floats:
    """Of every run of a group that was silent before the change, the decisions to its alarm."""
    make, shift, (number, runs), change_at = race
    traffic, contestant = Traffic(runs, 13 + 1_000 * number), make(runs)
    silent, at = np.ones(runs, bool), np.full(runs, -1)
    # Every contestant has seen the same normal decisions before.
    for stretch in _stretches(traffic, change_at):
        silent &= contestant.take(stretch).at < 0
    for start in range(0, PATIENCE, _STRETCH):
        rung = contestant.take(traffic.next(_STRETCH, shift)).at
        at = np.where((at < 0) & (rung >= 0), start + rung, at)
        if (at >= 0).all():
            break
    late: Floats = np.where(at < 0, PATIENCE, at + 1.0)[silent]
    return late


def causes(figures: Figures, *, runs: int, change_at: int, workers: int) -> None:
    """How often the first alarm of the watch itself, as it runs in production, names what was changed, and where."""
    with ProcessPoolExecutor(workers) as pool:
        for place, shift in enumerate(SHIFTS):
            named = list(pool.map(_named, [(shift, 1000 * place + run, change_at) for run in range(runs)]))
            found = Counter(name for name in named if name)
            wanted = f"{shift.feature} in {EVERYTHING if shift.segment is None else f'source=s{shift.segment}'}"
            figures.tell(
                "cause ranked first",
                found[wanted] / max(1, found.total()),
                unit="share",
                shift=shift.name,
                runs=found.total(),
                others=", ".join(name for name, _ in found.most_common(4) if name != wanted),
            )


def _named(race: tuple[Shift, int, int]) -> str:
    """What the watch says has changed, where; nothing for a run that rang before the change, or never."""
    shift, seed, change_at = race
    traffic = Traffic(1, seed)
    watch = ReleaseWatch("sha256:bench", WatchOptions(alpha=ALPHA), np.random.default_rng(seed))
    for start in range(0, change_at + PATIENCE, _BATCH):
        stretch = traffic.next(_BATCH, shift if start >= change_at else None)
        found = watch.take(_sketches(stretch), [])
        if found:
            return f"{found[0].feature} in {found[0].segment}" if start >= change_at else ""
    return ""


def _sketches(stretch: Stretch) -> dict[str, WindowSketch]:
    """What the witness makes of the decisions of one run."""
    sketches: dict[str, WindowSketch] = {}
    for segment, values in zip(stretch.segment[0].tolist(), stretch.values[:, 0].T.tolist(), strict=True):
        named = dict(zip(FEATURES, values, strict=True))
        label = f"label {named.pop('label'):.0f}"
        seen = Seen.of(Observation(numbers=named, categories={"label": label}, tags={"source": f"s{segment}"}))
        for name in seen.segments:
            sketches.setdefault(name, WindowSketch()).add(seen)
    return sketches


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


def _joint(highest: Floats, rate: float) -> Floats:
    """A threshold a feature such that just `rate` of the runs pass any; all are as far out of what is usual."""
    usual = np.quantile(highest, 0.9, axis=0)
    furthest = np.sort((highest / usual).max(axis=1))
    allowed = round(rate * len(furthest))
    return np.asarray(furthest[len(furthest) - 1 - allowed] * usual)


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
        peers[f"page-hinkley, delta {delta:g}"] = lambda d=delta, t=threshold: PageHinkley(
            delta=d, threshold=t, alpha=1.0
        )
    for delta in (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 1e-5):
        rung = [_theirs(lambda d=delta: ADWIN(delta=d), rows, after=0) is not None for rows in shuffled]
        peers["ADWIN"] = lambda d=delta: ADWIN(delta=d)
        if np.mean(rung) <= rate:
            break
    return peers


def _highest(column: Floats, delta: float) -> float:
    """The highest that River's Page-Hinkley gets to over a stream."""
    detector = PageHinkley(delta=delta, threshold=float("inf"), alpha=1.0)
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
