"""Tensors as the Open Inference Protocol (V2) sends them: in JSON, or after it by the binary extension."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.errors import Malformed

DTYPES: Mapping[str, str] = {
    "BOOL": "|b1", "UINT8": "|u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "|i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
BYTES = "BYTES"
BINARY_SIZE = "binary_data_size"
MOST_ELEMENTS = 100_000_000

Scalar = str | int | float | bool
Parameters = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: an array, or for BYTES the elements in row-major order."""

    name: str
    shape: tuple[int, ...]
    array: npt.NDArray[Any] | None = None
    elements: tuple[bytes, ...] = ()
    parameters: Parameters = field(default_factory=dict)

    @property
    def datatype(self) -> str:
        """As the protocol calls it."""
        return BYTES if self.array is None else DATATYPES[self.array.dtype]


class Entry(msgspec.Struct, omit_defaults=True):
    """A tensor in JSON; `data` is left out where it follows in binary."""

    name: str
    datatype: str = ""
    shape: list[int] = []
    parameters: dict[str, Scalar] = {}
    data: Any = msgspec.UNSET


class Question(msgspec.Struct, omit_defaults=True):
    """The JSON of a request."""

    inputs: list[Entry]
    id: str = ""
    parameters: dict[str, Scalar] = {}
    outputs: list[Entry] = []


class Reply(msgspec.Struct, omit_defaults=True):
    """The JSON of a response."""

    model_name: str
    outputs: list[Entry]
    model_version: str = ""
    id: str = ""
    parameters: dict[str, Scalar] = {}


_question = msgspec.json.Decoder(Question)
_reply = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


def question_in(body: bytes, header_length: int | None) -> tuple[Question, list[Tensor]]:
    """A request and its inputs; `header_length` is where its JSON ends, None when it is all of it.

    Raises:
        Malformed: it is none, or a tensor is not as long as its shape.
    """
    head, rest = _parted(body, header_length)
    question = _decoded(_question, head)
    return question, list(_tensors(question.inputs, rest))


def reply_in(body: bytes, header_length: int | None) -> tuple[Reply, list[Tensor]]:
    """A response and its outputs; raises as `question_in`."""
    head, rest = _parted(body, header_length)
    reply = _decoded(_reply, head)
    return reply, list(_tensors(reply.outputs, rest))


def entries_of(tensors: Sequence[Tensor], *, binary: Sequence[bool]) -> tuple[list[Entry], bytes]:
    """The JSON entries of `tensors`, and the bytes that follow the JSON for those that are sent in `binary`."""
    entries: list[Entry] = []
    blobs: list[bytes] = []
    for tensor, is_binary in zip(tensors, binary, strict=True):
        entry = Entry(tensor.name, tensor.datatype, list(tensor.shape), dict(tensor.parameters))
        if is_binary:
            blob = _blob(tensor)
            entry.parameters[BINARY_SIZE] = len(blob)
            blobs.append(blob)
        else:
            entry.data = _listed(tensor)
        entries.append(entry)
    return entries, b"".join(blobs)


