"""Small real ONNX graphs, made here: a layer or two of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, CLASSES = 48, 5


def write_mlp(path: Path, *, int8: bool = False, width: int = WIDTH, external: bool = False) -> Path:
    """`x` (rows, width) float32 to `scores` (rows, 5) float32; with `int8` the first layer quantizes dynamically."""
    random = np.random.default_rng(7)
    first = random.standard_normal((width, 96)).astype(np.float32) / 7
    second = random.standard_normal((96, CLASSES)).astype(np.float32) / 10
    constants = [numpy_helper.from_array(second, "second")]
    if int8:
        scale = np.float32(np.abs(first).max() / 63)
        constants += [
            numpy_helper.from_array(np.rint(first / scale).astype(np.int8), "first"),
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            numpy_helper.from_array(np.array(0, np.int8), "zero"),
        ]
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"]),
            helper.make_node("MatMulInteger", ["q", "first", "q_zero", "zero"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["q_scale", "scale"], ["step"]),
            helper.make_node("Mul", ["real", "step"], ["hidden"]),
        ]
    else:
        constants.append(numpy_helper.from_array(first, "first"))
        nodes = [helper.make_node("MatMul", ["x", "first"], ["hidden"])]
    nodes += [
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", CLASSES])],
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save_model(
        model, str(path), save_as_external_data=external, location=f"{path.name}.data", size_threshold=0
    )  # fmt: skip
    return path
