"""The encoder's ONNX graph, written from its weights: a BERT of six layers for one text at a time.

The model is that of Devlin et al. (2019). One text a run needs neither padding nor mask, and int8 scales are then
taken over that text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
OPSET = 20
# Weights keep to 7 bits: on processors without VNNI the sum of two 8-bit products may overflow its 16 bits.
WEIGHT_LEVELS = 63
DATA_FILE = "encoder.onnx.data"

Floats = npt.NDArray[np.float32]
Tensors = Mapping[str, Floats]


@dataclass(slots=True)
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    int8: bool = False

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        if all(tensor.name != name for tensor in self.tensors):
            self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, name: str, outputs: int = 1, **attributes: Any) -> str:
        names = [name] if outputs == 1 else [f"{name}.{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names[0]

    def dense(self, source: str, weight: Floats, bias: Floats, name: str) -> str:
        """`source` times `weight` (inputs, outputs) plus `bias`."""
        product = self._int8_product(source, weight, name) if self.int8 else self._product(source, weight, name)
        return self.add("Add", product, self.constant(f"{name}.bias", bias), name=f"{name}.out")

    def _product(self, source: str, weight: Floats, name: str) -> str:
        return self.add("MatMul", source, self.constant(f"{name}.weight", weight), name=f"{name}.product")

    def _int8_product(self, source: str, weight: Floats, name: str) -> str:
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / WEIGHT_LEVELS
        levels = np.rint(weight / scale).astype(np.int8)
        quantized = self.add("DynamicQuantizeLinear", source, name=f"{source}.q.{name}", outputs=3)
        stem = quantized.removesuffix(".0")
        inputs = (quantized, self.constant(f"{name}.weight", levels), f"{stem}.2")
        zero = self.constant(f"{name}.zero", np.zeros(levels.shape[1], np.int8))
        whole = self.add("MatMulInteger", *inputs, zero, name=f"{name}.whole")
        real = self.add("Cast", whole, name=f"{name}.real", to=TensorProto.FLOAT)
        step = self.add("Mul", f"{stem}.1", self.constant(f"{name}.scale", scale), name=f"{name}.step")
        return self.add("Mul", real, step, name=f"{name}.product")

    def norm(self, source: str, weights: Tensors, name: str) -> str:
        scale = self.constant(f"{name}.weight", weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", weights[f"{name}.bias"])
        return self.add("LayerNormalization", source, scale, bias, name=name, axis=-1, epsilon=EPSILON)


def write_encoder(weights: Tensors, folder: Path, *, int8: bool) -> Path:
    """Writes `encoder.onnx` and its weights beside it into `folder`; gives the path of the former.

    The graph takes `ids` (n,) int64 with n at most 512 and gives `vectors` (n, 384) float32.
    """
    graph = _Graph(int8=int8)
    states = _embedded(graph, weights)
    for number in range(LAYERS):
        states = _layer(graph, states, weights, f"encoder.layer.{number}")
    graph.add("Identity", states, name="vectors")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["tokens", WIDTH])
    body = helper.make_graph(graph.nodes, "encoder", [ids], [vectors], initializer=graph.tensors)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    path = folder / "encoder.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location=DATA_FILE, size_threshold=1024)
    return path


def _embedded(graph: _Graph, weights: Tensors) -> str:
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    # Every token is of the first segment, so its vector is added to the positions once and for all.
    placed = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    count = graph.add("Shape", "ids", name="count")
    start = graph.constant("start", np.zeros(1, np.int64))
    positions = graph.add("Slice", graph.constant("positions", placed), start, count, start, name="placed")
    total = graph.add("Add", graph.add("Gather", words, "ids", name="gathered"), positions, name="embedded")
    return graph.norm(total, weights, "embeddings.LayerNorm")


def _layer(graph: _Graph, states: str, weights: Tensors, name: str) -> str:
    mixed = _attention(graph, states, weights, name)
    out = _dense(graph, mixed, weights, f"{name}.attention.output.dense")
    attended = graph.norm(
        graph.add("Add", out, states, name=f"{name}.attended"), weights, f"{name}.attention.output.LayerNorm"
    )
    wide = _dense(graph, attended, weights, f"{name}.intermediate.dense")
    narrow = _dense(graph, graph.add("Gelu", wide, name=f"{name}.gelu"), weights, f"{name}.output.dense")
    return graph.norm(graph.add("Add", narrow, attended, name=f"{name}.sum"), weights, f"{name}.output.LayerNorm")


def _dense(graph: _Graph, source: str, weights: Tensors, name: str) -> str:
    return graph.dense(source, weights[f"{name}.weight"].T, weights[f"{name}.bias"], name)


def _attention(graph: _Graph, states: str, weights: Tensors, name: str) -> str:
    """Softmax(Q K' / sqrt(d)) V of twelve heads side by side, (n, 384)."""
    depth = WIDTH // HEADS
    own = f"{name}.attention.self"
    # The factor 1/sqrt(d) is folded into the query's weights.
    shrink = np.float32(1 / np.sqrt(depth))
    weight = [weights[f"{own}.{part}.weight"].T for part in ("query", "key", "value")]
    bias = [weights[f"{own}.{part}.bias"] for part in ("query", "key", "value")]
    joint = graph.dense(
        states,
        np.concatenate([weight[0] * shrink, *weight[1:]], axis=1),
        np.concatenate([bias[0] * shrink, *bias[1:]]),
        own,
    )
    parts = graph.constant("parts", np.array([0, 3, HEADS, depth], np.int64))
    split = graph.add("Split", graph.add("Reshape", joint, parts, name=f"{own}.parted"), name=f"{own}.s", outputs=3,
                      axis=1, num_outputs=3)  # fmt: skip
    stem = split.removesuffix(".0")
    heads = graph.constant("heads", np.array([0, HEADS, depth], np.int64))
    query, key, value = (graph.add("Reshape", f"{stem}.{i}", heads, name=f"{own}.r{i}") for i in range(3))
    query = graph.add("Transpose", query, name=f"{own}.q", perm=[1, 0, 2])
    key = graph.add("Transpose", key, name=f"{own}.k", perm=[1, 2, 0])
    value = graph.add("Transpose", value, name=f"{own}.v", perm=[1, 0, 2])
    scores = graph.add("Softmax", graph.add("MatMul", query, key, name=f"{own}.scores"), name=f"{own}.p", axis=-1)
    mixed = graph.add("MatMul", scores, value, name=f"{own}.mixed")
    mixed = graph.add("Transpose", mixed, name=f"{own}.back", perm=[1, 0, 2])
    return graph.add("Reshape", mixed, graph.constant("flat", np.array([0, WIDTH], np.int64)), name=f"{own}.flat")
