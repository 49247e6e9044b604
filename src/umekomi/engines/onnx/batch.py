"""`Batch`: where the texts of a run lie among its tokens, and which tokens see which.

The tokens of all texts lie end to end, without padding, so that no layer works on tokens that do not exist. Only
attention looks at texts one by one: it gathers them into a grid of ``(text, slot)``, as wide as the longest, and
back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from umekomi.engines.onnx.graph import Graph, Value

_HIDDEN = -1e9
"""Added to a score, it leaves a share of exactly 0. Finite, since an empty slot may see nothing at all."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What hides slots from one another.

    needed  bool ``()``: whether this batch hides anything at all
    scores  0 or `_HIDDEN`, to be added to scores ``(texts, heads, slots, slots)``
    """

    needed: Value
    scores: Value


class Batch:
    """Values about one batch, each written to the graph once, at its first use.

    Ask for them outside of a branch: what is written inside cannot be used elsewhere.
    """

    def __init__(self, graph: Graph, *, ids: Value, lengths: Value) -> None:
        """``ids``: int32 ``(tokens,)``; ``lengths``: int32 ``(texts,)``."""
        self._graph = graph
        self._ids = ids
        self._longest = graph.op("ReduceMax", lengths, keepdims=0)
        self._index = graph.op("Range", self._int(0), self._longest, self._int(1))
        column = graph.op("Unsqueeze", lengths, self._axes(1))
        self._real = graph.op("Less", self._index, column)  # (texts, slots): which slots hold a token
        starts = graph.op("Sub", graph.op("CumSum", column, self._int(0)), column)
        self._tokens = graph.op(  # (texts, slots): the token in each slot, any token in an empty one
            "Where", self._real, graph.op("Add", starts, self._index), self._int(0)
        )
        places = graph.op("Cast", graph.op("NonZero", self._real), to=TensorProto.INT32)
        text, slot = graph.ops("Split", places, results=2, axis=0, num_outputs=2)
        self._text, self._slot = (graph.op("Squeeze", value, self._axes(0)) for value in (text, slot))
        self._padded = graph.op("Less", graph.op("ReduceMin", lengths, keepdims=0), self._longest)

    def positions(self, *, after_pad: int | None) -> Value:
        """Row of the position table for each token: ``(tokens,)``; see `Positions.after_pad`."""
        if after_pad is None:
            return self._slot
        graph, pad = self._graph, self._int(after_pad)
        counts = graph.op("Cast", graph.op("Not", graph.op("Equal", self._ids, pad)), to=TensorProto.INT32)
        by_slot = graph.op("CumSum", graph.op("Gather", counts, self._tokens), self._int(1))
        start = graph.op("Mul", self._text, self._longest)
        number = graph.op(
            "Gather", graph.op("Reshape", by_slot, self._axes(-1)), graph.op("Add", start, self._slot)
        )
        return graph.op("Add", graph.op("Mul", number, counts), pad)

    def to_grid(self, states: Value, *, heads: int, width: int, parts: int) -> list[Value]:
        """``(tokens, parts · heads · width)`` as ``parts`` grids ``(texts, heads, slots, width)``."""
        graph = self._graph
        rows = graph.op("Reshape", states, graph.constant([-1, width], np.int64))
        return [graph.op("Gather", rows, self._grid_index(heads, part, parts)) for part in range(parts)]

    def from_grid(self, grid: Value, *, heads: int, width: int) -> Value:
        """A grid ``(texts, heads, slots, width)`` as ``(tokens, heads · width)``."""
        graph = self._graph

        def write() -> Value:
            stride = graph.op("Mul", self._longest, self._int(heads))
            first = graph.op("Add", graph.op("Mul", self._text, stride), self._slot)
            offsets = graph.op("Mul", graph.constant(np.arange(heads), np.int32), self._longest)
            return graph.op("Add", graph.op("Unsqueeze", first, self._axes(1)), offsets)

        index = graph.once(("from grid", heads), write)
        rows = graph.op("Gather", graph.op("Reshape", grid, graph.constant([-1, width], np.int64)), index)
        return graph.op("Reshape", rows, graph.constant([-1, heads * width], np.int64))

    def longer_than(self, tokens: int) -> Value:
        """bool ``()``: whether the longest text has more than ``tokens``."""
        graph = self._graph
        return graph.once(("longer", tokens), lambda: graph.op("Greater", self._longest, self._int(tokens)))

    def rotary(self, *, theta: float, width: int) -> tuple[Value, Value]:
        """Cosine and sine of each slot's angles, ``(slots, width)`` each."""
        graph = self._graph

        def write() -> Value:
            speeds = np.float32(1) / np.float32(theta) ** (np.arange(0, width, 2, dtype=np.float32) / width)
            index = graph.op("Cast", self._index, to=TensorProto.FLOAT)
            column = graph.op("Unsqueeze", index, self._axes(1))
            half = graph.op("Mul", column, graph.constant(speeds, np.float32))
            return graph.op("Concat", half, half, axis=-1)

        angles = graph.once(("angles", theta, width), write)
        return (
            graph.once(("cos", theta, width), lambda: graph.op("Cos", angles)),
            graph.once(("sin", theta, width), lambda: graph.op("Sin", angles)),
        )

    def mask(self, *, window: int | None) -> Mask:
        """What hides empty slots and, with a ``window``, tokens further away than that on either side."""
        graph = self._graph
        if window is None:
            return Mask(self._padded, graph.once("mask", lambda: self._scores(self._keys())))
        return Mask(
            graph.once(("needed", window), lambda: graph.op("Or", self._padded, self.longer_than(window + 1))),
            graph.once(("mask", window), lambda: self._scores(self._near(window))),
        )

    def _grid_index(self, heads: int, part: int, parts: int) -> Value:
        """int32 ``(texts, heads, slots)``: which ``width`` values belong in each place of a part's grid."""
        graph = self._graph

        def write() -> Value:
            first = graph.op("Mul", graph.op("Unsqueeze", self._tokens, self._axes(1)), self._int(parts * heads))
            offsets = part * heads + np.arange(heads)[:, None]
            return graph.op("Add", first, graph.constant(offsets, np.int32))

        return graph.once(("to grid", heads, part, parts), write)

    def _keys(self) -> Value:
        """bool ``(texts, 1, 1, slots)``: which keys exist."""
        return self._graph.op("Unsqueeze", self._real, self._axes(1, 2))

    def _near(self, window: int) -> Value:
        """bool ``(texts, 1, slots, slots)``: keys that exist and lie within the window."""
        graph = self._graph
        column = graph.op("Unsqueeze", self._index, self._axes(1))
        distance = graph.op("Abs", graph.op("Sub", column, self._index))
        near = graph.op("LessOrEqual", distance, self._int(window))
        return graph.op("And", near, self._keys())

    def _scores(self, visible: Value) -> Value:
        graph = self._graph
        return graph.op("Where", visible, graph.constant(0, np.float32), graph.constant(_HIDDEN, np.float32))

    def _int(self, value: int) -> Value:
        return self._graph.constant(value, np.int32)

    def _axes(self, *axes: int) -> Value:
        return self._graph.constant(axes, np.int64)
