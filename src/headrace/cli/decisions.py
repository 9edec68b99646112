"""`headrace decisions`: what was answered, by which versions, and why."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import opened_stores, settings_here
from headrace.cli.terminal import answers, clean
from headrace.domain.decision import Decision
from headrace.errors import NotFound

decisions = typer.Typer(
    help="Look up what was answered, and why.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ID = Annotated[str, typer.Argument(metavar="ID", help="As in decision_id of an answer: dec_…")]
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]


@decisions.command()
def show(decision_id: ID, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Show one answer and how it came about.

    Example: [bold]headrace decisions show dec_0192f3c4-…[/bold]
    """
    found = _found(decision_id, data)
    if as_json:
        typer.echo(found.body.decode())
        return
    console = answers()
    for name, value in _facts(found).items():
        console.print(f"{name:<12}{clean(str(value))}")
    table = Table("service", "method", "queued ms", "compute ms", "model", box=box.SIMPLE_HEAD)
    for step in found.steps:
        model = (step.model or "")[:19]
        table.add_row(step.service, step.method, f"{step.queued_ms:.1f}", f"{step.compute_ms:.1f}", model)
    console.print(table)
    console.print(msgspec.json.format(found.body, indent=2).decode())


@decisions.command()
def explain(decision_id: ID, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """List everything that spoke for and against an answer.

    Example: [bold]headrace decisions explain dec_0192f3c4-…[/bold]
    """
    found = _found(decision_id, data)
    if found.explanation is None:
        raise NotFound(f"The decision {decision_id} has no explanation.", remedy="Its pipeline gives none.")
    if as_json:
        typer.echo(found.explanation.decode())
        return
    explanation: dict[str, Any] = msgspec.json.decode(found.explanation)
    table = Table("words", "weight", box=box.SIMPLE_HEAD)
    table.columns[1].justify = "right"
    for each in explanation["evidence"]:
        table.add_row(clean(str(each["text"])), f"{each['weight']:+.4f}")
    console = answers()
    console.print(table)
    console.print(f"base {explanation['base']:+.4f} + rest {explanation['rest']:+.4f} → {explanation['total']:.4f}")


def _found(decision_id: str, data: str | None) -> Decision:
    with closing(opened_stores(settings_here({"data": data}))) as stores:
        found = stores.decisions.find(decision_id)
    if found is None:
        raise NotFound(f"There is no decision {decision_id!r} here.", remedy="Check the id, and --data.")
    return found


def _facts(found: Decision) -> dict[str, object]:
    return {
        "decision": found.id,
        "at": found.created_at.isoformat(timespec="seconds"),
        "endpoint": found.endpoint,
        "release": found.release,
        "variant": found.variant,
        "input": found.input_digest,
        "took": f"{found.duration_ms:.1f} ms",
        "degraded": ", ".join(f"{each.service}: {each.reason}" for each in found.degraded) or "no",
    }
