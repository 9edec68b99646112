"""OnnxModel: an ONNX graph held once in memory, whose answer to a row never depends on the rows beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from headrace.errors import InvalidInput, UnreadableArtifact
from headrace.serving.shared_work import Shelf

Array = npt.NDArray[Any]
Row = Mapping[str, Array]

# It takes its scale over all that it is given: with two rows in a run, each answer depends on the other.
_SCALES_OVER_ALL = b"DynamicQuantizeLinear"
_DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    dtype: Any
    shape: tuple[int, ...] | None
    """That of one row; None when it is not fixed."""


class OnnxModel:
    """Runs a graph whose inputs and outputs have the row as their first axis; from several threads at once.

    Up to `rows` rows share a run, and every run has exactly that shape, filled up where fewer were asked for: kernels
    are chosen by shape, so another shape may differ in the last bits. Rows of a graph that quantizes dynamically, or
    whose rows are not of one fixed shape, are run one by one. Whether a row's bytes are the same in every place and in
    any company is tried out when the model is opened; where they are not, its rows are run one by one too.
    """

    def __init__(self, path: Path, *, rows: int = 1, prepack: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # A plan of memory is kept for each shape: worth it where every run has one and the same.
        options.enable_mem_pattern = rows > 1
        if not prepack:
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            content = path.read_bytes()
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # The runtime's own errors share no class but this.
        except Exception as error:
            raise UnreadableArtifact(
                f"The model {path.name} cannot be opened: {error}", remedy="Register it again."
            ) from error
        self._inputs = [_input(each) for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]
        may_share = _SCALES_OVER_ALL not in content and all(each.shape is not None for each in self._inputs)
        self.rows = rows if rows > 1 and may_share and self._is_same_in_any_company(rows) else 1
        """How many rows share a run."""

    @classmethod
    def shared(cls, path: Path, shelf: Shelf, *, rows: int = 1, prepack: bool = True) -> OnnxModel:
        """The model, opened once in this process for all replicas and releases that hold the same content.

        Weights in an external data file are mapped into memory, so several processes share them; without `prepack`
        they are used as they lie there, which is slower by about a tenth and takes the least memory.
        """
        digest = _digest(path)
        size = sum(each.stat().st_size for each in _files(path))
        key = f"onnx:{digest}:{rows}:{prepack}"
        return shelf.shared(key, lambda: cls(path, rows=rows, prepack=prepack), size_bytes=size)

    def run(self, rows: Sequence[Row]) -> list[dict[str, Array]]:
        """The outputs of each row, without the row's axis, in order.

        Raises:
            InvalidInput: a row is not what the graph takes; the message names the input.
        """
        if self.rows == 1:
            return [self._of_run({name: row[name][None] for name in row}, 1)[0] for row in rows]
        answers: list[dict[str, Array]] = []
        for start in range(0, len(rows), self.rows):
            part = rows[start : start + self.rows]
            answers += self._of_run(self._filled(part), len(part))
        return answers

    def _filled(self, rows: Sequence[Row]) -> dict[str, Array]:
        """The inputs of a run of `self.rows`: places that nobody asked for are zeros."""
        feeds: dict[str, Array] = {}
        for each in self._inputs:
            feed = feeds[each.name] = np.zeros((self.rows, *(each.shape or ())), each.dtype)
            for place, row in enumerate(rows):
                value = row.get(each.name)
                # Numpy would turn a value into the type and the shape of its place, and the answer would be another's.
                if value is None or value.dtype != each.dtype or value.shape != each.shape:
                    raise _unfit(each, value)
                feed[place] = value
        return feeds

    def _of_run(self, feeds: dict[str, Array], count: int) -> list[dict[str, Array]]:
        try:
            outputs = self._session.run(self._outputs, feeds)
        except (onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, ValueError) as error:
            raise InvalidInput(
                f"The model's inputs ({', '.join(feeds)}) do not fit: {error}", remedy="Check names, types, shapes."
            ) from error
        return [
            {name: output[number] for name, output in zip(self._outputs, outputs, strict=True)}
            for number in range(count)
        ]

    def _is_same_in_any_company(self, rows: int) -> bool:
        random = np.random.default_rng(0)
        one = {each.name: _random_row(each, random, 1.0) for each in self._inputs}
        seen: set[bytes] = set()
        for place in range(rows):
            feeds = {
                each.name: np.stack(
                    [
                        one[each.name] if number == place else _random_row(each, random, 10.0**number)
                        for number in range(rows)
                    ]
                )
                for each in self._inputs
            }
            answer = self._of_run(feeds, rows)[place]
            seen.add(b"".join(np.ascontiguousarray(answer[name]).tobytes() for name in self._outputs))
        return len(seen) == 1


def _input(given: Any) -> _Input:
    shape = tuple(given.shape[1:])
    is_fixed = bool(given.shape) and all(isinstance(length, int) for length in shape) and given.type in _DTYPES
    return _Input(given.name, _DTYPES.get(given.type), shape if is_fixed else None)


def _unfit(each: _Input, value: Array | None) -> InvalidInput:
    given = "is missing" if value is None else f"has {value.dtype} of the shape {value.shape}"
    return InvalidInput(
        f"The model's input {each.name!r} {given}, and takes {each.dtype} of the shape {each.shape}.",
        remedy="Check names, types, shapes.",
    )


def _random_row(each: _Input, random: np.random.Generator, scale: float) -> Array:
    values: Array = (random.standard_normal(each.shape) * min(scale, 1e3)).astype(np.float64)
    if np.issubdtype(each.dtype, np.floating):
        return values.astype(each.dtype)
    # Numbers of words or classes: small ones exist in every vocabulary.
    return (np.abs(values) > 0.5).astype(each.dtype)


def _files(path: Path) -> list[Path]:
    """The graph, and what lies beside it under its name: its weights."""
    return sorted(each for each in path.parent.glob(f"{path.name}*") if each.is_file())


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(path):
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise UnreadableArtifact(f"The model file {file.name} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()
