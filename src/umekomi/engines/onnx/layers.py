"""The pieces of an encoder as nodes: embeddings, attention, feed-forward, norms.

States are ``(tokens, hidden)`` throughout, the texts of a batch end to end, each padded to the longest; only
attention looks at texts one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from umekomi.engines.onnx.arithmetic import Arithmetic, LinearWeights
from umekomi.engines.onnx.blueprint import Activation, Attention, Blueprint, FeedForward, Layer, Linear, Norm
from umekomi.engines.onnx.checkpoint import Checkpoint
from umekomi.engines.onnx.graph import MICROSOFT, Graph, Value
from umekomi.engines.onnx.masks import Mask, Masks

_LONG_TOKENS = 1024
"""Texts over this length attend head by head: all heads of 8,192 tokens at once would take gigabytes."""

_FLOORS: Mapping[Activation, float] = {"gelu": 0.1701, "gelu_tanh": 0.1701, "silu": 0.2785}
"""How far under zero an activation can go."""


@dataclass(frozen=True, slots=True)
class Writer:
    """What every piece needs: the graph it writes to, the tensors, and the number format of linear layers."""

    graph: Graph
    checkpoint: Checkpoint
    arithmetic: Arithmetic

    def shape(self, *sizes: int) -> Value:
        return self.graph.constant(sizes, np.int64)


def write_encoder(writer: Writer, blueprint: Blueprint, *, ids: Value, lengths: Value) -> Value:
    """Last hidden states, float32 ``(batch, length, hidden)``.

    ids      int32 ``(batch, length)``, padded at the end
    lengths  int32 ``(batch,)``: tokens of each text
    """
    masks = Masks(writer.graph, ids=ids, lengths=lengths)
    state = _embeddings(writer, blueprint, masks, ids)
    for layer in blueprint.layers:
        state = _layer(writer, layer, masks, state, pre_norm=blueprint.pre_norm)
    if blueprint.final_norm is not None:
        state = _norm(writer, blueprint.final_norm, state)
    return masks.by_text(state, blueprint.hidden)


def _embeddings(writer: Writer, blueprint: Blueprint, masks: Masks, ids: Value) -> Value:
    """Words plus positions plus token type 0, normalised. The last two are one table, added up beforehand."""
    graph, hidden = writer.graph, blueprint.hidden
    words = writer.checkpoint.read(blueprint.words, (blueprint.vocabulary, hidden))
    state = writer.arithmetic.rows(graph, graph.op("Reshape", ids, writer.shape(-1)), "words", words)
    if blueprint.positions is not None:
        table = writer.checkpoint.read(blueprint.positions.table, (blueprint.positions.rows, hidden))
        if blueprint.token_types is not None:
            table = table + writer.checkpoint.read(blueprint.token_types, (blueprint.token_type_rows, hidden))[0]
        index = masks.positions(after_pad=blueprint.positions.after_pad)
        rows = graph.op("Gather", graph.weight("positions", table), index)
        state = graph.op("Add", masks.by_text(state, hidden), rows)
        state = graph.op("Reshape", state, writer.shape(-1, hidden))
    return _norm(writer, blueprint.embedding_norm, state)


def _layer(writer: Writer, layer: Layer, masks: Masks, state: Value, *, pre_norm: bool) -> Value:
    graph = writer.graph
    if pre_norm:
        seen = state if layer.attention_norm is None else _norm(writer, layer.attention_norm, state)
        state = graph.op("Add", state, _attention(writer, layer.attention, masks, seen))
        inner = _norm(writer, layer.feed_forward_norm, state)
        return graph.op("Add", state, _feed_forward(writer, layer.feed_forward, inner))
    state = graph.op("Add", state, _attention(writer, layer.attention, masks, state))
    if layer.attention_norm is not None:
        state = _norm(writer, layer.attention_norm, state)
    state = graph.op("Add", state, _feed_forward(writer, layer.feed_forward, state))
    return _norm(writer, layer.feed_forward_norm, state)


def _attention(writer: Writer, attention: Attention, masks: Masks, state: Value) -> Value:
    graph, heads = writer.graph, attention.heads
    hidden = attention.out.in_features
    width = hidden // heads
    weights = replace(_scale_queries(_linear_weights(writer, attention.qkv), width), after_norm=True)
    mixed = writer.arithmetic.linear(graph, state, weights)
    by_head = graph.op(
        "Transpose", graph.op("Reshape", mixed, masks.shape_with(3 * heads, width)), perm=[0, 2, 1, 3]
    )
    queries, keys, values = graph.ops("Split", by_head, results=3, axis=1, num_outputs=3)
    if attention.rotary_theta is not None:
        cos, sin = masks.rotary(theta=attention.rotary_theta, width=width)
        queries, keys = _rotate(graph, queries, cos, sin), _rotate(graph, keys, cos, sin)
    mask = masks.mask(window=attention.window)
    seen = graph.choose(
        masks.longer_than(_LONG_TOKENS),
        lambda: _attend_by_head(graph, queries, keys, values, mask=mask),
        lambda: _attend(graph, queries, keys, values, mask=mask),
    )
    flat = graph.op("Reshape", graph.op("Transpose", seen, perm=[0, 2, 1, 3]), writer.shape(-1, hidden))
    return writer.arithmetic.linear(graph, flat, _linear_weights(writer, attention.out))


def _attend(graph: Graph, queries: Value, keys: Value, values: Value, *, mask: Mask) -> Value:
    """Softmax of queries by keys, times values; all ``(batch, heads, length, width)``. Queries come scaled."""
    scores = graph.op("FusedMatMul", queries, keys, domain=MICROSOFT, transB=1)
    shares = graph.choose(
        mask.needed,
        lambda: graph.op("Softmax", graph.op("Add", scores, mask.scores), axis=-1),
        lambda: graph.op("Softmax", scores, axis=-1),
    )
    return graph.op("MatMul", shares, values)


def _attend_by_head(graph: Graph, queries: Value, keys: Value, values: Value, *, mask: Mask) -> Value:
    """As `_attend`, one head after another, so that one head's scores are in memory."""
    heads = graph.constant([1], np.int64)

    def attend_one(slices: list[Value]) -> Value:
        single = [graph.op("Unsqueeze", one, heads) for one in slices]
        return graph.op("Squeeze", _attend(graph, *single, mask=mask), heads)

    return graph.for_each(1, [queries, keys, values], attend_one)


