"""`headrace train`: examples in, a new champion in the registry out, and how it fared on what it had not seen."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from headrace.assembly import Settings, files_of, forgetful_decisions, held_back, opened_registry, settings_here
from headrace.cli.answering import Answering, AnsweringHere, patiently
from headrace.cli.application import DEFAULT, Application, load_application
from headrace.cli.failure import clean
from headrace.cli.inputs import inputs_of, read, shown
from headrace.cli.terminal import answers, bar, remarks, tell_failure
from headrace.domain.model import CHAMPION, ModelVersion
from headrace.domain.training import Example, TrainedModel, Trainer, TrainingReport
from headrace.errors import HeadraceError, InvalidInput, NotFound, Unreadable
from headrace.registry.provenance import provenance_of
from headrace.serving.answered import digest_of
from headrace.serving.cores import usable_cores

EXAMPLE = """Example: [bold]headrace train contracts-and-invoices/ --model document-classifier[/bold]

The folder holds one folder a label, each with documents of any kind that `analyze` reads; or name a .jsonl or .jsonl.gz
file with lines such as {"text": "…", "label": "invoice"}."""
SHOWN_LABELS = 20
SHOWN_DISPUTES = 5
FORM = '{"text": "…", "label": "…"}'


class Line(msgspec.Struct, frozen=True):
    """One line of a file of examples."""

    text: str
    label: Annotated[str, msgspec.Meta(pattern=r"\S")] | int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The examples that could be read, how many could not, and how many sit in quarantine and were left out."""

    examples: list[Example]
    failed: int = 0
    held: int = 0


def train(
    data_dir: Annotated[str, typer.Argument(metavar="DATA_DIR", help="DATA_DIR/<label>/<document>, or a .jsonl[.gz].")],
    *,
    model: Annotated[str, typer.Option(help="The name of the model to teach.")] = "document-classifier",
    budget: Annotated[str, typer.Option(help="Time to learn in on one core, as 60s or 5m.")] = "60s",
    seed: Annotated[int, typer.Option(help="The same examples, budget and seed give the same model.")] = 0,
    alias: Annotated[str, typer.Option(help="What the new version is called: challenger lets it wait.")] = CHAMPION,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")] = None,
    app: Annotated[str, typer.Option(help="The application, as module:attribute.")] = DEFAULT,
) -> None:
    """Teach a model from examples and let it answer from now on."""
    budget_s = _seconds(budget)
    settings = settings_here({"data": data})
    application = load_application(app)
    trainer = _trainer(application, model)
    errors = remarks()
    gathered = _gathered(data_dir, application, settings, errors)
    if gathered.held:
        errors.print(f"{gathered.held} documents sit in quarantine and were left out.")
    for sources in _disputed(gathered.examples):
        errors.print(f"The same text under more than one label: {sources}.")
    with bar(errors, f"Teaching {model}", total=None) as progress:
        trained = trainer.train(gathered.examples, seed=seed, budget_s=budget_s, on_progress=progress.stage)
    version = _registered(settings, model, trained, alias=alias)
    _show(answers(), trained)
    answers().print(f"{version.name}@{alias} is now {version.digest} ({len(gathered.examples)} examples).")
    if gathered.failed:
        errors.print(f"{gathered.failed} documents could not be read and were left out.")
        raise typer.Exit(3)


train.__doc__ = f"{train.__doc__}\n\n{EXAMPLE}"


