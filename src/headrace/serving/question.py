"""How the bytes of a request become the question of an endpoint, now or later."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from headrace.errors import InvalidConfiguration, Malformed
from headrace.serving.pipeline import Route, routes_of
from headrace.serving.plain import is_model, made, strangers_in
from headrace.serving.upload import Upload


def question_of(route: Route, upload: Upload) -> Any:
    """The argument of the endpoint: made from a file where it can be, else decoded from JSON.

    Raises:
        Malformed: the JSON is broken or of another type.
        InvalidInput: the file cannot be the argument.
    """
    from_upload = getattr(route.argument, "from_upload", None)
    if from_upload is not None:
        return from_upload(upload)
    try:
        question = decoder_of(route).decode(upload.content)
    except msgspec.DecodeError as error:
        raise Malformed(f"The question of {route.path} does not parse: {error}.", remedy="See /docs.") from error
    return question if is_object(route.argument) else getattr(question, route.argument_name)


def is_object(argument: Any) -> bool:
    """Whether an argument is a JSON object by itself; any other is wrapped into one, under its name."""
    if not isinstance(argument, type):
        return False
    if is_model(argument):
        # A model may also stand for a single value.
        return not getattr(argument, "__pydantic_root_model__", False)
    return dataclasses.is_dataclass(argument) or issubclass(argument, msgspec.Struct)


def question_type(route: Route) -> Any:
    """The type of the JSON body."""
    if is_object(route.argument):
        return route.argument
    name, kind = f"{route.method.title()}Question", (route.argument_name, route.argument)
    if route.default is inspect.Parameter.empty:
        return msgspec.defstruct(name, [kind], forbid_unknown_fields=True)
    default = msgspec.field(default_factory=lambda: route.default)
    return msgspec.defstruct(name, [(*kind, default)], forbid_unknown_fields=True)


def checked_routes(pipelines: Sequence[type]) -> list[Route]:
    """The endpoints of all pipelines; raises `InvalidConfiguration` where two have one path, or one cannot be asked."""
    routes = [route for pipeline in pipelines for route in routes_of(pipeline)]
    known = set[str]()
    for route in routes:
        if route.path in known:
            raise InvalidConfiguration(
                f"Two endpoints would answer at /v1/{route.path}.", remedy="Rename one of the pipelines or methods."
            )
        known.add(route.path)
        _check_question(route)
    return routes


def _check_question(route: Route) -> None:
    """Raises `InvalidConfiguration` where no body could ever become the argument of the endpoint."""
    if hasattr(route.argument, "from_upload"):
        return
    remedy = "Take str, numbers, lists, a dataclass, a pydantic model, an array, or a class with `from_upload`."
    try:
        strangers = [getattr(each, "__name__", str(each)) for each in strangers_in(question_type(route))]
    except TypeError as error:
        raise InvalidConfiguration(
            f"{route.path} takes {route.argument_name}, and JSON cannot be read as that: {error}.", remedy=remedy
        ) from error
    if strangers:
        raise InvalidConfiguration(
            f"{route.path} takes {route.argument_name}, and JSON cannot be read as {strangers[0]}.", remedy=remedy
        )


@lru_cache(maxsize=256)
def decoder_of(route: Route) -> msgspec.json.Decoder[Any]:
    """What reads the JSON body."""
    return msgspec.json.Decoder(question_type(route), dec_hook=made)
