"""How arguments and answers cross the border to a guarded process: msgpack by their annotated types, never pickle.

The worker has read untrusted bytes, so what it sends back is decoded as data of the expected type or refused. Arrays
travel as raw bytes with their dtype and shape in an extension type.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args

import msgspec
import numpy as np

from headrace.serving.hints import hints_in
from headrace.serving.plain import is_model, made, plain
from headrace.serving.service import Method

ARRAY = 1
# What the decoder and the arrays raise besides a DecodeError: text that is no UTF-8, shapes that are none, a lone Ext.
_DAMAGED = (ValueError, IndexError, TypeError, OverflowError, NotImplementedError, RecursionError)
_DTYPES = frozenset({"<i4", "<i8", "<f4", "<f8", "|u1", "<u4", "|b1"})


class Codec:
    """Encodes and decodes values of one annotated type."""

    def __init__(self, annotation: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_encoded)
        self._decoder = msgspec.msgpack.Decoder(annotation, dec_hook=made, ext_hook=_array)

    def encode(self, value: object) -> bytes:
        """The bytes of `value`."""
        return self._encoder.encode(value)

    def decode(self, frame: bytes | bytearray | memoryview) -> Any:
        """The value in `frame`; raises `msgspec.DecodeError` when it is of another type, or of none."""
        try:
            return self._decoder.decode(frame)
        except _DAMAGED as error:
            raise msgspec.ValidationError(f"{type(error).__name__}: {error}") from error


def _encoded(value: object) -> Any:
    if isinstance(value, np.ndarray):
        head = msgspec.msgpack.encode((value.dtype.str, value.shape))
        return msgspec.msgpack.Ext(ARRAY, bytes([len(head)]) + head + np.ascontiguousarray(value).tobytes())
    if is_model(type(value)):
        return value.model_dump(by_alias=True)  # type: ignore[attr-defined] # it is a model
    if isinstance(value, np.generic | Sequence):
        return plain(value)
    raise NotImplementedError(f"A {type(value).__name__} cannot cross the border of a process.")


def _array(code: int, data: memoryview) -> Any:
    if code != ARRAY:
        raise msgspec.ValidationError(f"Unknown extension {code}.")
    head_size = data[0]
    dtype, shape = msgspec.msgpack.decode(data[1 : 1 + head_size], type=tuple[str, tuple[int, ...]])
    if dtype not in _DTYPES:
        raise msgspec.ValidationError(f"Arrays of {dtype} are not accepted.")
    if any(length < 0 for length in shape):
        raise msgspec.ValidationError(f"No array has the shape {shape}.")
    # The copy makes the array independent of the frame and writable like any other.
    return np.frombuffer(data[1 + head_size :], dtype=dtype).reshape(shape).copy()


def codecs_of(method: Method) -> tuple[Codec, Codec]:
    """Of one question and of one answer of `method`, by its annotations; anything goes where it does not say."""
    hints = hints_in(method.run)
    answer = hints.pop("return", Any)
    question = next(iter(hints.values()), Any)
    if method.max_batch_size is not None:
        question, answer = _of_list(question), _of_list(answer)
    return Codec(question), Codec(NoneType if answer is None else answer)


def _of_list(annotation: Any) -> Any:
    return next(iter(get_args(annotation)), Any)
