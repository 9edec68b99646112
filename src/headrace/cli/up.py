"""`headrace up`: serves over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any

import typer

from headrace.assembly import Settings, run_roles, settings_here
from headrace.assembly.pools import Tell
from headrace.cli.application import DEFAULT, load_application
from headrace.gateway.server import Place
from headrace.telemetry import configured_logs

EXAMPLE = "Example: [bold]headrace up --port 8000[/bold], then curl -F file=@a.pdf http://127.0.0.1:8000/v1/..."
FAILURES = frozenset({"request_failed", "worker_died", "retention_failed", "drain_given_up"})


def up(
    app: Annotated[str, typer.Argument(help="The application, as module:attribute.")] = DEFAULT,
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen at; 0 is any free one.")] = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")] = None,
    only: Annotated[str | None, typer.Option(metavar="ROLE[,ROLE]", help="The roles of this process.")] = None,
) -> None:
    """Serve over HTTP on this machine, until SIGTERM or Ctrl-C; what has come in by then is answered."""
    overrides = {"server.host": host, "server.port": port, "data": data}
    settings = settings_here(overrides)
    roles = [name for name in (only or "").split(",") if name]
    with closing(Place(settings.server.host, settings.server.port)) as place:
        settings = settings_here(overrides | {"server.port": place.port})
        asyncio.run(_served(app, settings, roles, place.url))


up.__doc__ = f"{up.__doc__}\n\n{EXAMPLE}"


async def _served(app: str, settings: Settings, roles: list[str], url: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tell = telling()
    tell("starting", {"app": app, "url": url})
    await run_roles(load_application(app).platform, settings, roles, tell=tell, stop=stop)
    tell("stopped", {})


def telling() -> Tell:
    """Tells of events by structured lines on standard error."""
    logger = configured_logs()

    def tell(event: str, facts: Mapping[str, Any]) -> None:
        (logger.error if event in FAILURES else logger.info)(event, **facts)

    return tell
