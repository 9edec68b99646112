"""What the report of the watch says first, what of it is worth a row, and figures in words."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from headrace.domain.report import Effect, Estimate, Measured, MonitorReport, ScorecardRow

_FEWEST_OF_SEGMENT, _NEARLY_ALL = 10, 0.95
_MOST_EFFECTS, _FEWEST_EFFECTS = 15, 5


def at_a_glance(report: MonitorReport) -> list[str]:
    """What it means for the answers, in a few sentences: how right, how many in doubt, what they were worth."""
    told = []
    for each in report.estimates[:1]:
        trust = "" if each.is_trusted else ", which labels have shown to be wrong"
        told.append(f"Right by estimate: {share_of(each.estimated)}{trust}; by labels: {share_of(each.realised)}.")
    quality = report.quality
    if quality.decisions:
        told.append(
            f"In doubt: {quality.suspect / quality.decisions:.1%} of inputs; {quality.quarantined:,} kept back."
        )
    wholes = [(card, row) for card in report.scorecards for row in card.rows[:1] if row.value is not None]
    return told + [f"Worth of a decision by {card.metric}: {worth_of(row, card.unit)}." for card, row in wholes]


def telling(effects: Sequence[Effect]) -> Sequence[Effect]:
    """Those that are surely more than chance, and the first few in any case."""
    return [each for place, each in enumerate(effects) if each.psi.low > 0 or place < _FEWEST_EFFECTS][:_MOST_EFFECTS]


def told_apart(estimates: Sequence[Estimate]) -> Sequence[Estimate]:
    """The whole, and segments that say something beyond it: of not nearly all decisions and not next to none."""
    whole = estimates[0].decisions if estimates else 0
    return [
        each
        for place, each in enumerate(estimates)
        if not place or each.labels or min(_FEWEST_OF_SEGMENT, whole) <= each.decisions < _NEARLY_ALL * whole
    ]


def worth_of(row: ScorecardRow, unit: str) -> str:
    """The mean worth of a decision in words, with its interval where there is one."""
    if row.value is None:
        return "unknown"
    value = f"{row.value.value:,.2f} {unit}".rstrip()
    return f"{value} ({row.value.low:,.2f} to {row.value.high:,.2f})" if isfinite(row.value.low) else value


def took_of(row: ScorecardRow, currency: str) -> str:
    """What the decisions of a row took together: time, and where a language model had a part its tokens and price."""
    took = f"{row.cost_s:,.1f} s"
    if not row.tokens:
        return took
    price = f" ({row.tokens_cost:,.4g} {currency})".replace(" )", ")") if row.tokens_cost else ""
    return f"{took}, {row.tokens:,} tokens{price}"


def share_of(measured: Measured | None) -> str:
    """A share in percent, with its interval."""
    return "unknown" if measured is None else f"{measured.value:.1%} ({measured.low:.1%} to {measured.high:.1%})"
