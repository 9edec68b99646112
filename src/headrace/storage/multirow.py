"""Multirow: writes many rows by few statements, for threads that share the interpreter with a busy event loop.

Drivers give the interpreter lock back for each row of an `executemany`, SQLite's also for each row that it reads, and
take it again when the event loop lets them: with a busy loop a few hundred rows a second. Postgres takes all rows as an
array for each column. For SQLite, to prepare a statement costs as much as to run it, so there are few of them, each for
half as many rows as the one before, and the driver remembers them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, String, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect

from headrace.storage.database import insert_into

FEW = 8
"""So many rows may go one by one: to put fewer together costs more than it saves."""

PLACES_A_STATEMENT = 2048
"""How many parameters a statement has at most; SQLite knows up to 32,766."""


def insert_rows(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Runs `statement` for all `rows`, which have the same names; not at all without any.

    Their values go to the driver as they are, but for moments in SQLite: no other type that SQLAlchemy would have to
    translate is among them. Of rows that conflict with what is there, no two have the same key.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        if len(rows) > FEW:
            own = tuple(rows[0])
            text, constants = _of_arrays(statement, own, connection.dialect)
            connection.exec_driver_sql(text, {**constants, **arrays_of(rows, own)})
        else:
            connection.execute(statement, list(rows))
        return
    begin, names, end = _parts(statement, tuple(rows[0]))
    moments = [name for name in names if isinstance(rows[0][name], datetime)]
    if moments:
        rows = [{**row, **{name: moment_for_sqlite(row[name]) for name in moments}} for row in rows]
    insert_tuples(connection, begin, list(map(itemgetter(*names), rows)), end)


def moment_for_sqlite(moment: datetime) -> str:
    """As SQLAlchemy writes it: SQLite keeps no time zone."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def insert_tuples(connection: Connection, begin: str, rows: Sequence[tuple[Any, ...]], end: str = "") -> None:
    """`begin VALUES rows end` in SQLite; the rows have the same number of values."""
    if not rows:
        return
    width = len(rows[0])
    start, count = 0, 1 << (PLACES_A_STATEMENT // width).bit_length() - 1
    while start < len(rows):
        while count > len(rows) - start:
            count //= 2
        values = tuple(chain.from_iterable(rows[start : start + count]))
        connection.exec_driver_sql(_statement(begin, width, count, end), values)
        start += count


def arrays_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """The parameters of `unnested`: each column as a list."""
    return {f"all_{name}": [row[name] for row in rows] for name in names}


def unnested(table: Table, names: Sequence[str], dialect: Dialect) -> str:
    """For Postgres, rows that have the columns `names` of `table`, which come as arrays."""
    types = {name: table.c[name].type for name in names}
    # Of texts the one without a length: to cast to a length would cut, and not refuse, what is longer.
    told = {name: "TEXT" if isinstance(kind, String) else kind.compile(dialect) for name, kind in types.items()}
    return f"unnest({', '.join(f'%(all_{name})s::{kind}[]' for name, kind in told.items())})"


@cache
def upserting(table: Table, dialect: str, *, is_adding: bool = False) -> Insert:
    """An insert whose rows replace those with the same primary key, or, with `is_adding`, grow them."""
    fresh = insert_into(dialect)(table)
    new = {each.name: fresh.excluded[each.name] for each in table.columns if not each.primary_key}
    changes = {name: table.c[name] + value for name, value in new.items()} if is_adding else new
    statement: Insert = fresh.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes)
    return statement


@cache
def _of_arrays(statement: Insert, names: tuple[str, ...], dialect: Dialect) -> tuple[str, Mapping[str, Any]]:
    """With what it compares with, besides the values."""
    table: Any = statement.table
    compiled = statement.compile(dialect=dialect, column_keys=names)
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    _, conflict, then = str(compiled).partition(" ON CONFLICT ")
    columns = ", ".join(f'"{name}"' for name in names)
    found = unnested(table, names, dialect)
    text = f"INSERT INTO {table.name} ({columns}) SELECT * FROM {found}{conflict}{then}"  # noqa: S608 - names alone
    return text, constants


@cache
def _statement(begin: str, width: int, count: int, end: str) -> str:
    places = ",".join([_places(width)] * count)
    return f"{begin} VALUES {places} {end}"


@cache
def _parts(statement: Insert, names: tuple[str, ...]) -> tuple[str, Sequence[str], str]:
    """What stands before and after the values, and the order of these."""
    compiled = statement.compile(dialect=sqlite.dialect(), column_keys=names)
    begin, _, end = str(compiled).partition(" VALUES (" + ", ".join("?" * len(names)) + ")")
    return begin, tuple(compiled.positiontup or ()), end


def _places(width: int) -> str:
    return f"({','.join('?' * width)})"
