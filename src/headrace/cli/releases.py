"""`headrace releases`: the versions of whole pipelines, and what tells them apart."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import Stores, kept_settings, opened_stores, planner_of, record_of, settings_here
from headrace.cli.application import DEFAULT, load_application
from headrace.cli.failure import clean
from headrace.cli.terminal import answers
from headrace.domain.release import ReleaseRecord, differences
from headrace.errors import InvalidInput, NotFound

releases = typer.Typer(
    help="List and compare the versions of whole pipelines.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]
ID = Annotated[str, typer.Argument(metavar="ID", help="The id of a release, or its beginning.")]
SHOWN_CHARACTERS = 60


@releases.command("list")
def listed(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    data: DATA = None,
    as_json: AS_JSON = False,
) -> None:
    """List the releases that ever answered or were made, the newest first.

    Example: [bold]headrace releases list[/bold]
    """
    with _stores(data) as stores:
        records, _ = stores.releases.listed(cursor=None, limit=limit)
    if as_json:
        typer.echo(msgspec.json.encode([_fields(each) for each in records]).decode())
        return
    table = Table("release", "pipeline", "first seen", "commit", "models", box=box.SIMPLE_HEAD)
    for each in records:
        models = ", ".join(f"{service} {digest[7:19]}" for service, digest in sorted(each.release.models.items()))
        seen = each.created_at.isoformat(timespec="seconds")
        table.add_row(each.release.id[:19], clean(each.release.pipeline), seen, _commit(each), models)
    answers().print(table)


@releases.command()
def show(release_id: ID, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Show the manifest of a release: all that decides about its answers.

    Example: [bold]headrace releases show sha256:3f2a[/bold]
    """
    with _stores(data) as stores:
        fields = _fields(_found(stores, release_id))
    encoded = msgspec.json.encode(fields)
    typer.echo((encoded if as_json else msgspec.json.format(encoded, indent=2)).decode())


@releases.command()
def diff(before: ID, after: ID, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Say what tells two releases apart.

    Example: [bold]headrace releases diff sha256:3f2a sha256:91bc[/bold]
    """
    with _stores(data) as stores:
        told = differences(_manifest(_found(stores, before)), _manifest(_found(stores, after)))
    if as_json:
        typer.echo(msgspec.json.encode(told).decode())
        return
    if not told:
        typer.echo("They are the same.")
    for each in told:
        typer.echo(f"{clean(each.path)}: {_short(each.before)} → {_short(each.after)}")


@releases.command()
def create(
    *,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME[@ALIAS]", help="Instead of that model's champion; or a digest.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="Where the application has several.")] = None,
    data: DATA = None,
    app: Annotated[str, typer.Option(help="The application, as module:attribute.")] = DEFAULT,
) -> None:
    """Name the release that answers with these models and the champions of all others.

    Example: [bold]headrace releases create --model document-classifier@challenger[/bold]
    """
    settings = settings_here({"data": data})
    planner = planner_of(load_application(app).platform.pipelines, settings)
    name = pipeline or next(iter(planner.instances))
    versions = [planner.registry.named(each) for each in model or []]
    unused = {each.name for each in versions} - set(planner.models(name))
    if unused:
        raise InvalidInput(f"{name} has no model {min(unused)!r}.", remedy=f"It has {', '.join(planner.models(name))}.")
    release = planner.release(name, {each.name: each for each in versions})
    with closing(opened_stores(settings)) as stores:
        stores.releases.add(record_of(release))
    typer.echo(release.id)


def _stores(data: str | None) -> closing[Stores]:
    return closing(opened_stores(kept_settings(data)))


def _found(stores: Stores, release_id: str) -> ReleaseRecord:
    record = stores.releases.find(release_id)
    if record is None:
        raise NotFound(f"There is no release {release_id!r} here.", remedy="See `headrace releases list`.")
    return record


def _manifest(record: ReleaseRecord) -> Any:
    return msgspec.json.decode(record.release.manifest())


def _fields(record: ReleaseRecord) -> dict[str, Any]:
    return {
        "id": record.release.id,
        "created_at": record.created_at,
        "commit": record.commit,
        "is_dirty": record.is_dirty,
        "manifest": _manifest(record),
    }


def _commit(record: ReleaseRecord) -> str:
    return "" if record.commit is None else record.commit[:12] + ("+" if record.is_dirty else "")


def _short(value: Any) -> str:
    text = clean(msgspec.json.encode(value).decode())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
