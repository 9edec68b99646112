"""`headrace monitor`: how the watch stands, and its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import kept_settings, recalibrated, stored_reports
from headrace.cli.failure import clean
from headrace.cli.monitor_glance import at_a_glance, telling, told_apart, took_of, worth_of
from headrace.cli.monitor_page import html_page, markdown, verdict
from headrace.cli.terminal import answers, remarks
from headrace.domain.report import Alert, Effect, Estimate, Measured, MonitorReport, MonitorStatus, Scorecard
from headrace.errors import NotFound

monitor = typer.Typer(
    help="Say what has changed, where, and how right the answers are.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]
WINDOW = Annotated[str, typer.Option(metavar="TIME", help="How far back, such as 30m, 6h or 7d.")]
SEGMENT = Annotated[str | None, typer.Option(metavar="FIELD", help="Segments of this tag only, such as source.")]
RELEASE = Annotated[str | None, typer.Option(metavar="ID", help="The release; by default the newest.")]
OUT = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page (.html) or Markdown (.md) there.")]
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PAGES = (".html", ".md")
_MOST_ROWS = 15
_DAY_S = 86_400.0


@monitor.command()
def status(*, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Show each release at a glance, with its open alerts.

    Example: [bold]headrace monitor status[/bold]
    """
    reporter, database = stored_reports(kept_settings(data))
    try:
        found = reporter.status()
        cards = {each.release: reporter.scorecards(each.release, window_s=_DAY_S) for each in found}
    finally:
        database.close()
    if as_json:
        whole = [msgspec.to_builtins(each) | {"scorecards": cards[each.release]} for each in found]
        typer.echo(msgspec.json.encode(whole).decode())
        return
    console = answers()
    if not found:
        console.print("Nothing was decided here yet.")
    for each in found:
        _show_status(each, cards[each.release])


@monitor.command()
def report(
    *,
    window: WINDOW = "1h",
    segment: SEGMENT = None,
    release: RELEASE = None,
    out: OUT = None,
    data: DATA = None,
    as_json: AS_JSON = False,
) -> None:
    """Hold a window of time against the reference: what changed, how far, where, and what explains it.

    Example: [bold]headrace monitor report --window 6h --segment source --out report.html[/bold]
    """
    window_s = seconds_of(window)
    if out is not None and out.suffix not in _PAGES:
        raise typer.BadParameter(f"{out} is no page. Name one that ends with .html or .md.", param_hint="--out")
    reporter, database = stored_reports(kept_settings(data))
    try:
        known = reporter.releases()
        if not known:
            raise NotFound("Nothing was decided here yet.", remedy="Check --data.")
        named = release or known[0]
        if named not in known:
            raise NotFound(f"Nothing was seen of the release {named!r}.", remedy=f"Known are {', '.join(known)}.")
        found = reporter.report(named, window_s=window_s, field=segment)
        alerts = reporter.status(named)[0].open_alerts
    finally:
        database.close()
    if segment and not any(each.segment.startswith(f"{segment}=") for each in found.estimates):
        remarks().print(f"No decision in the window tells of {clean(segment)!r}.")
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    elif out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(markdown(found, alerts) if out.suffix == ".md" else html_page(found, alerts), encoding="utf-8")
        answers().print(f"{verdict(found, alerts)} See {out}.")
    else:
        _show(found, alerts)


@monitor.command()
def recalibrate(*, release: RELEASE = None, data: DATA = None) -> None:
    """Let the estimates of accuracy go by the labels that have come in; they are trusted again from then on.

    Example: [bold]headrace monitor recalibrate[/bold]
    """
    named, labels = recalibrated(kept_settings(data), release)
    answers().print(f"From the next look of the server on, the estimates of {named} go by {labels:,} labels.")


def seconds_of(window: str) -> float:
    """`6h` as seconds; what is no time is a wrong call."""
    found = _TIME.fullmatch(window.strip())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{window!r} is no time. Write 30m, 6h or 7d.", param_hint="--window")
    return float(found[1]) * _SECONDS[found[2]]


