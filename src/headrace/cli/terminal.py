"""What is shown on a terminal: people get colour and bars, a pipe gets plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from headrace.cli.failure import clean
from headrace.errors import HeadraceError

PIPE_WIDTH = 150


def answers() -> Console:
    """Where answers go: standard output, wide enough for tables where there is no terminal to ask."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def remarks() -> Console:
    """Where remarks, bars and failures go: standard error."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def tell_failure(console: Console, name: str, error: HeadraceError) -> None:
    """One line: what failed, why, and what to do."""
    console.print(Text.assemble((clean(name), "bold"), ": ", (clean(str(error)), "red")))


class Bar:
    """How far a piece of work has come: a bar on a terminal, one line at its beginning elsewhere."""

    def __init__(self, progress: Progress | None, console: Console, title: str, total: int | None) -> None:
        self._progress = progress
        self._console = console
        self._task = None if progress is None else progress.add_task(title, total=total)
        self.stage(title, 0, total)

    def advance(self) -> None:
        """One more is done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task)

    def stage(self, title: str, done: int, total: int | None) -> None:
        """Another stage, or how far it has come."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=title, completed=done, total=total)
        elif done == 0:
            self._console.print(f"{title} ({total})" if total else title)


@contextmanager
def bar(console: Console, title: str, *, total: int | None = None) -> Iterator[Bar]:
    """A bar that is shown while the work inside runs."""
    if not console.is_terminal:
        yield Bar(None, console, title, total)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, console, title, total)


def show_rows(
    items: Iterable[Any], headings: Sequence[str], cells: Callable[[Any], Sequence[str]], *, as_json: bool
) -> None:
    """What a command lists: a table with the cells of each item, or a line of JSON for each."""
    if as_json:
        for each in items:
            typer.echo(msgspec.json.encode(each).decode())
        return
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for each in items:
        table.add_row(*cells(each))
    answers().print(table)
