"""How different, and where? Effect sizes with intervals, and what each cause adds to a change of the decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace.domain.report import Effect, ExplainedChange, Explanation, Measured
from headrace.monitoring.binning import CategoryBins, NumberBins
from headrace.monitoring.heavy_counts import HeavyCounts
from headrace.monitoring.quantile_sketch import QuantileSketch, value_of
from headrace.monitoring.window import WindowSketch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EFFECT_BINS = 10
FEWEST = 30
"""Fewer decisions than that on either side say nothing of a distribution."""
_SIDES_Z = 1.96


def population_stability(reference: Ints, window: Ints, *, bunched: float = 1.0) -> Measured:
    """How far the counts `window` have moved from `reference`, (bins,) each; the sum of (q - p) log(q / p).

    An empty bin counts as half an observation. Chance alone moves it by about `(bins - 1) (1/n + 1/m)`, which is taken
    off; the interval is by the delta method, widened by what it would be if nothing had moved (Yurdakul and Naranjo,
    "Statistical properties of the population stability index", 2020). `bunched` decisions are worth one.
    """
    p, q, n, m = _shares(reference, window)
    n, m = n / bunched, m / bunched
    ratio = np.log(q / p)
    spread = _variance(p, -ratio - q / p, n) + _variance(q, ratio + 1 - p / q, m)
    return _interval(float(np.sum((q - p) * ratio)), spread, (len(p) - 1, 1 / n + 1 / m))


def jensen_shannon(reference: Ints, window: Ints) -> Measured:
    """The Jensen-Shannon divergence in bits, from 0 to 1, with chance taken off as above (Lin, 1991)."""
    p, q, n, m = _shares(reference, window)
    middle = (p + q) / 2
    left, right = np.log2(p / middle), np.log2(q / middle)
    value = float(np.sum(p * left + q * right) / 2)
    spread = _variance(p, left / 2, n) + _variance(q, right / 2, m)
    return _interval(value, spread, (len(p) - 1, (1 / n + 1 / m) / (8 * math.log(2))))


def wasserstein(reference: QuantileSketch, window: QuantileSketch) -> float:
    """The area between the two distribution functions, in standard deviations of the reference; NaN without numbers.

    As exact as the buckets are: to within 2 % of the numbers themselves.
    """
    if not reference.count or not window.count:
        return math.nan
    sides = (reference.buckets, window.measured_from(reference.origin))
    keys = np.array(sorted({*sides[0], *sides[1]}), np.int64)
    values = np.array([value_of(int(key)) for key in keys])
    gaps = np.diff(values)
    below = [
        np.cumsum([buckets.get(int(key), 0) for key in keys]) / count
        for buckets, count in zip(sides, (reference.count, window.count), strict=True)
    ]
    area = float(np.sum(np.abs(below[0] - below[1])[:-1] * gaps))
    return area / max(reference.deviation, 1e-9 + abs(reference.mean) * 1e-3)


@dataclass(frozen=True, slots=True)
class NumberShift:
    """A number on both sides, in the bins of the reference: cheap to rank by; `effect` is for those that are shown."""

    feature: str
    segment: str
    reference: QuantileSketch
    window: QuantileSketch
    before: Ints
    after: Ints

    def psi(self) -> Measured:
        """How far it has moved."""
        return population_stability(self.before, self.after)

    def effect(self) -> Effect:
        """All that is told of it."""
        reference, window = self.reference, self.window
        (low, middle, high), (low_now, middle_now, high_now) = (
            side.quantiles((0.05, 0.5, 0.95)) for side in (reference, window)
        )
        words = f"median {_short(middle)} → {_short(middle_now)}"
        if not abs(middle_now - middle) > 0.1 * (high - low):
            words += f", 90 % within {_short(low)} to {_short(high)} → {_short(low_now)} to {_short(high_now)}"
        missing, missing_now = _missing(reference), _missing(window)
        if abs(missing_now - missing) > 0.01:
            words += f", not a number {missing:.0%} → {missing_now:.0%}"
        return _effect(self, wasserstein(reference, window), words)


@dataclass(frozen=True, slots=True)
class CategoryShift:
    """A mix on both sides, as counts of the names of either."""

    feature: str
    segment: str
    reference: HeavyCounts
    window: HeavyCounts
    before: Ints
    after: Ints

    def psi(self) -> Measured:
        """How far it has moved."""
        return population_stability(self.before, self.after)

    def effect(self) -> Effect:
        """All that is told of it."""
        return _effect(self, None, mix_in_words(self.reference.shares(), self.window.shares()))


Shift = NumberShift | CategoryShift


def shifts(reference: WindowSketch, window: WindowSketch, segment: str) -> list[Shift]:
    """Of every feature that both sides have enough of."""
    found: list[Shift] = []
    for name, numbers in window.numbers.items():
        before = reference.numbers.get(name)
        if before is not None and min(before.count + before.missing, numbers.count + numbers.missing) >= FEWEST:
            found.append(number_shift(name, segment, before, numbers))
    for name, counts in window.categories.items():
        known = reference.categories.get(name)
        if known is not None and min(known.total, counts.total) >= FEWEST:
            found.append(category_shift(name, segment, known, counts))
    return found


def most_telling(found: Sequence[Shift], *, limit: int) -> list[Effect]:
    """The largest effects, by the lower end of their intervals; of many only those that are told are worked out."""
    ranked = sorted(
        ((shift.psi(), shift) for shift in found),
        key=lambda pair: (-pair[0].low, -pair[0].value, pair[1].feature, pair[1].segment),
    )
    return [shift.effect() for _, shift in ranked[:limit]]


def number_shift(name: str, segment: str, reference: QuantileSketch, window: QuantileSketch) -> NumberShift:
    """Both sides of a number in bins."""
    bins = NumberBins.learned(reference, bins=EFFECT_BINS)
    return NumberShift(name, segment, reference, window, bins.counted(reference), bins.counted(window))


def category_shift(name: str, segment: str, reference: HeavyCounts, window: HeavyCounts) -> CategoryShift:
    """Both sides of a mix in bins."""
    joint = HeavyCounts()
    joint.merge(reference)
    joint.merge(window)
    bins = CategoryBins.learned(joint)
    return CategoryShift(name, segment, reference, window, bins.counted(reference), bins.counted(window))


def _effect(shift: Shift, distance: float | None, words: str) -> Effect:
    return Effect(
        feature=shift.feature,
        segment=shift.segment,
        reference_decisions=int(shift.before.sum()),
        decisions=int(shift.after.sum()),
        psi=shift.psi(),
        jensen_shannon=jensen_shannon(shift.before, shift.after),
        wasserstein=distance,
        words=words,
    )


def mix_in_words(before: Mapping[str, float], after: Mapping[str, float], *, most: int = 3) -> str:
    """The names whose shares moved most: `invoice 20 % → 41 %, letter new: 12 %`."""
    moved = sorted({*before, *after}, key=lambda name: (-abs(after.get(name, 0.0) - before.get(name, 0.0)), name))
    told = []
    for name in moved[:most]:
        was, now = before.get(name, 0.0), after.get(name, 0.0)
        told.append(f"{name} new: {now:.1%}" if was == 0 else f"{name} {was:.1%} → {now:.1%}")
    return ", ".join(told)


def explained_by_terms(reference: WindowSketch, window: WindowSketch, *, most: int = 10) -> Explanation | None:
    """What each term adds to the change of the mean score; exact for heads that add, as contributions add up to it.

    Terms that are not listed stand together as `rest`.
    """
    before, after = reference.contributions, window.contributions
    if not reference.count or not window.count or not (before.sums and after.sums):
        return None
    terms = {*before.sums, *after.sums}
    changes = {
        term: after.sums.get(term, 0.0) / window.count - before.sums.get(term, 0.0) / reference.count for term in terms
    }
    was, now = before.total / reference.count, after.total / window.count
    return replace(_explanation("mean score of the answer", was, now, changes, most), by="words")


def explained_by_segments(
    reference: Mapping[str, WindowSketch], window: Mapping[str, WindowSketch], field: str, label: str, *, most: int = 10
) -> Explanation | None:
    """What each segment of `field` adds to the change of the share of `label`: by its weight and by its own mix.

    The decomposition of Kitagawa (1955): the parts add up to the change, exactly. Decisions without that tag are a
    segment of their own.
    """
    before, after = (_rates(side, field, label) for side in (reference, window))
    if not before or not after:
        return None
    changes = {}
    for segment in {*before, *after}:
        weight, rate = before.get(segment, (0.0, None))
        weight_now, rate_now = after.get(segment, (0.0, None))
        # A segment that is new or gone changes by its weight alone: it has no rate of its own on the other side.
        was, now = _either(rate, rate_now), _either(rate_now, rate)
        changes[segment] = (weight_now - weight) * (was + now) / 2 + (now - was) * (weight + weight_now) / 2
    was, now = (sum(weight * (rate or 0.0) for weight, rate in side.values()) for side in (before, after))
    return replace(_explanation(f"share of {label}", was, now, changes, most), by=field, is_share=True)


def label_that_moved(reference: WindowSketch, window: WindowSketch) -> str | None:
    """The label whose share changed most; None where there are no labels."""
    before, after = (side.categories.get("label") for side in (reference, window))
    if before is None or after is None:
        return None
    was, now = before.shares(), after.shares()
    return max(sorted({*was, *now}), key=lambda name: abs(now.get(name, 0.0) - was.get(name, 0.0)), default=None)


def _rates(side: Mapping[str, WindowSketch], field: str, label: str) -> dict[str, tuple[float, float | None]]:
    """By segment its weight among all, and the share of `label` in it."""
    whole = side.get("all")
    if whole is None or not whole.count or "label" not in whole.categories:
        return {}
    rates: dict[str, tuple[float, float | None]] = {}
    left, left_hits = whole.count, whole.categories["label"].counts.get(label, 0)
    for segment, sketch in side.items():
        if segment.startswith(f"{field}=") and sketch.count:
            labels = sketch.categories.get("label")
            hits = labels.counts.get(label, 0) if labels else 0
            rates[segment] = (sketch.count / whole.count, hits / sketch.count)
            left, left_hits = left - sketch.count, left_hits - hits
    if left > 0:
        rates[f"no {field}"] = (left / whole.count, left_hits / left)
    return rates


def _either(first: float | None, second: float | None) -> float:
    return first if first is not None else second or 0.0


def _explanation(of: str, before: float, after: float, changes: Mapping[str, float], most: int) -> Explanation:
    whole = after - before
    ranked = sorted(changes, key=lambda name: (-abs(changes[name]), name))
    listed = {name: changes[name] for name in ranked[:most]}
    rest = whole - sum(listed.values())
    if len(ranked) > most or abs(rest) > 1e-12:
        listed["rest"] = listed.get("rest", 0.0) + rest
    causes = tuple(
        ExplainedChange(name, change, change / whole if abs(whole) > 1e-12 else 0.0) for name, change in listed.items()
    )
    return Explanation(of, before, after, causes)


def _shares(reference: Ints, window: Ints) -> tuple[Floats, Floats, float, float]:
    used = (reference > 0) | (window > 0)
    p, q = (np.maximum(side[used].astype(np.float64), 0.5) for side in (reference, window))
    return p / p.sum(), q / q.sum(), max(int(reference.sum()), 1), max(int(window.sum()), 1)


def _variance(shares: Floats, slope: Floats, count: float) -> float:
    mean = float(np.sum(shares * slope))
    return max(0.0, float(np.sum(shares * slope**2)) - mean**2) / count


def _interval(value: float, variance: float, chance: tuple[int, float]) -> Measured:
    freedom, scale = chance
    middle = max(0.0, value - freedom * scale)
    half = _SIDES_Z * math.sqrt(variance + 2 * freedom * scale**2)
    return Measured(middle, max(0.0, middle - half), middle + half)


def _missing(sketch: QuantileSketch) -> float:
    return sketch.missing / max(1, sketch.count + sketch.missing)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
