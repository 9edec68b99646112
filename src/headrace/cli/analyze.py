"""`headrace analyze`: documents in, a table or JSON lines out, and a report with the evidence marked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from headrace.assembly import Settings, forgetful_decisions, settings_here
from headrace.cli.afar import Afar, answering_afar
from headrace.cli.answering import Answer, Answering, AnsweringHere, patiently
from headrace.cli.application import DEFAULT, Application, Report, load_application
from headrace.cli.failure import clean
from headrace.cli.inputs import Input, inputs_of, read, shown
from headrace.cli.terminal import answers, bar, remarks, tell_failure
from headrace.errors import HeadraceError, InvalidInput
from headrace.serving.cores import usable_cores
from headrace.serving.releases import Switch
from headrace.serving.upload import Upload

WORDS, SUMMARY_CHARACTERS = 4, 160
JOBS_AT_ONCE = 32
"""Enough to keep a server's workers busy, few enough to hold their documents in memory."""
EXAMPLE = "Example: [bold]headrace analyze invoices/ scan.pdf 'mails/*.eml' --out report[/bold]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input."""

    each: Input
    upload: Upload | None
    answer: Answer | None
    error: HeadraceError | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for."""

    as_json: bool
    out: Path | None
    server: str | None
    app: str
    settings: Settings
    jobs: bool = False
    key: str = ""


def analyze(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, globs, or - for standard input.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a document, for machines.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write an HTML report into this folder.")] = None,
    server: Annotated[str | None, typer.Option(metavar="URL", help="Ask this server instead of this process.")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Submit jobs to the server and wait for all of them.")] = False,
    key: Annotated[str, typer.Option(metavar="KEY", help="An API key, for a server that asks for one.")] = "",
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")] = None,
    app: Annotated[str, typer.Option(help="The application, as module:attribute.")] = DEFAULT,
) -> None:
    """Say what documents are, which words say so, and what they say."""
    if jobs and server is None:
        raise InvalidInput("Jobs are worked off by a server.", remedy="Name it: --jobs --server http://127.0.0.1:8000")
    wishes = Wishes(as_json, out, server, app, settings_here({"data": data}), jobs=jobs, key=key)
    inputs = inputs_of(paths)
    tally = asyncio.run(_analyzed(inputs, wishes))
    if tally.failed or tally.is_partial:
        raise typer.Exit(1 if tally.failed == len(inputs) else 3)


analyze.__doc__ = f"{analyze.__doc__}\n\n{EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many inputs failed, and whether something else than inputs did."""

    failed: int
    is_partial: bool = False


class _Reporting:
    """The report of a run, if one was asked for. Where it cannot be written the answers come all the same."""

    def __init__(self, report: Report | None, folder: Path | None, errors: Console) -> None:
        self._report = report
        self._folder = folder
        self._errors = errors
        self.is_broken = False

    async def add(self, number: int, name: str, upload: Upload, answer: Answer) -> None:
        """Takes the `number`th answer."""
        if self._report is not None:
            try:
                await self._report.add(number, name, upload, answer.fields, answer.text)
            except OSError as error:
                self._give_up(error)

    def add_failure(self, name: str, reason: str) -> None:
        """Takes an input that gave no answer."""
        if self._report is not None:
            self._report.add_failure(name, reason)

    async def finish(self) -> None:
        """Tells which file to open."""
        if self._report is not None:
            try:
                self._errors.print(f"Report: {await self._report.finish()}")
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._report, self.is_broken = None, True
        detail = f"The report is incomplete: {error.strerror}."
        failure = InvalidInput(detail, remedy="Make room on its disc, or name another folder.")
        tell_failure(self._errors, str(self._folder), failure)


async def _analyzed(inputs: Sequence[Input], wishes: Wishes) -> Tally:
    """What became of all inputs, told as they come."""
    errors, output = remarks(), answers()
    if all(each.problem for each in inputs):
        return Tally(_all_failed(inputs, errors))
    async with AsyncExitStack() as stack:
        application = None if wishes.server and wishes.out is None else load_application(wishes.app)
        with bar(errors, "Warming up" if wishes.server is None else f"Reaching {wishes.server}"):
            answering, services = await _answering(stack, application, wishes)
        report = _Reporting(_report(application, wishes, services), wishes.out, errors)
        table = None if wishes.as_json else _table()
        failed = 0
        with bar(errors, "Analysing", total=len(inputs)) as shown_bar:
            number = 0
            window = JOBS_AT_ONCE if wishes.jobs else usable_cores() * 2
            async for outcome in _outcomes(inputs, answering, wishes.settings.limits.upload_bytes, window=window):
                number += 1
                failed += outcome.error is not None
                await _deliver(outcome, number, report=report, table=table, errors=errors)
                shown_bar.advance()
        if table is not None and table.row_count:
            output.print(table)
        await report.finish()
    return Tally(failed, is_partial=report.is_broken)