def joined(message: Question | Reply, rest: bytes) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where something follows it."""
    head = _encoder.encode(message)
    return (head + rest, len(head)) if rest else (head, None)


def _parted(body: bytes, header_length: int | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not 0 <= header_length <= len(body):
        raise Malformed(
            f"The JSON is said to have {header_length} bytes, and the body has {len(body)}.", remedy="Send all of it."
        )
    return body[:header_length], memoryview(body)[header_length:]


def _decoded(decoder: msgspec.json.Decoder[Any], head: bytes) -> Any:
    try:
        return decoder.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"This is no message of the protocol: {error}.", remedy="See /docs for its form.") from error


def _tensors(entries: Sequence[Entry], rest: memoryview) -> Iterator[Tensor]:
    for entry in entries:
        if any(length < 0 for length in entry.shape):
            raise Malformed(f"{entry.name!r} has the shape {entry.shape}.", remedy="Lengths are 0 or more.")
        count = math.prod(entry.shape)
        if count > MOST_ELEMENTS:
            raise Malformed(f"{entry.name!r} has {count} elements.", remedy=f"Send at most {MOST_ELEMENTS}.")
        size = entry.parameters.get(BINARY_SIZE)
        parameters = {name: value for name, value in entry.parameters.items() if name != BINARY_SIZE}
        if size is None:
            yield _from_list(entry, count, parameters)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
            raise Malformed(f"{entry.name!r} is said to have {size!r} bytes.", remedy="Send all of them.")
        yield _from_blob(entry, rest[:size], count, parameters)
        rest = rest[size:]


def _from_list(entry: Entry, count: int, parameters: Parameters) -> Tensor:
    values = list(_flat(entry.data)) if isinstance(entry.data, list) else []
    if len(values) != count:
        raise _wrong_length(entry, count, len(values))
    shape = tuple(entry.shape)
    if entry.datatype == BYTES:
        return Tensor(entry.name, shape, elements=tuple(map(_element, values)), parameters=parameters)
    try:
        array = np.array(values, dtype=_dtype(entry)).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed(f"{entry.name!r} is no {entry.datatype}: {error}.", remedy="Send its own type.") from error
    return Tensor(entry.name, shape, array=array, parameters=parameters)


def _from_blob(entry: Entry, blob: memoryview, count: int, parameters: Parameters) -> Tensor:
    shape = tuple(entry.shape)
    if entry.datatype == BYTES:
        elements = tuple(_elements(blob, entry.name))
        if len(elements) != count:
            raise _wrong_length(entry, count, len(elements))
        return Tensor(entry.name, shape, elements=elements, parameters=parameters)
    dtype = _dtype(entry)
    if len(blob) != count * dtype.itemsize:
        raise _wrong_length(entry, count, len(blob) // dtype.itemsize)
    # The copy is independent of the body and writable like any other array.
    return Tensor(entry.name, shape, array=np.frombuffer(blob, dtype).reshape(shape).copy(), parameters=parameters)


def _elements(blob: memoryview, name: str) -> Iterator[bytes]:
    """Each element is preceded by its length in four bytes, little-endian."""
    position = 0
    while position < len(blob):
        end = position + 4 + int.from_bytes(blob[position : position + 4], "little")
        if end > len(blob) or position + 4 > len(blob):
            raise Malformed(f"An element of {name!r} ends before its end.", remedy="Send all of it.")
        yield bytes(blob[position + 4 : end])
        position = end


def _blob(tensor: Tensor) -> bytes:
    if tensor.array is not None:
        return np.ascontiguousarray(tensor.array).tobytes()
    return b"".join(len(each).to_bytes(4, "little") + each for each in tensor.elements)


def _listed(tensor: Tensor) -> Any:
    if tensor.array is not None:
        return tensor.array.ravel().tolist()
    try:
        return [element.decode() for element in tensor.elements]
    except UnicodeDecodeError as error:
        raise Malformed(
            f"{tensor.name!r} is no text and does not fit into JSON.", remedy="Ask for it in binary."
        ) from error


def _flat(values: Any) -> Iterator[Any]:
    pending = [iter(values)]
    while pending:
        for value in pending[-1]:
            if isinstance(value, list):
                pending.append(iter(value))
                break
            yield value
        else:
            pending.pop()


def _element(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"{value!r:.40} is no text.", remedy="Elements of BYTES are texts in JSON.")
    return value.encode("utf-8", "surrogatepass")


def _dtype(entry: Entry) -> np.dtype[Any]:
    if entry.datatype not in DTYPES:
        known = ", ".join([BYTES, *DTYPES])
        raise Malformed(f"{entry.name!r} has the datatype {entry.datatype!r}.", remedy=f"There are {known}.")
    return np.dtype(DTYPES[entry.datatype])


def _wrong_length(entry: Entry, said: int, found: int) -> Malformed:
    return Malformed(
        f"{entry.name!r} has the shape {entry.shape}, which is {said} elements, and {found} came.",
        remedy="Send as many as the shape says.",
    )