def _rotate(graph: Graph, x: Value, cos: Value, sin: Value) -> Value:
    """``x`` turned by its position: the halves of a head are the two coordinates of a rotation."""
    first, second = graph.ops("Split", x, results=2, axis=-1, num_outputs=2)
    turned = graph.op("Concat", graph.op("Neg", second), first, axis=-1)
    return graph.op("Add", graph.op("Mul", x, cos), graph.op("Mul", turned, sin))


def _feed_forward(writer: Writer, feed_forward: FeedForward, state: Value) -> Value:
    graph, arithmetic = writer.graph, writer.arithmetic
    up = replace(_linear_weights(writer, feed_forward.up), after_norm=True)
    down = _linear_weights(writer, feed_forward.down)
    inner = arithmetic.linear(graph, state, up)
    if feed_forward.gated:
        inner, gate = graph.ops("Split", inner, results=2, axis=-1, num_outputs=2)
        inner = graph.op("Mul", _activate(graph, feed_forward.activation, inner), gate)
    else:
        inner = _activate(graph, feed_forward.activation, inner)
        down = replace(down, floor=_FLOORS.get(feed_forward.activation))
    return arithmetic.linear(graph, inner, down)


def _activate(graph: Graph, activation: Activation, x: Value) -> Value:
    match activation:
        case "gelu":
            return graph.op("Gelu", x, domain=MICROSOFT)
        case "gelu_tanh":
            return graph.op("Gelu", x, approximate="tanh")
        case "relu":
            return graph.op("Relu", x)
        case "silu":
            return graph.op("Mul", x, graph.op("Sigmoid", x))
        case "tanh":
            return graph.op("Tanh", x)


def _norm(writer: Writer, norm: Norm, state: Value) -> Value:
    graph, checkpoint = writer.graph, writer.checkpoint
    names = [norm.weight] if norm.bias is None else [norm.weight, norm.bias]
    parts = [graph.weight(name, checkpoint.read(name, (norm.features,))) for name in names]
    return graph.op("LayerNormalization", state, *parts, axis=-1, epsilon=norm.epsilon)


def _linear_weights(writer: Writer, linear: Linear) -> LinearWeights:
    checkpoint = writer.checkpoint
    matrices = [checkpoint.read(name, (linear.rows, linear.in_features)) for name in linear.weights]
    biases = [checkpoint.read(name, (linear.rows,)) for name in linear.biases]
    return LinearWeights(
        name="+".join(linear.weights),
        matrix=matrices[0] if len(matrices) == 1 else np.concatenate(matrices),
        bias=np.concatenate(biases) if biases else None,
    )


def _scale_queries(weights: LinearWeights, width: int) -> LinearWeights:
    """The same layer with 1/√width in its query rows, which saves scaling the scores of every text."""
    rows = len(weights.matrix) // 3
    factor = np.ones(len(weights.matrix), np.float32)
    factor[:rows] = 1 / math.sqrt(width)
    bias = None if weights.bias is None else weights.bias * factor
    return replace(weights, matrix=weights.matrix * factor[:, None], bias=bias)
