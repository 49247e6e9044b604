"""Number formats of the linear layers and the word table, as interchangeable strategies: fp32 and int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from umekomi.engines.onnx.graph import MICROSOFT, Graph, Value

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """One linear layer: ``matrix`` ``(out, in)`` and ``bias`` ``(out,)``, float32, and what is known of its input.

    after_norm  the input comes straight from a norm
    floor       no input lies under ``-floor``; None where that is not known
    """

    name: str
    matrix: Matrix
    bias: Matrix | None
    after_norm: bool = False
    floor: float | None = None


class Arithmetic(Protocol):
    """How linear layers are written. States are float32 ``(tokens, features)`` on both sides."""

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        """``x · matrixᵀ + bias``: ``(tokens, in)`` to ``(tokens, out)``."""
        ...

    def rows(self, graph: Graph, ids: Value, name: str, table: Matrix) -> Value:
        """Rows of ``table`` by ``ids``: ``(tokens,)`` to ``(tokens, features)``."""
        ...

    def balance(
        self, before: LinearWeights, after: LinearWeights, rows: slice
    ) -> tuple[LinearWeights, LinearWeights]:
        """The two layers with the same result, and inputs of the second that are easy to represent.

        Each of ``rows`` of ``before`` must be one factor of one input of ``after``.
        """
        ...


class Float32:
    """Everything as it is."""

    def balance(
        self, before: LinearWeights, after: LinearWeights, rows: slice
    ) -> tuple[LinearWeights, LinearWeights]:
        return before, after

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
    The activations are unsigned: the runtime has no fast path for signed ones.

    A few features are many times larger than the rest and would take most of a token's 255 steps. They are divided
    by a factor, and their weights multiplied by it (SmoothQuant, arXiv:2211.10438): behind a norm as they come,
    behind a gate in the gate's weights. On attention's results it brought nothing.

    largest  by name of a linear layer, the largest absolute value of each input feature (see ``calibration``)
    """

    def __init__(self, largest: Mapping[str, Matrix]) -> None:
        self._largest = largest

    def linear(self, graph: Graph, x: Value, weights: LinearWeights) -> Value:
        floats = weights.matrix
        if weights.after_norm:
            factors = _smoothing(self._largest[weights.name], floats)
            x = graph.op("Mul", x, graph.weight(f"{weights.name}.factors", 1 / factors))
            floats = floats * factors
        quantized, row_scale, zero_point = _quantize_activations(
            graph, x, features=floats.shape[1], floor=weights.floor
        )
        matrix, scale = _quantize_rows(floats)
        product = graph.op(
            "MatMulIntegerToFloat",
            quantized,
            graph.weight(f"{weights.name}.weight", matrix.T),
            graph.constant(1.0, np.float32),
            graph.weight(f"{weights.name}.scale", scale),
            graph.constant(zero_point, np.uint8),
            domain=MICROSOFT,
        )
        result = graph.op("Mul", product, row_scale)
        if weights.bias is None:
            return result
        return graph.op("Add", result, graph.weight(f"{weights.name}.bias", weights.bias))

    def balance(
        self, before: LinearWeights, after: LinearWeights, rows: slice
    ) -> tuple[LinearWeights, LinearWeights]:
        factors = _smoothing(self._largest[after.name], after.matrix)
        shares = np.ones(len(before.matrix), np.float32)
        shares[rows] = 1 / factors
        bias = None if before.bias is None else before.bias * shares
        return (
            replace(before, matrix=before.matrix * shares[:, None], bias=bias),
            replace(after, matrix=after.matrix * factors),
        )

    def rows(self, graph: Graph, ids: Value, name: str, table: Matrix) -> Value:
        matrix, scale = _quantize_rows(table)
        integers = graph.op("Gather", graph.weight(name, matrix), ids)
        scales = graph.op("Gather", graph.weight(f"{name}.scale", scale[:, None]), ids)
        return graph.op("Mul", graph.op("Cast", integers, to=TensorProto.FLOAT), scales)


_MIDDLE = 128
_STEPS = 127

_FLOOR_STEPS = 24
"""Steps under zero for inputs that have a floor: GELU's is −0.17, so that most steps are for what is above."""

_SMOOTHING = 0.7
"""SmoothQuant's alpha. Of 0.5, 0.7 and 1, 0.7 came nearest to fp32 on all-MiniLM-L6-v2: worst cosine 0.9963, where
no smoothing gave 0.9838 (12 texts, 2026-11-21)."""

_OCTAVE_STEPS = 8
"""Factors are powers of 2 to 1/8, so that another machine's rounding does not lead to other weights."""

_ROWS_AT_ONCE = 8192
"""A word table may have gigabytes, of which floats should not be in memory several times."""

_LEAST_SCALE = 1e-12
"""Keeps a row of zeros from dividing by zero; far under any scale that occurs."""


def _smoothing(largest: Matrix, matrix: Matrix) -> Matrix:
    """What each input feature is divided by, ``(in,)``: large for large features with small weights."""
    inputs = np.maximum(largest, _LEAST_SCALE)
    weights = np.maximum(np.abs(matrix).max(axis=0), _LEAST_SCALE)
    octaves = _SMOOTHING * np.log2(inputs) - (1 - _SMOOTHING) * np.log2(weights)
    octaves -= octaves.mean()
    factors: Matrix = np.exp2(np.rint(octaves * _OCTAVE_STEPS) / _OCTAVE_STEPS).astype(np.float32)
    return factors


def _quantize_activations(
    graph: Graph, x: Value, *, features: int, floor: float | None
) -> tuple[Value, Value, int]:
    """uint8 ``(tokens, features)``, float32 scales ``(tokens, 1)``, and the zero point."""
    least, steps, zero_point = _LEAST_SCALE, _STEPS, _MIDDLE
    if floor is not None:
        least, steps, zero_point = floor / _FLOOR_STEPS, 255 - _FLOOR_STEPS, _FLOOR_STEPS
    sizes = graph.op("Abs", x) if floor is None else x
    largest = graph.op("ReduceMax", sizes, graph.constant([1], np.int64), keepdims=1)
    scale = graph.op("Mul", largest, graph.constant(1 / steps, np.float32))
    scale = graph.op("Max", scale, graph.constant(least, np.float32))
    zero_points = graph.once(
        ("zero points", zero_point),
        lambda: graph.op("Expand", graph.constant(zero_point, np.uint8), graph.op("Shape", scale)),
    )
    return graph.op("QuantizeLinear", x, scale, zero_points, axis=1, block_size=features), scale, zero_point


def _quantize_rows(matrix: Matrix) -> tuple[NDArray[np.int8], Matrix]:
    """int8 ``(rows, columns)`` and float32 scales ``(rows,)``, symmetric."""
    rows = np.empty(matrix.shape, np.int8)
    scale = np.empty(len(matrix), np.float32)
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        scale[part] = np.maximum(np.abs(matrix[part]).max(axis=1) / _STEPS, _LEAST_SCALE)
        rows[part] = np.rint(matrix[part] / scale[part, None])
    return rows, scale
