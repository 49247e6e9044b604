"""The fastest that a model's matrix products alone can be: nothing but its linear layers' shapes, as one graph.

It is what a perfect engine on this runtime would reach if attention, norms and activations cost nothing, so a share
of it says how much is left to win. All weights are distinct, as in the model, so that they pass through the caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from umekomi.types import Precision

RUN_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """One linear layer."""

    in_features: int
    out_features: int


def layer_shapes(config: Mapping[str, Any]) -> list[Shape]:
    """The linear layers of a BERT-like ``config.json``, in order: query-key-value, output, up and down."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    layer = [Shape(hidden, 3 * hidden), Shape(hidden, hidden), Shape(hidden, inner), Shape(inner, hidden)]
    return layer * int(config["num_hidden_layers"])


class Ceiling:
    """A session of bare products, run by ``threads`` threads of one core each."""

    def __init__(self, shapes: list[Shape], *, precision: Precision, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = build_products(shapes, precision)
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(threads)
        dtype = np.uint8 if precision == "int8" else np.float32
        self._inputs = {
            _input_name(width): np.ones((RUN_TOKENS, width), dtype)
            for width in {shape.in_features for shape in shapes}
        }

    def run(self, tokens: int) -> None:
        """Multiply ``tokens`` tokens, in runs of `RUN_TOKENS` and a shorter one."""
        sizes = [RUN_TOKENS] * (tokens // RUN_TOKENS) + [tokens % RUN_TOKENS]
        list(self._pool.map(self._run_once, [size for size in sizes if size]))

    def _run_once(self, size: int) -> None:
        self._session.run(None, {name: array[:size] for name, array in self._inputs.items()})


def build_products(shapes: list[Shape], precision: Precision) -> onnx.ModelProto:
    """A graph with one product for each shape. One row of each is kept, so that none can be left out."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights = [numpy_helper.from_array(np.array(0, np.int64), "first")]
    for index, shape in enumerate(shapes):
        size = (shape.in_features, shape.out_features)
        array = rng.integers(-127, 128, size, np.int8) if precision == "int8" else rng.random(size, np.float32)
        weights.append(numpy_helper.from_array(array, f"w{index}"))
        kind = "MatMulInteger" if precision == "int8" else "MatMul"
        nodes.append(helper.make_node(kind, [_input_name(shape.in_features), f"w{index}"], [f"product{index}"]))
        nodes.append(helper.make_node("Gather", [f"product{index}", "first"], [f"row{index}"]))
    number = TensorProto.INT32 if precision == "int8" else TensorProto.FLOAT
    rows = [
        helper.make_tensor_value_info(f"row{index}", number, [shape.out_features])
        for index, shape in enumerate(shapes)
    ]
    graph = helper.make_graph(nodes, "products", list(_inputs(shapes, precision)), rows, initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _inputs(shapes: list[Shape], precision: Precision) -> Iterator[onnx.ValueInfoProto]:
    number = TensorProto.UINT8 if precision == "int8" else TensorProto.FLOAT
    for width in sorted({shape.in_features for shape in shapes}):
        yield helper.make_tensor_value_info(_input_name(width), number, ["tokens", width])


def _input_name(width: int) -> str:
    return f"x{width}"
