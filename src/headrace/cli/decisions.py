"""`headrace decisions`: what was answered, by which versions, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import Running, Settings, kept_settings, opened_stores
from headrace.cli.application import DEFAULT, Application, load_application
from headrace.cli.failure import clean
from headrace.cli.terminal import answers, bar, remarks
from headrace.domain.decision import Decision
from headrace.errors import InvalidInput, NotFound
from headrace.gateway.feedback import shown_aftermath
from headrace.gateway.replays import report_of
from headrace.serving.answered import digest_of
from headrace.serving.replay import Replay
from headrace.serving.upload import Upload

SHOWN_DIFFERENCES, SHOWN_CHARACTERS = 20, 60

decisions = typer.Typer(
    help="Look up what was answered, and why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ID = Annotated[str, typer.Argument(metavar="ID", help="As in decision_id of an answer: dec_…")]
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
APP = Annotated[str, typer.Option(help="The application, as module:attribute.")]
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
def explain(decision_id: ID, *, data: DATA = None, as_json: AS_JSON = False, app: APP = DEFAULT) -> None:
    """List everything that spoke for and against an answer.

    What was lost with a process that was killed is made again by a replay.

    Example: [bold]headrace decisions explain dec_0192f3c4-…[/bold]
    """
    found = _found(decision_id, data)
    told = found.explanation
    if told is not None and not told:
        told = asyncio.run(_explained(load_application(app), kept_settings(data), found))
    if told is None:
        raise NotFound(f"The decision {decision_id} has no explanation.", remedy="Its pipeline gives none.")
    if as_json:
        typer.echo(told.decode())
        return
    explanation: dict[str, Any] = msgspec.json.decode(told)
    table = Table("words", "weight", box=box.SIMPLE_HEAD)
    table.columns[1].justify = "right"
    for each in explanation["evidence"]:
        table.add_row(clean(str(each["text"])), f"{each['weight']:+.4f}")
    console = answers()
    console.print(table)
    console.print(f"base {explanation['base']:+.4f} + rest {explanation['rest']:+.4f} → {explanation['total']:.4f}")


@decisions.command()
def replay(
    decision_id: ID,
    *,
    release: Annotated[str | None, typer.Option(metavar="R", help="Another release, by its id.")] = None,
    given: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="The document, where its input was not kept.")
    ] = None,
    data: DATA = None,
    as_json: AS_JSON = False,
    app: APP = DEFAULT,
) -> None:
    """Answer the question of a decision again, and say what is different.

    Example: [bold]headrace decisions replay dec_0192f3c4-… --release sha256:3f2a[/bold]
    """
    settings = kept_settings(data)
    found = _found(decision_id, data)
    done = asyncio.run(_replayed(load_application(app), settings, found, release, given))
    if as_json:
        typer.echo(msgspec.json.encode(report_of(done)).decode())
    else:
        _tell_replay(done)
    if not done.identical and done.release == found.release:
        raise typer.Exit(1)


@decisions.command("feedback")
def aftermath(decision_id: ID, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Show what was said of an answer, and what came of it.

    Example: [bold]headrace decisions feedback dec_0192f3c4-…[/bold]
    """
    with closing(opened_stores(kept_settings(data))) as stores:
        found = stores.feedback.of(decision_id)
        if not (found.feedback or found.outcomes) and stores.decisions.find(decision_id) is None:
            raise _unknown(decision_id)
    if as_json:
        typer.echo(msgspec.json.encode(shown_aftermath(found)).decode())
        return
    for feedback in found.feedback:
        typer.echo(
            f"{feedback.created_at.isoformat(timespec='seconds')}  {clean(feedback.label)}  {clean(feedback.by)}"
        )
    for outcome in found.outcomes:
        told = f"{clean(outcome.metric)} = {outcome.value:g}  {clean(outcome.by)}"
        typer.echo(f"{outcome.created_at.isoformat(timespec='seconds')}  {told}")


async def _replayed(
    application: Application, settings: Settings, found: Decision, release: str | None, given: Path | None
) -> Replay:
    async with _warm(application, settings) as running:
        question = None if given is None else _question(running, found, given)
        with bar(remarks(), "Answering again"):
            return await running.replayer.replay(found.id, release_id=release, question=question)


async def _explained(application: Application, settings: Settings, found: Decision) -> bytes | None:
    async with _warm(application, settings) as running:
        with bar(remarks(), "Answering again"):
            return await running.replayer.explanation(found)


@asynccontextmanager
async def _warm(application: Application, settings: Settings) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        with bar(remarks(), "Warming up"):
            running = await stack.enter_async_context(application.platform.running(settings))
        yield running


def _question(running: Running, found: Decision, given: Path) -> Any:
    content = given.read_bytes()
    if found.input_digest and digest_of(content) != found.input_digest:
        raise InvalidInput(
            f"{given} is not the input of {found.id}, whose digest is {found.input_digest[:19]}.",
            remedy="Give the very file that was answered.",
        )
    argument = running.endpoints[found.endpoint].argument
    if not hasattr(argument, "from_upload"):
        raise InvalidInput(f"{found.endpoint} takes no files.", remedy='Keep inputs: [decisions] inputs = "full".')
    return argument.from_upload(Upload(content, given.name))


def _tell_replay(done: Replay) -> None:
    console = answers()
    console.print(f"{done.decision_id} by {done.release[:19]}: {'identical' if done.identical else 'different'}")
    for each in done.differences[:SHOWN_DIFFERENCES]:
        console.print(f"  {clean(each.path)}: {_short(each.before)} → {_short(each.after)}")
    if len(done.differences) > SHOWN_DIFFERENCES:
        console.print(f"  and {len(done.differences) - SHOWN_DIFFERENCES} more places; see --json")


def _short(value: Any) -> str:
    text = clean(msgspec.json.encode(value).decode())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _found(decision_id: str, data: str | None) -> Decision:
    with closing(opened_stores(kept_settings(data))) as stores:
        found = stores.decisions.find(decision_id)
    if found is None:
        raise _unknown(decision_id)
    return found


def _unknown(decision_id: str) -> NotFound:
    return NotFound(f"There is no decision {decision_id!r} here.", remedy="Check the id, and --data.")


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
