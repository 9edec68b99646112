"""`headrace doctor`: what is installed, reachable and writable; what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from headrace.assembly import Settings, settings_here
from headrace.cli.application import DEFAULT, Application, load_application
from headrace.cli.failure import clean
from headrace.cli.terminal import answers
from headrace.errors import HeadraceError
from headrace.serving.cores import usable_cores

EXAMPLE = "Example: [bold]headrace doctor --data .headrace[/bold]"
PACKAGES = ("onnxruntime", "numpy", "pypdfium2", "tesserocr", "sqlalchemy", "httptools")
ROOM_BYTES = 500_000_000
START_S = 120.0


class State(StrEnum):
    """How a thing is: `warn` costs something, `bad` breaks something."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    detail: str
    remedy: str = ""


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a finding, for machines.")] = False,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")] = None,
    app: Annotated[str, typer.Option(help="The application, as module:attribute.")] = DEFAULT,
) -> None:
    """Say what is installed, reachable and writable, and how to mend what is not."""
    console = answers()
    is_broken = False
    for finding in _findings(data, app):
        is_broken = is_broken or finding.state is State.BAD
        if as_json:
            typer.echo(msgspec.json.encode(finding).decode())
        else:
            console.print(_line(finding))
    if is_broken:
        raise typer.Exit(1)


doctor.__doc__ = f"{doctor.__doc__}\n\n{EXAMPLE}"


def _findings(data: str | None, app: str) -> Iterator[Finding]:
    yield from _machine()
    try:
        settings = settings_here({"data": data})
        application = load_application(app)
    except HeadraceError as error:
        yield Finding("settings", State.BAD, error.detail, error.remedy)
        return
    folder = Path(settings.data)
    yield _folder(folder)
    yield _port(settings)
    for what, is_well, detail, remedy in application.checks():
        yield Finding(what, State.OK if is_well else State.WARN, detail, remedy)
    # To look is not to begin: a folder that nobody has kept anything in is made by who keeps something.
    with nullcontext() if folder.is_dir() else tempfile.TemporaryDirectory(prefix="headrace-") as stand_in:
        started = settings if stand_in is None else settings_here({"data": stand_in})
        yield from asyncio.run(_services(application, started, store=settings.store_url))


def _machine() -> Iterator[Finding]:
    yield Finding("headrace", State.OK, version("headrace"))
    yield Finding("Python", State.OK, f"{platform.python_version()} at {sys.executable}")
    where = f"{platform.system()} {platform.release()}, {platform.machine()}, {usable_cores()} usable cores"
    is_linux = sys.platform == "linux"
    remedy = "" if is_linux else "Run on Linux, or in a Linux container: elsewhere workers cannot be confined."
    yield Finding("machine", State.OK if is_linux else State.WARN, where, remedy)
    for package in PACKAGES:
        try:
            yield Finding(package, State.OK, version(package))
        except PackageNotFoundError:
            yield Finding(package, State.BAD, "not installed", f"pip install {package}")


def _folder(folder: Path) -> Finding:
    """Whether the data folder, or the one that it would be made in, can be written to and has room."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("data folder", State.BAD, f"{folder}: {error.strerror}", "Name another one with --data.")
    detail = f"{folder}{'' if there == folder else ' is not there yet'}, {free / 1e9:.1f} GB free"
    if free < ROOM_BYTES:
        return Finding("data folder", State.WARN, detail, "Make room: models and decisions need some.")
    return Finding("data folder", State.OK, detail)


def _port(settings: Settings) -> Finding:
    host, port = settings.server.host, settings.server.port
    try:
        with socket.create_server((host, port)):
            return Finding("port", State.OK, f"{host}:{port} is free")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "Is `headrace up` running already? Otherwise choose another with --port."
        return Finding("port", State.WARN, f"{host}:{port}: {reason}", remedy)


async def _services(application: Application, settings: Settings, *, store: str) -> list[Finding]:
    """Starts everything once, as `up` would; `store` is where its store is or would be."""
    try:
        async with asyncio.timeout(START_S), application.platform.running(settings) as running:
            found = [Finding("store", State.OK, store)]
            for name, health in running.health().items():
                model = running.services[name].model
                detail = f"{health.state}, {health.replicas} replicas" + (f", model {model[:19]}" if model else "")
                found.append(Finding(name, State.OK, detail))
                if health.protections:
                    found.append(Finding(f"{name} is confined by", State.OK, ", ".join(health.protections)))
            return found
    except HeadraceError as error:
        return [Finding("services", State.BAD, error.detail, error.remedy)]
    except TimeoutError:
        detail = f"They did not start within {START_S:g} s"
        return [Finding("services", State.BAD, detail, "Look for what else keeps the machine busy.")]


def _line(finding: Finding) -> Text:
    signs = {State.OK: ("✓ ", "green"), State.WARN: ("! ", "yellow"), State.BAD: ("✗ ", "bold red")}
    line = Text.assemble(signs[finding.state], (f"{finding.what}: ", "bold"), clean(finding.detail))
    if finding.state is not State.OK and finding.remedy:
        line.append(f" → {clean(finding.remedy)}", "yellow")
    return line
