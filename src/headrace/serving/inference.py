"""The Open Inference Protocol face of a service: its methods as models that take and give tensors.

A question that is text is an element of BYTES, an array is a tensor of its type, and anything else is JSON in an
element of BYTES; answers likewise. Between Headrace and Headrace the elements are msgpack, which also carries arrays
within questions: the parameter `content_type` says so. All that the protocol does not know stands in `parameters`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import msgspec
import numpy as np

from headrace.errors import Malformed, ServiceFailed
from headrace.serving.hints import hints_in
from headrace.serving.plain import made, plain
from headrace.serving.service import Method
from headrace.serving.tensors import BYTES, DATATYPES, Tensor
from headrace.serving.wire import Codec, codecs_of

MSGPACK = "application/msgpack"
CONTENT_TYPE = "content_type"
OUTPUT = "output"
MOST_QUESTIONS = 1024
_NUMBERS: Mapping[Any, str] = {bool: "|b1", int: "<i8", float: "<f8"}


@dataclass(frozen=True, slots=True)
class Face:
    """One method as tensors: `input_name` is its argument's name; codecs are made once."""

    method: Method
    input_name: str
    question: Any
    answer: Any
    codecs: tuple[Codec, Codec]

    @property
    def input_datatype(self) -> str:
        """What the input is made of."""
        return _datatype(self.question)

    @property
    def output_datatype(self) -> str:
        """What the output is made of."""
        return _datatype(self.answer)

    def questions(self, tensor: Tensor) -> list[Any]:
        """The questions that a tensor holds.

        Raises:
            Malformed: it is not of the datatype, or an element is none of the question's type.
        """
        as_msgpack = tensor.array is None and tensor.parameters.get(CONTENT_TYPE) == MSGPACK
        if not as_msgpack and (tensor.array is None) != (self.input_datatype == BYTES):
            raise Malformed(
                f"{tensor.name!r} is {tensor.datatype}, and {self.method.name} takes {self.input_datatype}.",
                remedy="Send it as the metadata says.",
            )
        if tensor.array is not None:
            if self.question in _NUMBERS:
                return [value.item() for value in tensor.array.ravel()]
            return list(tensor.array) if self.method.max_batch_size is not None else [tensor.array]
        if len(tensor.elements) > MOST_QUESTIONS:
            raise Malformed(f"{len(tensor.elements)} questions are too many.", remedy=f"Send at most {MOST_QUESTIONS}.")
        if as_msgpack:
            return [_decoded(self.codecs[0], element) for element in tensor.elements]
        return [_from_element(self.question, element) for element in tensor.elements]

    def answers(self, values: Sequence[Any], *, as_msgpack: bool) -> Tensor:
        """The output that holds `values`, one for each question."""
        if as_msgpack:
            elements = tuple(self.codecs[1].encode(value) for value in values)
            return Tensor(OUTPUT, (len(elements),), elements=elements, parameters={CONTENT_TYPE: MSGPACK})
        if self.output_datatype != BYTES:
            array = np.asarray(values, dtype=_NUMBERS.get(self.answer))
            if self.method.max_batch_size is None and isinstance(values[0], np.ndarray):
                array = np.asarray(values[0])
            if array.dtype not in DATATYPES:
                raise ServiceFailed(f"{self.method.title} gave an array of {array.dtype}, which the protocol lacks.")
            return Tensor(OUTPUT, array.shape, array=array)
        elements = tuple(map(_element, values))
        return Tensor(OUTPUT, (len(elements),), elements=elements)

    def asked(self, question: Any, *, as_msgpack: bool) -> Tensor:
        """The input that holds one question: the way of a caller."""
        if as_msgpack:
            element = self.codecs[0].encode(question)
            return Tensor(self.input_name, (1,), elements=(element,), parameters={CONTENT_TYPE: MSGPACK})
        if self.question in _NUMBERS:
            return Tensor(self.input_name, (1,), array=np.asarray([question], dtype=_NUMBERS[self.question]))
        if isinstance(question, np.ndarray):
            array = question[np.newaxis] if self.method.max_batch_size is not None else question
            return Tensor(self.input_name, array.shape, array=array)
        return Tensor(self.input_name, (1,), elements=(_element(question),))

    def answered(self, tensor: Tensor) -> Any:
        """The answer to one question that an output holds; raises `ServiceFailed` when it holds none."""
        try:
            if tensor.array is not None:
                is_row = self.method.max_batch_size is not None or self.answer in _NUMBERS
                value = tensor.array[0] if is_row else tensor.array
                return value.item() if self.answer in _NUMBERS else value
            (element,) = tensor.elements
            if tensor.parameters.get(CONTENT_TYPE) == MSGPACK:
                return self.codecs[1].decode(element)
            return _from_element(self.answer, element)
        except (ValueError, IndexError, Malformed) as error:
            raise ServiceFailed(f"{self.method.title} gave something else than one {self.answer}.") from error


def face_of(method: Method) -> Face:
    """By the annotations of the method."""
    name = list(inspect.signature(method.run).parameters)[1]
    hints = hints_in(method.run)
    question, answer = hints.get(name, Any), hints.get("return", Any)
    if method.max_batch_size is not None:
        question, answer = (next(iter(get_args(each)), Any) for each in (question, answer))
    return Face(method, name, question, answer, codecs_of(method))


def _datatype(kind: Any) -> str:
    if (get_origin(kind) or kind) is np.ndarray:
        arguments = get_args(get_args(kind)[1]) if len(get_args(kind)) > 1 else ()
        try:
            return DATATYPES.get(np.dtype(arguments[0]), "FP32") if arguments else "FP32"
        except TypeError:
            return "FP32"
    return DATATYPES[np.dtype(_NUMBERS[kind])] if kind in (bool, int, float) else BYTES


def _element(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else msgspec.json.encode(value, enc_hook=plain)


def _from_element(kind: Any, element: bytes) -> Any:
    if kind is bytes:
        return element
    try:
        return element.decode() if kind is str else msgspec.json.decode(element, type=kind, dec_hook=made)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, NotImplementedError, RecursionError) as error:
        raise Malformed(f"An element is no {getattr(kind, '__name__', kind)}: {error}.", remedy="See /docs.") from error


def _decoded(codec: Codec, element: bytes) -> Any:
    try:
        return codec.decode(element)
    except msgspec.DecodeError as error:
        raise Malformed(f"An element is not of the question's type: {error}.", remedy="Is it the same code?") from error
