"""How commands name the server that they ask."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.client.asynchronous import USUAL_URL

SERVER = Annotated[str, typer.Option(metavar="URL", help=f"The server; {USUAL_URL} if not given.")]
KEY = Annotated[str, typer.Option(metavar="KEY", help="An API key, for a server that asks for one.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]