def _all_failed(inputs: Sequence[Input], errors: Console) -> int:
    for each in inputs:
        if each.problem is not None:
            tell_failure(errors, shown(each.name), each.problem)
    return len(inputs)


async def _answering(
    stack: AsyncExitStack, application: Application | None, wishes: Wishes
) -> tuple[Answering, Mapping[str, Switch]]:
    """Who answers, and the services by which the report draws pages."""
    if wishes.server is None:
        assert application is not None
        running = await stack.enter_async_context(application.platform.running(wishes.settings))
        return AnsweringHere(running), running.services
    afar = Afar(wishes.server, key=wishes.key, with_text=wishes.out is not None, by_jobs=wishes.jobs)
    answering = await stack.enter_async_context(answering_afar(afar))
    if application is None or application.reader is None:
        return answering, {}
    reading = application.reader.running(wishes.settings, decisions=forgetful_decisions())
    return answering, (await stack.enter_async_context(reading)).services


def _report(application: Application | None, wishes: Wishes, services: Mapping[str, Switch]) -> Report | None:
    if wishes.out is None:
        return None
    if application is None or application.report is None or not services:
        raise InvalidInput(f"{wishes.app} makes no report.", remedy="Leave --out away.")
    try:
        wishes.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"The report cannot be written to {wishes.out}: {error.strerror}.", remedy="Name another folder."
        ) from error
    return application.report(wishes.out, services)


async def _outcomes(
    inputs: Sequence[Input], answering: Answering, limit_bytes: int, *, window: int
) -> AsyncIterator[Outcome]:
    """In the order of the inputs. A few are under way at once, so memory holds a few documents however many come."""
    pending: deque[asyncio.Task[Outcome]] = deque()
    try:
        for each in inputs:
            if len(pending) >= window:
                yield await pending.popleft()
            pending.append(asyncio.create_task(_outcome(each, answering, limit_bytes)))
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _outcome(each: Input, answering: Answering, limit_bytes: int) -> Outcome:
    upload = None
    try:
        upload = await asyncio.to_thread(read, each, limit_bytes=limit_bytes)
        return Outcome(each, upload, await patiently(answering, upload), None)
    except HeadraceError as error:
        return Outcome(each, upload, None, error)


async def _deliver(outcome: Outcome, number: int, *, report: _Reporting, table: Table | None, errors: Console) -> None:
    name = shown(outcome.each.name)
    if outcome.error is not None:
        tell_failure(errors, name, outcome.error)
        report.add_failure(name, str(outcome.error))
        return
    assert outcome.answer is not None
    assert outcome.upload is not None
    if table is None:
        line = msgspec.json.encode({"path": name} | outcome.answer.fields).decode()
        typer.echo(line)
    else:
        table.add_row(*_cells(name, outcome.answer.fields))
    await report.add(number, name, outcome.upload, outcome.answer)


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("document", overflow="fold", ratio=3)
    table.add_column("label", no_wrap=True)
    table.add_column("sure", justify="right", no_wrap=True)
    table.add_column("quality", no_wrap=True)
    table.add_column("because of", overflow="fold", ratio=3)
    table.add_column("summary", overflow="fold", ratio=6)
    return table


def _cells(name: str, fields: dict[str, Any]) -> list[str]:
    found = fields["classification"]
    words = [
        clean(each["text"])
        for each in found["explanation"]["evidence"]
        if each["weight"] > 0 and any(map(str.isalnum, each["text"]))
    ]
    summary = clean(" ".join(sentence["text"] for sentence in fields["summary"]["sentences"]))
    if len(summary) > SUMMARY_CHARACTERS:
        summary = summary[:SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + " …"
    sure = ">99%" if 0.99 < found["confidence"] < 1 else f"{found['confidence']:.0%}"
    quality = clean(fields["quality"]["verdict"])
    return [clean(name), clean(found["label"]), sure, quality, ", ".join(words[:WORDS]), summary]
