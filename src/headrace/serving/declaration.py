"""Declaration: what an author wrote as an endpoint, looked at where it is written, so that no caller finds it wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import InvalidConfiguration
from headrace.serving.hints import hints_in

_BY_PLACE = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


def is_async(attribute: object) -> bool:
    """Whether it is an async function, also within a decorator that keeps its name (`functools.wraps`)."""
    return callable(attribute) and inspect.iscoroutinefunction(inspect.unwrap(attribute))


def check_is_endpoint(owner: type, name: str, attribute: object) -> None:
    """Raises `InvalidConfiguration` for what its author may take for an endpoint, and is none."""
    place = f"{owner.__name__}.{name}"
    if isinstance(attribute, (staticmethod, classmethod)) and is_async(attribute.__func__):
        kind = "static method" if isinstance(attribute, staticmethod) else "class method"
        raise InvalidConfiguration(
            f"{place} is a {kind}, and an endpoint is an ordinary method.",
            remedy=f"Write it with self, or call it _{name}: then it is none.",
        )
    if callable(attribute) and inspect.isasyncgenfunction(inspect.unwrap(attribute)):
        raise InvalidConfiguration(
            f"{place} yields its answer piece by piece, and an endpoint gives one.",
            remedy=f"Return a list, or call it _{name}: then it is no endpoint.",
        )


def argument_of(owner: type, name: str, function: Callable[..., Any]) -> inspect.Parameter:
    """The one argument that an endpoint takes; raises `InvalidConfiguration` where it takes none, or several."""
    place = f"{owner.__name__}.{name}"
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if len(parameters) != 1:
        raise InvalidConfiguration(
            f"{place} takes {len(parameters)} arguments, and an endpoint takes one.",
            remedy=f"Put them into one dataclass; or call it _{name}: then it is no endpoint.",
        )
    if parameters[0].kind not in _BY_PLACE:
        raise InvalidConfiguration(
            f"{place} does not take its argument by place.", remedy=f"Write it as {name}(self, question)."
        )
    return parameters[0]


def hints_of(owner: type, name: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    """The types that its annotations name; raises `InvalidConfiguration` where one names nothing."""
    try:
        return hints_in(function)
    except NameError as error:
        raise InvalidConfiguration(
            f"The annotations of {owner.__name__}.{name} name {error.name!r}, which its module does not have.",
            remedy="Import it at the top of the module, and not for type checking alone.",
        ) from error
