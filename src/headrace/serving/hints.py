"""Hints: the types that annotations name, with every alias written out.

`type Rows = list[str]` of Python 3.12, and NumPy's `NDArray` from 2.5 on, are names that hide what they stand for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_VALUE, _PARAMETERS = "__value__", "__type_params__"


def hints_in(annotated: Callable[..., Any] | type) -> dict[str, Any]:
    """By the names of arguments, `return` or fields; raises `NameError` where an annotation names nothing."""
    return {name: written_out(kind) for name, kind in get_type_hints(annotated).items()}


def written_out(kind: Any, *, within: tuple[Any, ...] = ()) -> Any:
    """`kind` without aliases; one that holds itself is left where it does, which is `within` it."""
    origin, arguments = get_origin(kind), get_args(kind)
    alias = kind if origin is None else origin
    if hasattr(alias, _VALUE):
        if alias in within:
            return kind
        return written_out(_meant(alias, arguments), within=(*within, alias))
    if origin is None or origin is Literal:
        return kind
    inner = tuple(written_out(each, within=within) for each in arguments)
    return kind if inner == arguments else _rebuilt(kind, origin, inner)


def _meant(alias: Any, arguments: tuple[Any, ...]) -> Any:
    """What an alias stands for, which may take its parameters in another order."""
    value = getattr(alias, _VALUE)
    if not arguments:
        return value
    given = dict(zip(getattr(alias, _PARAMETERS), arguments, strict=False))
    return value[tuple(given.get(each, Any) for each in value.__parameters__)] if value.__parameters__ else value


def _rebuilt(kind: Any, origin: Any, inner: tuple[Any, ...]) -> Any:
    if origin in (Union, UnionType):
        return reduce(operator.or_, inner)
    if origin is Annotated:
        return Annotated[inner]
    return kind.copy_with(inner) if hasattr(kind, "copy_with") else origin[inner]
