"""`headrace rollouts`: move traffic to another release by evidence, see why it moves, and decide about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from headrace.assembly import rollout_office, settings_here
from headrace.cli.application import DEFAULT, load_application
from headrace.cli.failure import clean
from headrace.cli.terminal import answers
from headrace.domain.guard_rule import guards_of
from headrace.domain.rollout import Rollout, RolloutPlan, percentages
from headrace.rollouts.desk import Act, Desk
from headrace.rollouts.report import Estimate, RolloutReport, VariantReport, report_of

rollouts = typer.Typer(
    help="Move traffic to another release, by evidence.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ID = Annotated[str | None, typer.Argument(metavar="ID", help="As rol_…; the one that runs, if left out.")]
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
APP = Annotated[str, typer.Option(help="The application, as module:attribute.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]
REASON = Annotated[str, typer.Option(help="Why, for the record.")]
LOOK_S = 1.0


@rollouts.command()
def start(
    release: Annotated[str, typer.Argument(help="A release's id, or a model as NAME@ALIAS or by its digest.")],
    *,
    steps: Annotated[str, typer.Option(help="The candidate's percentages on its way.")] = "1,5,25,50",
    shadow: Annotated[bool, typer.Option("--shadow", help="First let it answer out of sight.")] = False,
    ab: Annotated[bool, typer.Option("--ab", help="Hold the last step: an A/B test.")] = False,
    guard: Annotated[
        list[str] | None, typer.Option(help="Wait for this guard too: accuracy, outcome:NAME=LEAST..GREATEST, …")
    ] = None,
    margin: Annotated[float | None, typer.Option(help="By how many percent it may be worse and be no worse.")] = None,
    alpha: Annotated[float, typer.Option(help="The chance that a good candidate is rolled back.")] = 0.05,
    step_minutes: Annotated[float, typer.Option(help="The shortest time at a step.")] = 0.0,
    pipeline: Annotated[str | None, typer.Option(help="The pipeline, where it does not follow from the model.")] = None,
    data: DATA = None,
    app: APP = DEFAULT,
    as_json: AS_JSON = False,
) -> None:
    """Begin to move traffic to RELEASE; servers follow within a second, and go on by what they see.

    Example: [bold]headrace rollouts start document-classifier@challenger --shadow --steps 5,25,50[/bold]
    """
    plan = RolloutPlan(
        steps=percentages(steps),
        is_shadowed=shadow,
        is_test=ab,
        alpha=alpha,
        step_s=60 * step_minutes,
        guards=guards_of(guard or (), margin=None if margin is None else margin / 100),
    )
    with rollout_office(load_application(app).platform, settings_here({"data": data})) as office:
        rollout = office.start(release, pipeline, plan)
    if as_json:
        typer.echo(msgspec.json.encode(rollout).decode())
    else:
        typer.echo(f"{rollout.id}: {_state(rollout)}")


@rollouts.command()
def status(
    rollout_id: ID = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Until it is over.")] = False,
    data: DATA = None,
    app: APP = DEFAULT,
    as_json: AS_JSON = False,
) -> None:
    """Show how a rollout stands, and on what evidence.

    Example: [bold]headrace rollouts status --watch[/bold]
    """
    with rollout_office(load_application(app).platform, settings_here({"data": data})) as office:
        known = _meant(office.desk, rollout_id)
        if watch:
            _watch(office.desk, known.id, as_json=as_json)
            return
        report = report_of(office.desk.status(known.id), at=datetime.now(UTC))
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        _show(answers(), report)


def _deciding(act: Act, summary: str) -> Callable[..., None]:
    def decide(
        rollout_id: ID = None,
        *,
        reason: REASON = "",
        data: DATA = None,
        app: APP = DEFAULT,
        as_json: AS_JSON = False,
    ) -> None:
        with rollout_office(load_application(app).platform, settings_here({"data": data})) as office:
            decided = office.desk.decide(act, (rollout_id or office.desk.running().id), reason=reason)
        typer.echo(msgspec.json.encode(decided).decode() if as_json else f"{decided.id}: {_state(decided)}")

    decide.__doc__ = f"{summary}\n\nExample: [bold]headrace rollouts {act.value} --reason 'as agreed'[/bold]"
    return decide


for _act, _summary in (
    (Act.PROMOTE, "Let the candidate answer everything, from the next second on."),
    (Act.ROLLBACK, "Let the champion answer everything again, from the next second on."),
    (Act.HOLD, "Keep the split as it is until somebody decides."),
    (Act.RESUME, "Let a held rollout go on from where it was."),
):
    rollouts.command(_act.value)(_deciding(_act, _summary))


def _meant(desk: Desk, rollout_id: str | None) -> Rollout:
    """The one named, else the one that runs, else the newest."""
    if rollout_id is not None:
        return desk.found(rollout_id)
    newest = desk.listed(limit=1).items
    return newest[0] if newest and newest[0].is_over else desk.running()


def _watch(desk: Desk, rollout_id: str, *, as_json: bool) -> None:
    """A line for each change and for each new reason, until it is over."""
    told = ""
    while True:
        found = desk.status(rollout_id)
        report = report_of(found, at=datetime.now(UTC))
        line = (
            msgspec.json.encode(report).decode()
            if as_json
            else f"{report.changed_at:%H:%M:%S}  {_state(found.rollout)}  {report.verdict_reason}"
        )
        if line != told:
            typer.echo(clean(line) if not as_json else line)
            told = line
        if found.rollout.is_over:
            return
        time.sleep(LOOK_S)


def _state(rollout: Rollout) -> str:
    return f"{rollout.state.value}, {100 * rollout.share:g} % of the traffic"


def _show(console: Console, report: RolloutReport) -> None:
    facts = {
        "rollout": report.id,
        "pipeline": report.pipeline,
        "state": f"{report.state}, {report.percent:g} % of the traffic",
        "champion": report.champion,
        "candidate": report.candidate,
        "verdict": report.verdict,
        "because": report.verdict_reason,
    }
    for name, value in facts.items():
        console.print(f"{name:<12}{clean(value)}")
    table = Table("guard", "evidence of harm", "needed", "worse by at most", "allowed", "keys", "", box=box.SIMPLE_HEAD)
    for each in report.guards:
        allowed = "" if each.allowed is None else f"{100 * each.allowed:.3g} %"
        table.add_row(
            clean(each.guard), f"{each.evidence:.3g}", f"{each.needed:.3g}", f"{100 * each.worst:.2f} %", allowed,
            str(each.keys), each.state,
        )  # fmt: skip
    console.print(table)
    shown = Table("", *(each.variant for each in report.variants), box=box.SIMPLE_HEAD)
    for name, tell in _FIGURES.items():
        values = [tell(each) for each in report.variants]
        if any(values):
            shown.add_row(name, *values)
    console.print(shown)


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    between = "" if estimate.low is None or estimate.high is None else f" ({estimate.low:.2%} to {estimate.high:.2%})"
    return f"{estimate.value:.2%}{between}"


_FIGURES: dict[str, Callable[[VariantReport], str]] = {
    "requests": lambda it: str(it.requests),
    "keys": lambda it: str(it.keys),
    "failed": lambda it: _share(it.failed),
    "degraded": lambda it: _share(it.degraded),
    "low confidence": lambda it: _share(it.low_confidence),
    "confidence": lambda it: _share(it.confidence),
    "agreement": lambda it: _share(it.agreement),
    "accuracy": lambda it: _share(it.accuracy),
    "latency p50 ms": lambda it: f"{it.latency_ms['p50']:g}" if "p50" in it.latency_ms else "",
    "latency p95 ms": lambda it: f"{it.latency_ms['p95']:g}" if "p95" in it.latency_ms else "",
    "dropped": lambda it: str(it.dropped) if it.dropped else "",
}
