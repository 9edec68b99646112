"""Prepared: statements that run for every job, compiled once; their parameters go to the driver as they are.

SQLAlchemy builds, compares and renders a statement anew for each execution, which costs more than SQLite needs to run
it. What is executed thousands of times a second is therefore compiled beforehand; everything else is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ClauseElement, Connection, CursorResult, Insert, String, Table, bindparam, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.compiler import SQLCompiler

from headrace.storage.multirow import FEW, arrays_of, insert_rows, insert_tuples, unnested


class Prepared:
    """One statement; its parameters are those of its `bindparam`s, by name."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, **parameters: Any) -> CursorResult[Any]:
        """Once."""
        compiled = self._for(connection.dialect)
        return connection.exec_driver_sql(compiled.text, {**compiled.constants, **parameters})

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Once for each row of parameters; not at all without any. Inserts take whole rows, by few statements."""
        if not rows:
            return
        if len(rows) > FEW and isinstance(self._statement, Insert):
            insert_rows(connection, self._statement, rows)
            return
        compiled = self._for(connection.dialect)
        connection.exec_driver_sql(compiled.text, [{**compiled.constants, **row} for row in rows])

    def _for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            # The driver of SQLite takes names as well as places, and a row of names needs no copy in the right order.
            own = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
            done = self._statement.compile(dialect=own)
            constants = {name: value for name, value in done.params.items() if value is not None}
            compiled = self._compiled[dialect.name] = _Compiled(str(done), constants)
        return compiled


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    constants: Mapping[str, Any]


class RowUpdate:
    """Writes `changes` into the rows of `table` that have the same `keys`, where `where` is true of them."""

    def __init__(
        self, table: Table, *, keys: Sequence[str], changes: Sequence[str], where: ColumnElement[bool] | None = None
    ) -> None:
        self._names = (*keys, *changes)
        self._bound = [(_bound(name), name) for name in self._names]
        more = [] if where is None else [where]
        same = [table.c[name] == bindparam(_bound(name)) for name in keys]
        values: dict[str, Any] = {name: bindparam(_bound(name)) for name in changes}
        self._one = Prepared(update(table).where(*same, *more).values(values))
        sets = ", ".join(f'"{name}" = new."{name}"' for name in changes)
        told = [f'{table.name}."{name}" = new."{name}"' for name in keys]
        told += [str(each.compile(dialect=sqlite.dialect())) for each in more]
        self._table = table
        self._new = f"new ({', '.join(map(_quoted, self._names))})"
        self._set = f"UPDATE {table.name} SET {sets} FROM"  # noqa: S608 - names alone
        self._where = f"WHERE {' AND '.join(told)}"

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Not at all without any; what else is in a row is passed over."""
        if len(rows) > FEW and connection.dialect.name == "sqlite":
            found = list(map(itemgetter(*self._names), rows))
            insert_tuples(connection, f"WITH {self._new} AS (", found, f") {self._set} new {self._where}")
            return
        if len(rows) > FEW:
            arrays = unnested(self._table, self._names, connection.dialect)
            text = f"{self._set} {arrays} AS {self._new} {self._where}"
            connection.exec_driver_sql(text, arrays_of(rows, self._names))
            return
        self._one.run_many(connection, [{bound: row[name] for bound, name in self._bound} for row in rows])


def among(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether `column` is one of `those(...)`, which are one parameter however many they are."""
    return column.op("IN", is_comparison=True)(_Those(name))


def those(connection: Connection, texts: Collection[str]) -> Any:
    """The parameter of `among`."""
    return msgspec.json.encode(list(texts)).decode() if connection.dialect.name == "sqlite" else list(texts)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _bound(name: str) -> str:
    """The name of a parameter; that of the column is SQLAlchemy's own."""
    return f"b_{name}"


class _Those(ColumnElement[str]):
    inherit_cache = True

    def __init__(self, name: str) -> None:
        self.text = bindparam(name, type_=String())
        self.array = bindparam(name, type_=ARRAY(String))


@compiles(_Those, "sqlite")
def _of_json(element: _Those, compiler: SQLCompiler, **options: Any) -> str:
    parameter = compiler.process(element.text, **options)
    return f"(SELECT value FROM json_each({parameter}))"  # noqa: S608 - the place of a parameter, no value


@compiles(_Those, "postgresql")
def _of_array(element: _Those, compiler: SQLCompiler, **options: Any) -> str:
    return f"(SELECT unnest({compiler.process(element.array, **options)}))"
