"""What decisions were worth: outcomes joined to their decisions, by variant and segment, as settings declare them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice

from headrace.assembly.labels import segments_of
from headrace.assembly.stores import Stores
from headrace.domain.decision import first_id
from headrace.domain.feedback import Outcome
from headrace.domain.report import Scorecard
from headrace.errors import InvalidConfiguration
from headrace.monitoring.reporter import Scorecards
from headrace.monitoring.scorecard import Cost, OutcomeMetric, Prices, Scoring
from headrace.monitoring.scorecard import Outcome as Result
from headrace.monitoring.window import WindowSketch
from headrace.settings import Settings

MOST_DECISIONS = 2000
"""So many decisions with outcomes are looked up for a report, the newest of them: a sample that keeps it quick."""
_A_READ = 1000


def scorecards_by(stores: Stores, settings: Settings) -> Scorecards:
    """Scorecards of what `[outcomes.*]` declares; none where nothing is declared."""
    metrics, told_of = metrics_of(settings), settings.costs
    prices = Prices(told_of.prompt_million, told_of.completion_million, told_of.currency)

    def cards(release: str, since: datetime, window: Mapping[str, WindowSketch]) -> tuple[Scorecard, ...]:
        if not metrics:
            return ()
        scorings = {metric.name: Scoring(metric, prices) for metric in metrics}
        for scoring in scorings.values():
            for segment, sketch in window.items():
                scoring.answered([segment], _cost(sketch), decisions=sketch.count)
        told = _told(stores, release, since, metrics=frozenset(scorings))
        newest = islice(reversed(told.items()), MOST_DECISIONS)
        for decision_id, values in newest:
            _join(stores, decision_id, values, since=since, scorings=scorings, groups=window)
        note = f"Of {len(told)} decisions with outcomes the newest {MOST_DECISIONS} count."
        return tuple(scoring.card(note if len(told) > MOST_DECISIONS else "") for scoring in scorings.values())

    return cards


def _cost(sketch: WindowSketch) -> Cost:
    """What the decisions of a window took; sums in sketches are exact."""
    took = {name: numbers.total for name, numbers in sketch.numbers.items()}
    return Cost(
        compute_s=took.get("duration_ms", 0.0) / 1000,
        prompt_tokens=round(took.get("prompt_tokens", 0.0)),
        completion_tokens=round(took.get("completion_tokens", 0.0)),
    )


def metrics_of(settings: Settings) -> list[OutcomeMetric]:
    """What `[outcomes.*]` declares; raises `InvalidConfiguration` for a direction or bounds that are none."""
    for name, declared in settings.outcomes.items():
        if declared.direction not in {"up", "down"}:
            raise InvalidConfiguration(
                f"[outcomes.{name}] direction = {declared.direction!r} is none.", remedy='Write "up" or "down".'
            )
        if declared.least is not None and declared.most is not None and not declared.least < declared.most:
            raise InvalidConfiguration(
                f"[outcomes.{name}] least = {declared.least:g} is not below most = {declared.most:g}.",
                remedy="Write what an outcome can be, such as least = 0 and most = 60.",
            )
    return [
        OutcomeMetric(
            name,
            unit=declared.unit,
            direction=declared.direction,
            worth=declared.worth,
            currency=declared.currency,
            within_s=timedelta(days=declared.within_days).total_seconds(),
            cost_of_a_person=declared.cost_of_a_person,
            least=declared.least,
            most=declared.most,
        )
        for name, declared in settings.outcomes.items()
    ]


def _told(stores: Stores, release: str, since: datetime, *, metrics: frozenset[str]) -> dict[str, dict[str, Outcome]]:
    """The last outcome of each metric by decision, those last that were told of last."""
    told: dict[str, dict[str, Outcome]] = {}
    # An outcome comes after its decision, so none of this window was told of before it began.
    cursor = first_id("out", since)
    while found := stores.feedback.outcomes_after(cursor, limit=_A_READ, release=release):
        cursor = found[-1].id
        for each in found:
            if each.metric in metrics:
                values = told.pop(each.decision_id, {})
                told[each.decision_id] = values | {each.metric: each}
    return told


def _join(
    stores: Stores,
    decision_id: str,
    values: Mapping[str, Outcome],
    *,
    since: datetime,
    scorings: Mapping[str, Scoring],
    groups: Mapping[str, WindowSketch],
) -> None:
    decision = stores.decisions.find(decision_id)
    if decision is None or decision.created_at < since:
        return
    # Segments beyond the number that is watched are gathered under one name, and so are their outcomes.
    names = {name if name in groups else f"{name.partition('=')[0]}=(others)" for name in segments_of(decision)}
    known = tuple(name for name in sorted(names) if name in groups)
    for metric, each in values.items():
        age_s = (each.created_at - decision.created_at).total_seconds()
        scorings[metric].turned_out(Result(metric, each.value, age_s, known, decision.confidence))
