"""Prepared: statements that run for every job, compiled once; their parameters go to the driver as they are.

SQLAlchemy builds, compares and renders a statement anew for each execution, which costs more than SQLite needs to run
it. What is executed thousands of times a second is therefore compiled beforehand; everything else is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ClauseElement, Connection, CursorResult, String, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.compiler import SQLCompiler


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
        """Once for each row of parameters; not at all without any."""
        if rows:
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


def among(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Whether `column` is one of `those(...)`, which are one parameter however many they are."""
    return column.op("IN", is_comparison=True)(_Those(name))


def those(connection: Connection, texts: Collection[str]) -> Any:
    """The parameter of `among`."""
    return msgspec.json.encode(list(texts)).decode() if connection.dialect.name == "sqlite" else list(texts)


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
