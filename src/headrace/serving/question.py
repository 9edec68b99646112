"""How the bytes of a request become the question of an endpoint, now or later."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import msgspec

from headrace.errors import Malformed
from headrace.serving.pipeline import Route
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
        question = _decoder(route).decode(upload.content)
    except msgspec.DecodeError as error:
        raise Malformed(f"The question of {route.path} does not parse: {error}.", remedy="See /docs.") from error
    return question if is_object(route.argument) else getattr(question, route.argument_name)


def is_object(argument: Any) -> bool:
    """Whether an argument is a JSON object by itself; any other is wrapped into one, under its name."""
    return isinstance(argument, type) and (dataclasses.is_dataclass(argument) or issubclass(argument, msgspec.Struct))


def question_type(route: Route) -> Any:
    """The type of the JSON body."""
    if is_object(route.argument):
        return route.argument
    return msgspec.defstruct(f"{route.method.title()}Question", [(route.argument_name, route.argument)])


@lru_cache(maxsize=256)
def _decoder(route: Route) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(question_type(route))
