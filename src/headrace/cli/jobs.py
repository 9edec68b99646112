"""`headrace jobs`: what is to be answered later, how far it is, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.cli.failure import clean
from headrace.cli.server import AS_JSON, KEY, SERVER
from headrace.cli.terminal import answers, bar, remarks, show_rows
from headrace.client import Client
from headrace.client.asynchronous import USUAL_URL
from headrace.errors import HeadraceError, InvalidInput

jobs = typer.Typer(
    help="List, watch, cancel and retry jobs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
ID = Annotated[str, typer.Argument(metavar="ID", help="As in the answer to `Prefer: respond-async`: job_…")]
WHOLE = 1000
"""A bar has so many steps: the fraction of a job is finer than its pages."""


@jobs.command("list")
def listed(
    *,
    state: Annotated[str, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most, newest first.")] = 20,
    server: SERVER = USUAL_URL,
    key: KEY = "",
    as_json: AS_JSON = False,
) -> None:
    """List jobs, newest first.

    Example: [bold]headrace jobs list --state failed[/bold]
    """
    with Client(server, key=key) as client:
        found = list(islice(client.pages("/v1/jobs", **({"state": state} if state else {})), limit))
    show_rows(found, ("id", "state", "done", "attempts", "document", "made", "error"), _cells, as_json=as_json)


@jobs.command()
def show(job_id: ID, *, server: SERVER = USUAL_URL, key: KEY = "", as_json: AS_JSON = False) -> None:
    """Show one job with all its attempts.

    Example: [bold]headrace jobs show job_0192f3c4-…[/bold]
    """
    with Client(server, key=key) as client:
        job = client.job(job_id).fields
    if as_json:
        typer.echo(msgspec.json.encode(job).decode())
        return
    console = answers()
    for name in ("id", "state", "endpoint", "filename", "release", "created_at", "finished_at", "decision_id"):
        console.print(f"{name:<12} {clean(str(job.get(name) or '—'))}")
    table = Table("attempt", "worker", "started", "ended", "outcome", "error", box=box.SIMPLE_HEAD)
    for each in job["attempts"]:
        error = each["error"] or {}
        row = (
            each["number"],
            each["worker"],
            each["started_at"],
            each["ended_at"],
            each["outcome"],
            error.get("detail"),
        )
        table.add_row(*(clean(str(value if value is not None else "—")) for value in row))
    console.print(table)


@jobs.command()
def watch(job_id: ID, *, server: SERVER = USUAL_URL, key: KEY = "", as_json: AS_JSON = False) -> None:
    """Follow a job to its end; a connection that is lost is taken up where it was.

    Example: [bold]headrace jobs watch job_0192f3c4-…[/bold]
    """
    with Client(server, key=key) as client:
        if as_json:
            for event in client.events(job_id):
                typer.echo(msgspec.json.encode(event).decode())
        else:
            with bar(remarks(), job_id, total=WHOLE) as shown:
                for event in client.events(job_id):
                    progress = event["data"].get("progress") or {}
                    shown.stage(_title(job_id, event["data"]), round(WHOLE * progress.get("fraction", 0.0)), WHOLE)
        job = client.job(job_id)
    if not as_json:
        answers().print(f"{job.id} {job.state}")
    if job.state != "succeeded":
        error = job.fields.get("error") or {}
        raise HeadraceError(f"The job {job.state}. {error.get('detail', '')}".strip())


@jobs.command()
def cancel(job_id: ID, *, server: SERVER = USUAL_URL, key: KEY = "") -> None:
    """Cancel a job, also one that runs.

    Example: [bold]headrace jobs cancel job_0192f3c4-…[/bold]
    """
    with Client(server, key=key) as client:
        job = client.cancel(job_id)
    answers().print(f"{job.id} {job.state if job.is_over else 'is being cancelled'}")


@jobs.command()
def retry(
    job_id: Annotated[str, typer.Argument(metavar="[ID]", help="The job; left out with --all.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="All jobs that failed.")] = False,
    server: SERVER = USUAL_URL,
    key: KEY = "",
) -> None:
    """Run a job that failed or was cancelled again, or all that failed.

    Example: [bold]headrace jobs retry --all[/bold]
    """
    if every == bool(job_id):
        raise InvalidInput("Name a job, or --all of them.", remedy="See `headrace jobs retry --help`.")
    with Client(server, key=key) as client:
        # Listed first: a job that fails again while this runs is not run for ever.
        ids = [job_id] if job_id else [str(each["id"]) for each in client.pages("/v1/jobs", state="failed")]
        for each in ids:
            client.retry(each)
    answers().print(f"{len(ids)} queued again")


def _title(job_id: str, told: Mapping[str, Any]) -> str:
    progress = told.get("progress") or {}
    stage = f" {progress['stage']} {progress['done']}/{progress['total']}" if progress.get("stage") else ""
    return f"{job_id} {told.get('state', '')}{stage}"


def _cells(job: Mapping[str, Any]) -> list[str]:
    error = job.get("error") or {}
    return [
        clean(str(job["id"])),
        clean(str(job["state"])),
        f"{job['progress']['fraction']:.0%}",
        str(len(job["attempts"])),
        clean(str(job.get("filename") or "")),
        clean(str(job["created_at"])[:19]),
        clean(str(error.get("detail", ""))),
    ]
