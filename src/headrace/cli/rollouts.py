"""`headrace rollouts`: move traffic to another release by evidence, see why it moves, and decide about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from headrace.cli.application import DEFAULT
from headrace.cli.failure import clean
from headrace.cli.rollout_offices import MOST, Office, meant, opened_office, running_one
from headrace.cli.server import KEY
from headrace.cli.terminal import answers
from headrace.domain.rollout import RolloutState, percentages
from headrace.gateway.rollouts import NewRollout, RolloutLine
from headrace.rollouts.desk import Act
from headrace.rollouts.report import Estimate, RolloutReport, VariantReport

rollouts = typer.Typer(
    help="Move traffic to another release, by evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ID = Annotated[str | None, typer.Argument(metavar="ID", help="As rol_…; the one that runs, if left out.")]
SERVER = Annotated[str, typer.Option(metavar="URL", help="A server to ask; the store of the settings, if not given.")]
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
    server: SERVER = "",
    key: KEY = "",
    data: DATA = None,
    app: APP = DEFAULT,
    as_json: AS_JSON = False,
) -> None:
    """Begin to move traffic to RELEASE; servers follow within a second, and go on by what they see.

    Example: [bold]headrace rollouts start document-classifier@challenger --shadow --steps 5,25,50[/bold]
    """
    wanted = NewRollout(
        release=release,
        pipeline=pipeline,
        steps=tuple(100 * step for step in percentages(steps)),
        shadow=shadow,
        ab=ab,
        guards=tuple(guard or ()),
        alpha=alpha,
        margin=margin,
        step_s=60 * step_minutes,
    )
    with opened_office(server=server, key=key, data=data, app=app) as office:
        _tell(office.start(wanted), as_json=as_json)


@rollouts.command("list")
def listed(
    *,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most, newest first.")] = 20,
    server: SERVER = "",
    key: KEY = "",
    data: DATA = None,
    app: APP = DEFAULT,
    as_json: AS_JSON = False,
) -> None:
    """List rollouts, newest first.

    Example: [bold]headrace rollouts list --server http://127.0.0.1:8000[/bold]
    """
    with opened_office(server=server, key=key, data=data, app=app) as office:
        found = office.newest()[:limit]
    if as_json:
        for each in found:
            _tell(each, as_json=True)
        return
    table = Table("id", "pipeline", "state", "share", "candidate", "changed", "because", box=box.SIMPLE_HEAD)
    for each in found:
        cells = (each.id, each.pipeline, each.state, f"{each.percent:g} %", each.candidate[:19])
        table.add_row(*map(clean, cells), f"{each.changed_at:%Y-%m-%d %H:%M:%S}", clean(each.reason))
    answers().print(table)


@rollouts.command()
def status(
    rollout_id: ID = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Until it is over.")] = False,
    server: SERVER = "",
    key: KEY = "",
    data: DATA = None,
    app: APP = DEFAULT,
    as_json: AS_JSON = False,
) -> None:
    """Show how a rollout stands, and on what evidence.

    Example: [bold]headrace rollouts status --watch[/bold]
    """
    with opened_office(server=server, key=key, data=data, app=app) as office:
        known = meant(office, rollout_id)
        if watch:
            _watch(office, known, as_json=as_json)
            return
        report = office.report(known)
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        _show(answers(), report)


def _deciding(act: Act, summary: str) -> Callable[..., None]:
    def decide(
        rollout_id: ID = None,
        *,
        reason: REASON = "",
        server: SERVER = "",
        key: KEY = "",
        data: DATA = None,
        app: APP = DEFAULT,
        as_json: AS_JSON = False,
    ) -> None:
        with opened_office(server=server, key=key, data=data, app=app) as office:
            _tell(office.decide(act, rollout_id or running_one(office), reason), as_json=as_json)

    decide.__doc__ = f"{summary}\n\nExample: [bold]headrace rollouts {act.value} --reason 'as agreed'[/bold]"
    return decide


for _act, _summary in (
    (Act.PROMOTE, "Let the candidate answer everything, from the next second on."),
    (Act.ROLLBACK, "Let the champion answer everything again, from the next second on."),
    (Act.HOLD, "Keep the split as it is until somebody decides."),
    (Act.RESUME, "Let a held rollout go on from where it was."),
):
    rollouts.command(_act.value)(_deciding(_act, _summary))


def _watch(office: Office, rollout_id: str, *, as_json: bool) -> None:
    """A line for each change and for each new reason, until it is over."""
    told = ""
    while True:
        report = office.report(rollout_id)
        line = (
            msgspec.json.encode(report).decode()
            if as_json
            else f"{report.changed_at:%H:%M:%S}  {_state(report)}: {report.verdict_reason}"
        )
        if line != told:
            typer.echo(clean(line) if not as_json else line)
            told = line
        if RolloutState(report.state).is_final:
            return
        time.sleep(LOOK_S)


def _tell(line: RolloutLine, *, as_json: bool) -> None:
    typer.echo(msgspec.json.encode(line).decode() if as_json else f"{line.id}: {_state(line)}")


def _state(told: RolloutLine | RolloutReport) -> str:
    return f"{told.state}, {told.percent:g} % of the traffic"


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
        # Before there are figures nothing is known, which a bound of 100 % would make look like bad news.
        known = (f"{each.evidence:.3g}", f"{each.needed:.3g}", f"{100 * each.worst:.2f} %") if each.keys else ("",) * 3
        table.add_row(clean(each.guard), *known, allowed, str(each.keys) if each.keys else "", each.state)
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