def _show_status(status_: MonitorStatus, cards: tuple[Scorecard, ...]) -> None:
    console = answers()
    console.print(f"release     {status_.release}")
    console.print(f"watch       {status_.state.value}, {status_.decisions:,} decisions seen")
    for note in status_.notes:
        console.print(f"note        {note}")
    for estimate in status_.estimates[:1]:
        console.print(
            f"accuracy    {_interval(estimate.estimated)} estimated, {_interval(estimate.realised)} by labels"
        )
    for card in cards:
        for row in card.rows[:1]:
            worth = worth_of(row, card.unit)
            console.print(f"worth       {clean(card.metric)}: {worth}, {row.outcomes:,} outcomes in a day")
    console.print(f"alerts      {len(status_.open_alerts) or 'none'} open")
    for alert in status_.open_alerts:
        console.print(f"  {alert.severity.value:<9} {clean(alert.title)}: {clean(alert.detail)}")
    console.print()


def _show(found: MonitorReport, alerts: tuple[Alert, ...]) -> None:
    console = answers()
    drift = found.drift
    console.print(verdict(found, alerts))
    console.print(clean(" ".join(at_a_glance(found))))
    console.print(f"{drift.window.decisions:,} decisions in the window. {drift.note}".rstrip())
    for alert in alerts:
        console.print(f"\n{alert.severity.value}: {clean(alert.title)}\n  {clean(alert.detail)}")
        for sign in alert.signs[:5]:
            console.print(f"  also {clean(sign.words)}")
        for decision_id in alert.cause.decisions if alert.cause else ():
            console.print(f"  headrace decisions show {decision_id}")
    _show_effects(drift.effects)
    _show_estimates(found.estimates)
    for card in found.scorecards:
        console.print(_scorecard(card))
        if card.thresholds:
            console.print(_thresholds(card))
    console.print(f"{found.quality.suspect:,} inputs in doubt, {found.quality.quarantined:,} in quarantine.")


def _show_effects(effects: Sequence[Effect]) -> None:
    if not effects:
        return
    table = Table("feature", "segment", "PSI", "95 %", "what happened", box=box.SIMPLE_HEAD)
    for effect in telling(effects):
        interval = f"{effect.psi.low:.2f} to {effect.psi.high:.2f}"
        table.add_row(effect.feature, clean(effect.segment), f"{effect.psi.value:.3f}", interval, clean(effect.words))
    answers().print(table)


def _show_estimates(estimates: Sequence[Estimate]) -> None:
    if not estimates:
        return
    notes = {each.note for each in estimates}
    common = clean(notes.pop()) if len(notes) == 1 else ""
    table = Table(
        *("segment", "decisions", "estimated", "by labels", "note"),
        box=box.SIMPLE_HEAD,
        caption=common or None,
        caption_justify="left",
    )
    for each in told_apart(estimates)[:_MOST_ROWS]:
        trust = "" if each.is_trusted else "distrusted. "
        row = (f"{each.decisions:,}", _interval(each.estimated), _interval(each.realised))
        table.add_row(clean(each.segment), *row, trust + ("" if common else clean(each.note)))
    answers().print(table)


def _thresholds(card: Scorecard) -> Table:
    unit = clean(card.unit)
    columns = ("confidence of at least", "answered", "to people", f"would have been worth ({unit})")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for each in card.thresholds:
        table.add_row(f"{each.threshold:.0%}", f"{each.answered:,}", f"{each.handed_over:,}", f"{each.worth:,.2f}")
    return table


def _scorecard(card: Scorecard) -> Table:
    notes = [f"{card.late:,} outcomes came too late to count."] if card.late else []
    caption = " ".join([*notes, card.note]).strip() or None
    table = Table(
        *("segment", "decisions", "outcomes", f"worth of a decision (better: {card.direction})", "all took"),
        box=box.SIMPLE_HEAD,
        title=clean(card.metric),
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    for row in card.rows[:_MOST_ROWS]:
        worth = worth_of(row, clean(card.unit))
        took = took_of(row, clean(card.currency))
        table.add_row(clean(row.group), f"{row.decisions:,}", f"{row.outcomes:,}", worth, took)
    return table


def _interval(measured: Measured | None) -> str:
    return "unknown" if measured is None else f"{measured.value:.1%} ({measured.low:.1%} to {measured.high:.1%})"
