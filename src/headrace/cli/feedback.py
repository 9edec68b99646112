"""`headrace feedback`: what proved true of answers and what came of them, one at a time or from a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from headrace.assembly import Stores, kept_settings, opened_stores
from headrace.cli.failure import clean
from headrace.cli.terminal import remarks
from headrace.domain.feedback import Feedback, Outcome, feedback_on, outcome_of
from headrace.errors import HeadraceError, InvalidInput, NotFound, Unreadable

feedback = typer.Typer(
    help="Say what answers should have been, and what came of them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
ID = Annotated[str, typer.Argument(metavar="ID", help="As in decision_id of an answer: dec_…")]
BY = Annotated[str, typer.Option(help="Who says so.")]
BATCH = 500
COLUMNS = ("decision_id", "label", "metric", "value", "by")


@feedback.command()
def label(
    decision_id: ID, label: Annotated[str, typer.Argument(metavar="LABEL")], *, by: BY = "", data: DATA = None
) -> None:
    """Say what an answer should have been; the last one who says so holds.

    Example: [bold]headrace feedback label dec_0192f3c4-… invoice[/bold]
    """
    _kept({"decision_id": decision_id, "label": label, "by": by}, data)


@feedback.command()
def outcome(
    decision_id: ID,
    metric: Annotated[str, typer.Argument(metavar="METRIC")],
    value: Annotated[float, typer.Argument(metavar="VALUE")],
    *,
    by: BY = "",
    data: DATA = None,
) -> None:
    """Tell what came of an answer, as a number.

    Example: [bold]headrace feedback outcome dec_0192f3c4-… minutes_saved 4.5[/bold]
    """
    _kept({"decision_id": decision_id, "metric": metric, "value": value, "by": by}, data)


@feedback.command()
def upload(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv with a header, or a .jsonl.")],
    *,
    data: DATA = None,
) -> None:
    """Take in many: each row has decision_id, and label, or metric and value; by if you like.

    Rows that cannot be taken in are told by number; all others are kept.

    Example: [bold]headrace feedback upload corrections.csv[/bold]
    """
    kept = failed = 0
    batch: list[Feedback | Outcome] = []
    with closing(opened_stores(kept_settings(data))) as stores:
        for number, row in _rows(path):
            try:
                batch.append(_said(stores, row))
            except HeadraceError as error:
                failed += 1
                remarks().print(f"Row {number}: {clean(str(error))}")
            if len(batch) == BATCH:
                stores.feedback.add(batch)
                kept += len(batch)
                batch = []
        stores.feedback.add(batch)
        kept += len(batch)
    typer.echo(f"{kept} kept, {failed} refused")
    if failed:
        raise typer.Exit(3 if kept else 1)


def _kept(row: Mapping[str, Any], data: str | None) -> None:
    with closing(opened_stores(kept_settings(data))) as stores:
        said = _said(stores, row)
        stores.feedback.add([said])
    typer.echo(said.id)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with their number from 1, the header aside."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", remedy="Check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            if path.suffix == ".jsonl":
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield number, msgspec.json.decode(line, type=dict[str, Any])
                return
            reader = csv.DictReader(lines)
            unknown = [name for name in reader.fieldnames or [] if name not in COLUMNS]
            if unknown or "decision_id" not in (reader.fieldnames or []):
                raise InvalidInput(
                    f"{path.name} has the columns {', '.join(reader.fieldnames or ['none'])}.",
                    remedy=f"It may have {', '.join(COLUMNS)}, and has to have decision_id.",
                )
            for number, row in enumerate(reader, 1):
                yield number, {name: value for name, value in row.items() if name and value not in {None, ""}}
    except (UnicodeDecodeError, msgspec.DecodeError, csv.Error) as broken:
        raise Unreadable(f"{path.name} cannot be read: {broken}.", remedy="Write CSV or JSONL in UTF-8.") from broken


def _said(stores: Stores, row: Mapping[str, Any]) -> Feedback | Outcome:
    decision_id = str(row.get("decision_id", ""))
    decision = stores.decisions.find(decision_id)
    if decision is None:
        raise NotFound(f"There is no decision {decision_id[:80]!r} here.", remedy="Check the id, and --data.")
    by, now = str(row.get("by", "")), datetime.now(UTC)
    if ("label" in row) == ("metric" in row):
        raise InvalidInput("A row has to have either label, or metric and value.", remedy="Mend it.")
    if "label" in row:
        return feedback_on(decision, str(row["label"]), by=by, now=now)
    try:
        value = float(row["value"])
    except (KeyError, TypeError, ValueError) as wrong:
        raise InvalidInput(f"value is {row.get('value')!r}, and has to be a number.", remedy="Mend it.") from wrong
    return outcome_of(decision, str(row["metric"]), value, by=by, now=now)
