"""Pipeline: services joined into endpoints, as an author writes them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.errors import InvalidConfiguration
from headrace.serving.declaration import argument_of, check_is_endpoint, hints_of, is_async
from headrace.serving.service import Service

PipelineType = TypeVar("PipelineType", bound=type)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One public method of a pipeline: its path `pipeline/endpoint` and what it takes and gives.

    `default` is what its argument is where a call does not name it; `inspect.Parameter.empty` where it has to.
    """

    path: str
    method: str
    argument_name: str
    argument: Any
    answer: Any
    summary: str
    default: Any = inspect.Parameter.empty


def pipeline(cls: PipelineType) -> PipelineType:
    """Marks an ordinary class as a pipeline: its public async methods of one argument are endpoints.

    Raises:
        InvalidConfiguration: it is no class, has none, or one that does not take exactly one argument.
    """
    if not isinstance(cls, type):
        raise InvalidConfiguration(
            f"{getattr(cls, '__qualname__', cls)!s} is no class, and a pipeline is one.",
            remedy="Write @pipeline above a class with public async methods.",
        )
    routes = routes_of(cls)
    if not routes:
        raise InvalidConfiguration(
            f"The pipeline {cls.__name__} has no public async method.", remedy="Write one: it becomes an endpoint."
        )
    cls.__headrace_pipeline__ = True  # type: ignore[attr-defined] # any class may be one
    return cls


def routes_of(cls: type) -> tuple[Route, ...]:
    """The endpoints of a pipeline in the order in which they are written, those of the classes that it extends first.

    Raises:
        InvalidConfiguration: a public async method cannot be an endpoint.
    """
    found: dict[str, object] = {}
    for each in reversed(cls.__mro__):
        found |= {name: attribute for name, attribute in vars(each).items() if not name.startswith("_")}
    for name, attribute in found.items():
        check_is_endpoint(cls, name, attribute)
    return tuple(
        _route(cls, name, attribute) for name, attribute in found.items() if callable(attribute) and is_async(attribute)
    )


def instance_of(cls: type) -> object:
    """A pipeline as a platform makes it; raises `InvalidConfiguration` where it cannot be made without arguments."""
    if not isinstance(cls, type):
        raise InvalidConfiguration(
            f"A platform was given an instance of {type(cls).__name__}.",
            remedy=f"Give it the class: Platform({type(cls).__name__}).",
        )
    check_is_made_without_arguments(cls)
    return cls()


def services_of(instance: object) -> dict[str, list[Service]]:
    """The services that a pipeline holds, by attribute name.

    Those in a list or a mapping are called `experts_0` or `experts_<key>`; those of a pipeline that it holds have the
    names that they have there, so that there may be several of one name.
    """
    found: dict[str, list[Service]] = {}
    pending, seen = [instance], {id(instance)}
    for each in pending:
        for name, value in _held(each):
            if isinstance(value, Service):
                same = found.setdefault(name, [])
                if not any(other is value for other in same):
                    same.append(value)
            elif getattr(type(value), "__headrace_pipeline__", False) and id(value) not in seen:
                seen.add(id(value))
                pending.append(value)
    return found


def kebab(name: str) -> str:
    """`DocumentAnalyzer` and `document_analyzer` as `document-analyzer`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def check_is_made_without_arguments(cls: type) -> None:
    """Raises `InvalidConfiguration` where the constructor of a pipeline or a service wants any."""
    needed = [
        each.name
        for each in inspect.signature(cls).parameters.values()
        if each.default is each.empty and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
    ]
    if needed:
        raise InvalidConfiguration(
            f"{cls.__name__} is made by the platform, without arguments, and wants {', '.join(needed)}.",
            remedy="Give them defaults; what is to be configured of a service are its `options`.",
        )


def _attributes(instance: object) -> Iterator[tuple[str, object]]:
    """What it holds: of its class, in slots, and of its own."""
    own = getattr(instance, "__dict__", {})
    for each in reversed(type(instance).__mro__):
        for name in vars(each):
            if name not in own and not name.startswith("__"):
                value = inspect.getattr_static(instance, name)
                yield name, getattr(instance, name, None) if inspect.ismemberdescriptor(value) else value
    yield from own.items()


def _held(instance: object) -> Iterator[tuple[str, object]]:
    """Its attributes, and what lies in those that are lists or mappings."""
    for name, value in _attributes(instance):
        yield name, value
        if isinstance(value, (list, tuple)):
            yield from ((f"{name}_{number}", each) for number, each in enumerate(value))
        elif isinstance(value, Mapping):
            yield from ((f"{name}_{key}", each) for key, each in value.items())


def _route(cls: type, name: str, function: Callable[..., Awaitable[Any]]) -> Route:
    parameter, hints = argument_of(cls, name, function), hints_of(cls, name, function)
    argument = parameter.name
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
        default=parameter.default,
    )