def _seconds(budget: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", budget.strip())
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise typer.BadParameter(f"{budget!r} is no time. Write it as 60s or 5m.", param_hint="--budget")
    return seconds


def _trainer(application: Application, model: str) -> Trainer:
    known = {trainer.model: trainer for trainer in application.platform.trainers}
    if model not in known:
        raise InvalidInput(
            f"The application has no trainer for {model!r}.", remedy=f"It can teach: {', '.join(known) or 'nothing'}."
        )
    return known[model]


def _gathered(data_dir: str, application: Application, settings: Settings, errors: Console) -> Gathered:
    path = Path(data_dir)
    if path.is_dir():
        return asyncio.run(_from_folder(path, application, settings, errors))
    if path.is_file() and path.name.endswith((".jsonl", ".jsonl.gz")):
        held, given = held_back(settings), list(_from_lines(path))
        found = [each for each in given if digest_of(each.text.encode("utf-8", "surrogatepass")) not in held]
        return Gathered(found, held=len(given) - len(found))
    if path.exists():
        raise InvalidInput(
            f"{data_dir} is neither a folder nor a .jsonl file.",
            remedy=f"Put documents into one folder a label, or texts into a .jsonl of lines such as {FORM}.",
        )
    raise NotFound(f"There is no folder or file {data_dir}.", remedy="Check the path.")


async def _from_folder(folder: Path, application: Application, settings: Settings, errors: Console) -> Gathered:
    named = _labelled(folder, errors)
    if application.reader is None:
        raise InvalidInput("This application has no reader for documents.", remedy="Give a .jsonl of texts instead.")
    found: list[Example] = []
    failed = left_out = 0
    held = await asyncio.to_thread(held_back, settings)
    async with application.reader.running(settings, decisions=forgetful_decisions()) as running:
        answering = AnsweringHere(running)
        with bar(errors, "Reading examples", total=len(named)) as progress:
            pending: deque[asyncio.Task[Example | HeadraceError | None]] = deque()
            waiting = deque(named)
            while waiting or pending:
                while waiting and len(pending) < usable_cores() * 2:
                    pending.append(asyncio.create_task(_example(waiting.popleft(), answering, settings, held)))
                outcome = await pending.popleft()
                progress.advance()
                if isinstance(outcome, Example):
                    found.append(outcome)
                elif outcome is None:
                    left_out += 1
                else:
                    failed += 1
                    tell_failure(errors, named[len(found) + left_out + failed - 1][1], outcome)
    if not found:
        in_quarantine = f", and {left_out} more sit in quarantine" if left_out else ""
        raise Unreadable(
            f"None of the {failed} documents below {folder} could be read{in_quarantine}.", remedy="See why above."
        )
    return Gathered(found, failed, left_out)


def _labelled(folder: Path, errors: Console) -> list[tuple[str, str]]:
    """Pairs of label and file, by the folders right below `folder`; tells of what lies there and teaches nothing."""
    seen = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    named: list[tuple[str, str]] = []
    for home in (each for each in seen if each.is_dir()):
        found = [
            (shown(home.name), each.name)
            for each in inputs_of([str(home)])
            if not (isinstance(each.problem, NotFound) and each.name == str(home))
        ]
        if not found:
            errors.print(f"{clean(shown(str(home)))} holds no document, so there is no such label.")
        named += found
    if not named:
        raise InvalidInput(
            f"{folder} holds no examples.", remedy="Put documents into one folder a label: DATA_DIR/<label>/<document>."
        )
    if loose := [each for each in seen if not each.is_dir()]:
        errors.print(
            f"Left out, as files outside of a label's folder have no label: {len(loose)} in {clean(str(folder))}."
        )
    return named


def _disputed(examples: Sequence[Example]) -> Iterator[str]:
    """Where a text stands that was given more than one label, one line for each of the first few."""
    known: dict[str, list[Example]] = {}
    for example in examples:
        known.setdefault(example.text, []).append(example)
    disputes = [found for found in known.values() if len({each.label for each in found}) > 1]
    for found in disputes[:SHOWN_DISPUTES]:
        yield ", ".join(clean(f"{each.source} ({each.label})") for each in found[:SHOWN_DISPUTES])


async def _example(
    named: tuple[str, str], answering: Answering, settings: Settings, held: frozenset[str]
) -> Example | HeadraceError | None:
    """What a document teaches; None when it sits in quarantine."""
    label, name = named
    try:
        each = inputs_of([name])[0]
        upload = await asyncio.to_thread(read, each, limit_bytes=settings.limits.upload_bytes)
        if digest_of(upload.content) in held:
            return None
        text = (await patiently(answering, upload)).text
    except HeadraceError as error:
        return error
    if not text.strip():
        return Unreadable("No text was found in it.", remedy="Is it a picture, and is there language data for OCR?")
    return Example(text=text, label=label, source=shown(name))


def _from_lines(path: Path) -> Iterator[Example]:
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                # Windows begins files in UTF-8 with a mark, which is no part of the first line.
                content = line.removeprefix(BOM_UTF8) if number == 1 else line
                if content.strip():
                    yield _line(content, number, path)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{path} cannot be read: {error}.", remedy="Check that it is whole.") from error


def _line(line: bytes, number: int, path: Path) -> Example:
    try:
        fields = msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"Line {number} of {path} is not of the form {FORM}: {error}.", remedy="Mend or remove it."
        ) from error
    # A blank that slipped in beside a label does not make another one of it.
    return Example(text=fields.text, label=str(fields.label).strip(), source=f"{path.name}:{number}")


def _registered(settings: Settings, model: str, trained: TrainedModel, *, alias: str) -> ModelVersion:
    registry = opened_registry(settings)
    before = registry.alias(model, alias)
    version = registry.register(
        model,
        files_of(trained),
        metrics=trained.metrics,
        lineage=trained.lineage,
        signature=trained.signature,
        provenance=provenance_of(Path.cwd(), source="headrace train"),
    )
    registry.move_alias(version, alias, expected=before)
    return version


def _show(console: Console, trained: TrainedModel) -> None:
    metrics = Table(
        "figure", "value", box=box.SIMPLE_HEAD, title="On examples that it had not seen", title_justify="left"
    )
    metrics.columns[1].justify = "right"
    for name, value in trained.metrics.items():
        metrics.add_row(clean(name.replace("_", " ")), f"{value:,.3f}".rstrip("0").rstrip("."))
    console.print(metrics)
    console.print(_classes(trained.report))
    if len(trained.report.labels) <= SHOWN_LABELS:
        console.print(_confusion(trained.report))
    for note in trained.report.notes:
        console.print(f"- {clean(note)}")


def _classes(report: TrainingReport) -> Table:
    table = Table("label", "examples", "precision", "recall", "F1", box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in report.classes:
        figures = (f"{value:.3f}" for value in (each.precision, each.recall, each.f1))
        table.add_row(clean(each.label), str(each.examples), *figures)
    return table


def _confusion(report: TrainingReport) -> Table:
    labels: Sequence[str] = report.labels
    table = Table(box=box.SIMPLE_HEAD, title="Rows: what they are. Columns: what was answered.", title_justify="left")
    table.add_column("")
    for label in labels:
        table.add_column(clean(label), justify="right")
    for label, row in zip(labels, report.confusion, strict=True):
        table.add_row(clean(label), *(str(count) if count else "·" for count in row))
    return table
