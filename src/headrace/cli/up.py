"""`headrace up`: serves over HTTP until it is told to stop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any

import typer

from headrace.assembly import check_lock_here, settings_here, supervised
from headrace.assembly.pools import Tell
from headrace.cli.application import DEFAULT, load_application
from headrace.cli.failure import tell_error
from headrace.gateway.place import Place
from headrace.telemetry import configured_logs

EXAMPLE = "Example: [bold]headrace up --port 8000[/bold], then curl -F file=@a.pdf http://127.0.0.1:8000/v1/..."
FAILURES = frozenset({"request_failed", "worker_died", "member_died", "retention_failed", "drain_given_up"})


def up(
    app: Annotated[str, typer.Argument(help="The application, as module:attribute.")] = DEFAULT,
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen at; 0 is any free one.")] = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")] = None,
    only: Annotated[str | None, typer.Option(metavar="ROLE[,ROLE]", help="The roles that it takes.")] = None,
    processes: Annotated[str | None, typer.Option(help="How many processes answer; auto is one a core.")] = None,
) -> None:
    """Serve over HTTP on this machine, until SIGTERM or Ctrl-C; what has come in by then is answered."""
    overrides = {"server.host": host, "server.port": port, "server.processes": processes, "data": data}
    settings = settings_here(overrides)
    roles = [name for name in (only or "").split(",") if name]
    tell = telling()
    with closing(Place(settings.server.host, settings.server.port)) as place:
        settings = settings_here(overrides | {"server.port": place.port})
        platform = load_application(app).platform
        check_lock_here(platform.pipelines, settings)
        tell("starting", {"app": app, "url": place.url})
        code = supervised(platform, settings, roles, place=place, tell=tell, on_error=tell_error)
        tell("stopped", {"exit_code": code})
    if code:
        raise typer.Exit(code)


up.__doc__ = f"{up.__doc__}\n\n{EXAMPLE}"


def telling() -> Tell:
    """Tells of events by structured lines on standard error."""
    logger = configured_logs()
    logger.hear_libraries()

    def tell(event: str, facts: Mapping[str, Any]) -> None:
        (logger.error if event in FAILURES else logger.info)(event, **facts)

    return tell
