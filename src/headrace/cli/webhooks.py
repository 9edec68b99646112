"""`headrace webhooks`: which addresses are told of what, and how that went."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import msgspec
import typer

from headrace.cli.failure import clean
from headrace.cli.server import AS_JSON, KEY, SERVER
from headrace.cli.terminal import answers, remarks, show_rows
from headrace.client import Client
from headrace.client.asynchronous import USUAL_URL

webhooks = typer.Typer(
    help="Tell addresses of events, and see how that went.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@webhooks.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="The address to tell.")],
    *,
    events: Annotated[str, typer.Option(help="Types of events, parted by commas; all if not given.")] = "",
    server: SERVER = USUAL_URL,
    key: KEY = "",
    as_json: AS_JSON = False,
) -> None:
    """Tell an address of events; the secret that signs is shown this once.

    Example: [bold]headrace webhooks add https://example.org/hook --events headrace.job.succeeded[/bold]
    """
    wish = {"url": url, "events": [each.strip() for each in events.split(",") if each.strip()]}
    with Client(server, key=key) as client:
        made = client.post("/v1/webhooks", wish)
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())
        return
    remarks().print(f"{made['id']} tells {clean(str(made['url']))}. The secret, which is not shown again:")
    typer.echo(str(made["secret"]))


@webhooks.command("list")
def listed(*, server: SERVER = USUAL_URL, key: KEY = "", as_json: AS_JSON = False) -> None:
    """List the addresses that are told.

    Example: [bold]headrace webhooks list[/bold]
    """
    with Client(server, key=key) as client:
        found = list(client.pages("/v1/webhooks"))
    _show(found, {"id": "id", "state": "state", "url": "url", "events": "events"}, as_json=as_json)


@webhooks.command()
def deliveries(
    *,
    state: Annotated[str, typer.Option(help="waiting, delivered, disabled or given_up.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most, newest first.")] = 20,
    server: SERVER = USUAL_URL,
    key: KEY = "",
    as_json: AS_JSON = False,
) -> None:
    """List what was told to whom, and what came back.

    Example: [bold]headrace webhooks deliveries --state given_up[/bold]
    """
    with Client(server, key=key) as client:
        pages = client.pages("/v1/webhooks/deliveries", **({"state": state} if state else {}))
        found = list(islice(pages, limit))
    columns = {"id": "id", "type": "event", "subject": "of", "state": "state", "tries": "tries", "last": "came back"}
    _show(found, columns, as_json=as_json)


@webhooks.command()
def resend(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery: dlv_…")],
    *,
    server: SERVER = USUAL_URL,
    key: KEY = "",
) -> None:
    """Send a delivery again, with the id that it had.

    Example: [bold]headrace webhooks resend dlv_0192f3c4-…[/bold]
    """
    with Client(server, key=key) as client:
        sent = client.post(f"/v1/webhooks/deliveries/{delivery_id}/resend", {})
    answers().print(f"{sent['id']} {sent['state']}")


def _show(items: list[Any], columns: dict[str, str], *, as_json: bool) -> None:
    show_rows(
        items,
        tuple(columns.values()),
        lambda each: [clean(_told(each.get(name))) for name in columns],
        as_json=as_json,
    )


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('status') or ''} {value.get('detail', '')}".strip()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "all"
    return "" if value is None else str(value)
