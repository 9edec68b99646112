"""`headrace`: all commands by name; each one's module is imported when it is asked for, so that help comes at once."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from headrace.cli.failure import tell_error
from headrace.errors import HeadraceError

COMMANDS = {
    "analyze": ("headrace.cli.analyze", "Say what documents are, why, and what they say."),
    "up": ("headrace.cli.up", "Serve over HTTP on this machine."),
    "jobs": ("headrace.cli.jobs", "List, watch, cancel and retry what is answered later."),
    "webhooks": ("headrace.cli.webhooks", "Tell addresses of events, and see how that went."),
    "train": ("headrace.cli.train", "Teach a model from examples and let it answer from now on."),
    "models": ("headrace.cli.models", "List, register, verify and pin the versions of models."),
    "releases": ("headrace.cli.releases", "List and compare the versions of whole pipelines."),
    "rollouts": ("headrace.cli.rollouts", "Move traffic to another release, by evidence."),
    "decisions": ("headrace.cli.decisions", "Look up what was answered, and why."),
    "feedback": ("headrace.cli.feedback", "Say what answers should have been, and what came of them."),
    "keys": ("headrace.cli.keys", "Make, list and revoke API keys."),
    "monitor": ("headrace.cli.monitor", "Say what has changed, where, and how right the answers are."),
    "doctor": ("headrace.cli.doctor", "Say what is installed, reachable and writable, and how to mend what is not."),
}
"""Each module has a function, or a typer application, of the command's name."""

INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Commands(TyperGroup):
    """The commands, known by name and one line until one of them is run."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature of the framework
        """In the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature of the framework
        """A stand-in, which is enough for the list in `--help`."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], rich_markup_mode="rich")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command, imported now."""
        if args and args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"There is no command {args[0]!r}. Did you mean {near[0]!r}?")
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, None if stand_in is None else _imported(str(name)), rest


def _imported(name: str) -> Any:
    # Nothing that importing makes is garbage, and looking for some takes a tenth of the time.
    gc.disable()
    try:
        found = getattr(import_module(COMMANDS[name][0]), name)
    finally:
        gc.enable()
    if not isinstance(found, typer.Typer):
        wrapped = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        wrapped.command(name)(found)
        found = wrapped
    command = get_command(found)
    command.name = name
    return command


app = typer.Typer(
    cls=Commands,
    name="headrace",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def headrace() -> None:
    """Headrace puts AI into production: it serves, watches, explains and retrains it, on a laptop or a cluster.

    Example: [bold]headrace analyze invoices/ --out report[/bold]
    """


def run(arguments: Sequence[str] | None = None) -> None:
    """The program: exits with 0 when done, 1 when failed, 2 when called wrongly, 3 when some inputs failed."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="headrace")
    except HeadraceError as error:
        tell_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _give_up_output()
        sys.exit(1)
    except OSError as error:
        told = _told(error)
        if told is None:
            raise
        tell_error(told)
        _give_up_output()
        sys.exit(1)


def _told(error: OSError) -> HeadraceError | None:
    """What a person should read of it: a full disc, or a file that they named; None for what is a fault of ours."""
    if error.errno in FULL:
        where = "What was written" if error.filename is None else str(error.filename)
        return HeadraceError(f"{where} is incomplete: {error.strerror}.", remedy="Make room on its disc and try again.")
    if error.filename is None:
        return None
    return HeadraceError(f"{error.filename} cannot be used: {error.strerror}.", remedy="Check the path, and who may.")


def _give_up_output() -> None:
    """Standard output cannot be written to; Python would complain of it once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
