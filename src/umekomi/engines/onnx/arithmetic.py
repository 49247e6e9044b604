"""Number formats of the linear layers and the word table, as interchangeable strategies: fp32 and int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.onnx.graph import MICROSOFT, Graph, Value
from umekomi.types import Precision

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """One linear layer's numbers: ``matrix`` ``(out, in)`` and ``bias`` ``(out,)``, float32."""

    name: str
    matrix: Matrix
    bias: Matrix | None


class Arithmetic(Protocol):
    """How linear layers are written. States are float32 ``(tokens, features)`` on both sides."""

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        """``x · matrixᵀ + bias``: ``(tokens, in)`` to ``(tokens, out)``."""
        ...

    def rows(self, graph: Graph, ids: Value, name: str, table: Matrix) -> Value:
        """Rows of ``table`` by ``ids``: ``(tokens,)`` to ``(tokens, features)``."""
        ...


class Float32:
    """Everything as it is."""

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        matrix = graph.weight(f"{weights.name}.weight", weights.matrix)
        bias = () if weights.bias is None else (graph.weight(f"{weights.name}.bias", weights.bias),)
        return graph.op("Gemm", x, matrix, *bias, transB=1)

    def rows(self, graph: Graph, ids: Value, name: str, table: Matrix) -> Value:
        return graph.op("Gather", graph.weight(name, table), ids)


class Int8:
    """int8 weights with a scale for each output, uint8 activations with a scale for each token.

    A scale over the whole batch would be a little faster, but then a text's vector depends on its companions
    (cosine 0.998 between batchings of multilingual-e5-small, 2026-11-21); with a scale for each token it does not.
    The activations are unsigned, around 128: the runtime has no fast path for signed ones.
    """

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        quantized, row_scale = _quantize_activations(graph, x)
        matrix, scale = _quantize_rows(weights.matrix)
        product = graph.op(
            "MatMulIntegerToFloat",
            quantized,
            graph.weight(f"{weights.name}.weight", matrix.T),
            graph.constant(1.0, np.float32),
            graph.weight(f"{weights.name}.scale", scale),
            graph.constant(_ZERO_POINT, np.uint8),
            domain=MICROSOFT,
        )
        result = graph.op("Mul", product, row_scale)
        if weights.bias is None:
            return result
        return graph.op("Add", result, graph.weight(f"{weights.name}.bias", weights.bias))

    def rows(self, graph: Graph, ids: Value, name: str, table: Matrix) -> Value:
        matrix, scale = _quantize_rows(table)
        integers = graph.op("Gather", graph.weight(name, matrix), ids)
        scales = graph.op("Gather", graph.weight(f"{name}.scale", scale[:, None]), ids)
        return graph.op("Mul", graph.op("Cast", integers, to=1), scales)


ARITHMETICS: Mapping[Precision, Arithmetic] = {"fp32": Float32(), "int8": Int8()}

_ZERO_POINT = 128
_STEPS = 127
_LEAST_SCALE = 1e-12
"""Keeps a row of zeros from dividing by zero; far under any scale that occurs."""


def _quantize_activations(graph: Graph, x: Value) -> tuple[Value, Value]:
    """uint8 ``(tokens, features)`` around 128, and float32 scales ``(tokens, 1)``."""
    largest = graph.op("ReduceMax", graph.op("Abs", x), graph.constant([1], np.int64), keepdims=1)
    scale = graph.op("Mul", largest, graph.constant(1 / _STEPS, np.float32))
    scale = graph.op("Max", scale, graph.constant(_LEAST_SCALE, np.float32))
    flat = graph.op("Squeeze", scale, graph.constant([1], np.int64))
    zero_points = graph.op("Expand", graph.constant(_ZERO_POINT, np.uint8), graph.op("Shape", flat))
    return graph.op("QuantizeLinear", x, flat, zero_points, axis=0), scale


def _quantize_rows(matrix: Matrix) -> tuple[NDArray[np.int8], Matrix]:
    """int8 ``(rows, columns)`` and float32 scales ``(rows,)``, symmetric."""
    scale = np.abs(matrix).max(axis=1) / _STEPS
    scale = np.maximum(scale, _LEAST_SCALE, dtype=np.float32)
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale
