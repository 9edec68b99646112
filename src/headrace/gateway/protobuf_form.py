"""The messages of the Open Inference Protocol as gRPC carries them, from and to those of `/v2`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from tritonclient.grpc import service_pb2 as messages

from headrace.errors import Malformed
from headrace.serving.tensors import (
    BINARY_SIZE,
    BYTES,
    DTYPES,
    Entry,
    Question,
    Scalar,
    Tensor,
    entries_of,
    joined,
    reply_in,
)

RAW_OUTPUTS = "binary_data_output"
# Half floats have no list of their own: they come raw.
_LISTS: Mapping[str, str] = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", BYTES: "bytes_contents",
}  # fmt: skip


def question_body(asked: Any) -> tuple[bytes, int | None]:
    """A `ModelInferRequest` as the body of `/v2`, and the length of its JSON where tensors follow it.

    Raises:
        Malformed: tensors come both raw and listed, or a list does not fit its type.
    """
    raw = list(asked.raw_input_contents)
    if raw and len(raw) != len(asked.inputs):
        raise Malformed(
            f"There are {len(asked.inputs)} inputs and {len(raw)} raw contents.", remedy="Send one for each, or none."
        )
    entries, blobs = [], []
    for number, each in enumerate(asked.inputs):
        blob = raw[number] if raw else b"".join(_listed(each))
        parameters = _parameters(each.parameters) | {BINARY_SIZE: len(blob)}
        entries.append(Entry(each.name, each.datatype, list(each.shape), parameters))
        blobs.append(blob)
    wanted = [Entry(each.name, parameters=_parameters(each.parameters)) for each in asked.outputs]
    parameters = _parameters(asked.parameters) | {RAW_OUTPUTS: True}
    question = Question(entries, id=asked.id, parameters=parameters, outputs=wanted)
    return joined(question, b"".join(blobs))


def answer_message(body: bytes, header_length: int | None) -> Any:
    """The answer of `/v2` as a `ModelInferResponse`, its tensors raw."""
    reply, tensors = reply_in(body, header_length)
    message = messages.ModelInferResponse(model_name=reply.model_name, model_version=reply.model_version, id=reply.id)
    _tell(message.parameters, reply.parameters)
    for tensor in tensors:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        _tell(output.parameters, tensor.parameters)
        message.raw_output_contents.append(entries_of([tensor], binary=[True])[1])
    return message


def metadata_message(kind: Any, body: bytes) -> Any:
    """The metadata of a server or of a model as its message; what only `/v2` knows is left out."""
    told: dict[str, Any] = msgspec.json.decode(body)
    known = {field.name for field in kind.DESCRIPTOR.fields}
    message = kind(**{name: value for name, value in told.items() if name in known - {"inputs", "outputs"}})
    for side in ("inputs", "outputs"):
        for each in told.get(side, ()) if side in known else ():
            getattr(message, side).add(**each)
    return message


def _listed(tensor: Any) -> Iterator[bytes]:
    field = _LISTS.get(tensor.datatype)
    values = [] if field is None else getattr(tensor.contents, field)
    if field is None:
        raise Malformed(f"{tensor.name!r} is {tensor.datatype!r}.", remedy="Send its contents raw.")
    if tensor.datatype == BYTES:
        yield entries_of([Tensor(tensor.name, (len(values),), elements=tuple(values))], binary=[True])[1]
        return
    try:
        yield np.array(list(values), dtype=DTYPES[tensor.datatype]).tobytes()
    except OverflowError as error:
        raise Malformed(f"{tensor.name!r} is no {tensor.datatype}: {error}.", remedy="Send its own type.") from error


def _parameters(given: Mapping[str, Any]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in given.items():
        kind = value.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(value, kind)
    return found


def _tell(target: Any, parameters: Mapping[str, Scalar]) -> None:
    for name, value in parameters.items():
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            target[name].int64_param = value
        elif isinstance(value, float):
            target[name].double_param = value
        else:
            target[name].string_param = value
