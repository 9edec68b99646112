"""`headrace keys`: who may call a server that is not open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import kept_settings, settings_here, stored_keys
from headrace.cli.failure import clean
from headrace.cli.terminal import answers, remarks
from headrace.domain.key import ApiKey, KeyScope, new_key
from headrace.errors import NotFound

keys = typer.Typer(
    help="Make, list and revoke API keys.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]


@keys.command()
def create(
    *,
    scope: Annotated[KeyScope, typer.Option(help="What it allows; each includes those before it.")] = KeyScope.WRITE,
    name: Annotated[str, typer.Option(help="For whom, to know it again.")] = "",
    data: DATA = None,
    as_json: AS_JSON = False,
) -> None:
    """Make a key; its secret is shown this once.

    Example: [bold]headrace keys create --scope write --name "mail import"[/bold]
    """
    key, secret = new_key(scope, name=name, now=datetime.now(UTC))
    with stored_keys(settings_here({"data": data})) as store:
        store.add(key)
    if as_json:
        typer.echo(msgspec.json.encode(_shown(key) | {"secret": secret}).decode())
        return
    remarks().print(f"The key {key.id} may {scope.value}. Its secret is not kept; send it as Authorization: Bearer …")
    typer.echo(secret)


@keys.command("list")
def listed(*, data: DATA = None, as_json: AS_JSON = False) -> None:
    """List all keys, without their secrets.

    Example: [bold]headrace keys list[/bold]
    """
    with stored_keys(kept_settings(data)) as store:
        found = store.listed()
    if as_json:
        for key in found:
            typer.echo(msgspec.json.encode(_shown(key)).decode())
        return
    table = Table("id", "scope", "name", "ends in", "made", "revoked", box=box.SIMPLE_HEAD)
    for key in found:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
        made = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(key.id, key.scope.value, clean(key.name), key.hint, made, revoked)
    answers().print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], *, data: DATA = None) -> None:
    """Revoke a key; servers refuse it within seconds.

    Example: [bold]headrace keys revoke key_0192f3c4-…[/bold]
    """
    with stored_keys(kept_settings(data)) as store:
        found = store.revoke(key_id, now=datetime.now(UTC))
    if found is None:
        raise NotFound(f"There is no key {key_id!r}.", remedy="See `headrace keys list`.")
    remarks().print(f"The key {found.id} is good for nothing any more.")


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "scope": key.scope.value,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
