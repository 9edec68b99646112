"""Pipeline: services joined into endpoints, as an author writes them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from headrace.errors import InvalidConfiguration
from headrace.serving.service import Service

PipelineType = TypeVar("PipelineType", bound=type)


@dataclass(frozen=True, slots=True)
class Route:
    """One public method of a pipeline: its path `pipeline/endpoint` and what it takes and gives."""

    path: str
    method: str
    argument_name: str
    argument: Any
    answer: Any
    summary: str


def pipeline(cls: PipelineType) -> PipelineType:
    """Marks an ordinary class as a pipeline: its public async methods of one argument are endpoints.

    Raises:
        InvalidConfiguration: it has none, or one that does not take exactly one argument.
    """
    routes = routes_of(cls)
    if not routes:
        raise InvalidConfiguration(
            f"The pipeline {cls.__name__} has no public async method.", remedy="Write one: it becomes an endpoint."
        )
    return cls


def routes_of(cls: type) -> tuple[Route, ...]:
    """The endpoints of a pipeline in the order in which they are written."""
    return tuple(
        _route(cls, name, function)
        for name, function in vars(cls).items()
        if not name.startswith("_") and inspect.iscoroutinefunction(function)
    )


def services_of(instance: object) -> dict[str, Service]:
    """The services that a pipeline holds, by attribute name."""
    return {name: value for name, value in vars(instance).items() if isinstance(value, Service)}


def kebab(name: str) -> str:
    """`DocumentAnalyzer` and `document_analyzer` as `document-analyzer`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def _route(cls: type, name: str, function: Callable[..., Awaitable[Any]]) -> Route:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if len(parameters) != 1:
        raise InvalidConfiguration(
            f"{cls.__name__}.{name} takes {len(parameters)} arguments, and an endpoint takes one.",
            remedy="Put them into one dataclass.",
        )
    hints = get_type_hints(function)
    argument = parameters[0].name
    if argument not in hints:
        raise InvalidConfiguration(
            f"{cls.__name__}.{name} does not say the type of {argument!r}.", remedy="Annotate it: requests are checked."
        )
    return Route(
        path=f"{kebab(cls.__name__)}/{kebab(name)}",
        method=name,
        argument_name=argument,
        argument=hints[argument],
        answer=hints.get("return", Any),
        summary=(inspect.getdoc(function) or inspect.getdoc(cls) or "").partition("\n")[0],
    )
