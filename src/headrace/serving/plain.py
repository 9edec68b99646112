"""Authors' own kinds of values as plain data: arrays, NumPy's numbers, and models in the manner of pydantic.

`plain`, `made` and `schema_of` are hooks of msgspec, which ask for `NotImplementedError` where a type is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

import msgspec
import numpy as np

_NUMBERS = "biuf"
_DEEPEST_SCHEMA = 8


def is_model(kind: Any) -> bool:
    """Whether values of this type are models in the manner of pydantic, which Headrace itself does not need."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_dump")


def is_known(kind: Any) -> bool:
    """Whether `made` can make a value of this type."""
    origin = get_origin(kind) or kind
    return is_model(origin) or (isinstance(origin, type) and issubclass(origin, (np.ndarray, np.generic)))


def plain(value: object) -> Any:
    """What stands for `value` in JSON; raises `NotImplementedError` where nothing does."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if is_model(type(value)):
        return value.model_dump(mode="json", by_alias=True)  # type: ignore[attr-defined] # it is a model
    if isinstance(value, Sequence):
        return list(value)
    raise NotImplementedError(f"JSON has no form for a {type(value).__name__}")


def made(kind: Any, value: Any) -> Any:
    """A value of the type `kind` from plain data.

    Raises:
        ValueError: the data is none.
        NotImplementedError: no value of this type can be made.
    """
    origin = get_origin(kind) or kind
    if is_model(origin):
        return _model(kind, value)
    if origin is np.ndarray:
        return _array(kind, value)
    if isinstance(origin, type) and issubclass(origin, np.number | np.bool_):
        return origin(value)
    if isinstance(origin, type) and isinstance(value, origin):
        return value
    raise NotImplementedError(f"Values of {kind} cannot be decoded.")


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type that `made` knows."""
    origin = get_origin(kind) or kind
    if is_model(origin):
        schema = kind.model_json_schema()
        inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}), _DEEPEST_SCHEMA)
        return inlined
    if origin is np.ndarray:
        return {"type": "array"}
    if isinstance(origin, type) and issubclass(origin, np.generic):
        return {"type": "boolean" if issubclass(origin, np.bool_) else "number"}
    raise NotImplementedError(f"There is no schema of {kind}.")


def strangers_in(kind: Any) -> Iterator[Any]:
    """The types within `kind` that no value can be made of from plain data."""
    pending, seen = [msgspec.inspect.type_info(kind)], set[int]()
    for found in pending:
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, msgspec.inspect.CustomType) and not is_known(found.cls):
            yield found.cls
        pending += _within(found)


def _within(found: Any) -> Iterator[Any]:
    """What a description of a type is made of."""
    if isinstance(found, msgspec.inspect.Type | msgspec.inspect.Field):
        for name in found.__struct_fields__:
            value = getattr(found, name)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, msgspec.inspect.Type | msgspec.inspect.Field):
                    yield each


def _model(kind: Any, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    try:
        return kind.model_validate(value)
    except ValueError as error:
        wrong = getattr(error, "errors", None)
        if wrong is None:
            raise
        # Its own text names the input, which may be long, and addresses of elsewhere.
        told = [f"{'.'.join(map(str, each['loc'])) or kind.__name__}: {each['msg']}" for each in wrong()[:5]]
        raise ValueError("; ".join(told)) from error


def _array(kind: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    arguments = get_args(get_args(kind)[1]) if len(get_args(kind)) > 1 else ()
    wanted = arguments[0] if arguments and isinstance(arguments[0], type) else None
    array = np.asarray(value)
    if array.dtype.kind not in _NUMBERS and array.size:
        raise ValueError("Expected an array of numbers, with rows of one length")
    return array if wanted is None else array.astype(wanted)


def _inlined(schema: Any, known: dict[str, Any], depth: int) -> Any:
    """The schema without references: those of its own would lead nowhere in a larger document."""
    if isinstance(schema, list):
        return [_inlined(each, known, depth) for each in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref", "")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        # A model that holds itself is described a few levels deep.
        return _inlined(known.get(reference.removeprefix("#/$defs/"), {}), known, depth - 1) if depth else {}
    inlined = {name: _inlined(each, known, depth) for name, each in schema.items()}
    if isinstance(inlined.get("properties"), dict):
        # A model takes what it does not know, unless it says that it does not.
        inlined.setdefault("additionalProperties", True)
    return inlined
