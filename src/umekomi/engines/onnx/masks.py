"""`Masks`: what a graph knows of the texts in a batch: their shape, positions, and which tokens see which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from umekomi.engines.onnx.graph import Graph, Value

_HIDDEN = -1e9
"""Added to a score, it leaves a share of exactly 0. Finite, since a padded row may see nothing at all."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What hides tokens from one another.

    needed  bool ``()``: whether this batch hides anything at all
    scores  0 or `_HIDDEN`, to be added to scores ``(batch, heads, length, length)``
    """

    needed: Value
    scores: Value


class Masks:
    """Values about one batch, each written to the graph once, at its first use.

    Ask for them outside of a branch: what is written inside cannot be used elsewhere.
    """

    def __init__(self, graph: Graph, *, ids: Value, lengths: Value) -> None:
        self._graph = graph
        self._ids = ids
        self._written: dict[object, Value] = {}
        shape = graph.op("Shape", ids)
        self._batch, self._length = graph.ops("Split", shape, results=2, axis=0, num_outputs=2)
        self._index = graph.op(
            "Range", graph.constant(0, np.int64), graph.op("Squeeze", self._length), graph.constant(1, np.int64)
        )
        column = graph.op("Reshape", lengths, graph.constant([-1, 1, 1, 1], np.int64))
        index = graph.op("Cast", self._index, to=onnx.TensorProto.INT32)
        self._real = graph.op("Less", index, column)  # (batch, 1, 1, length): which keys are no padding
        length = graph.op("Cast", graph.op("Squeeze", self._length), to=onnx.TensorProto.INT32)
        self._padded = graph.op("Less", graph.op("ReduceMin", lengths, keepdims=0), length)

    def shape_with(self, *sizes: int) -> Value:
        """The shape ``(batch, length, *sizes)``, int64."""

        def write() -> Value:
            last = self._graph.constant(sizes, np.int64)
            return self._graph.op("Concat", self._batch, self._length, last, axis=0)

        return self._once(("shape", sizes), write)

    def by_text(self, state: Value, width: int) -> Value:
        """``(tokens, width)`` as ``(batch, length, width)``."""
        return self._graph.op("Reshape", state, self.shape_with(width))

    def longer_than(self, tokens: int) -> Value:
        """bool ``()``: whether the longest text has more than ``tokens``."""

        def write() -> Value:
            length = self._graph.op("Squeeze", self._length)
            return self._graph.op("Greater", length, self._graph.constant(tokens, np.int64))

        return self._once(("longer", tokens), write)

    def positions(self, *, after_pad: int | None) -> Value:
        """Rows of the position table: ``(length,)``, or ``(batch, length)`` where padding ids do not count."""
        graph = self._graph
        if after_pad is None:
            return self._index
        same = graph.op("Equal", self._ids, graph.constant(after_pad, np.int32))
        counts = graph.op("Cast", graph.op("Not", same), to=onnx.TensorProto.INT32)
        number = graph.op("Mul", graph.op("CumSum", counts, graph.constant(1, np.int64)), counts)
        return graph.op("Add", number, graph.constant(after_pad, np.int32))

    def rotary(self, *, theta: float, width: int) -> tuple[Value, Value]:
        """Cosine and sine of each position's angles, ``(length, width)`` each."""
        graph = self._graph

        def angles() -> Value:
            speeds = np.float32(1) / np.float32(theta) ** (np.arange(0, width, 2, dtype=np.float32) / width)
            index = graph.op("Cast", self._index, to=onnx.TensorProto.FLOAT)
            column = graph.op("Unsqueeze", index, graph.constant([1], np.int64))
            half = graph.op("Mul", column, graph.constant(speeds, np.float32))
            return graph.op("Concat", half, half, axis=-1)

        both = self._once(("angles", theta, width), angles)
        return (
            self._once(("cos", theta, width), lambda: graph.op("Cos", both)),
            self._once(("sin", theta, width), lambda: graph.op("Sin", both)),
        )

    def mask(self, *, window: int | None) -> Mask:
        """What hides padding and, with a ``window``, tokens further away than that on either side."""
        if window is None:
            return Mask(self._padded, self._once("mask", lambda: self._scores(self._real)))
        return Mask(
            self._once(
                ("needed", window), lambda: self._graph.op("Or", self._padded, self.longer_than(window + 1))
            ),
            self._once(("mask", window), lambda: self._scores(self._near(window))),
        )

    def _near(self, window: int) -> Value:
        """bool ``(batch, 1, length, length)``: real keys within the window."""
        graph = self._graph
        column = graph.op("Unsqueeze", self._index, graph.constant([1], np.int64))
        distance = graph.op("Abs", graph.op("Sub", column, self._index))
        near = graph.op("LessOrEqual", distance, graph.constant(window, np.int64))
        return graph.op("And", near, self._real)

    def _scores(self, visible: Value) -> Value:
        graph = self._graph
        return graph.op("Where", visible, graph.constant(0, np.float32), graph.constant(_HIDDEN, np.float32))

    def _once(self, key: object, write: Callable[[], Value]) -> Value:
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]
