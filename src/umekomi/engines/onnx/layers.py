"""The pieces of an encoder as nodes: embeddings, attention, feed-forward, norms.

States are ``(tokens, hidden)``, the texts of a batch end to end; only attention looks at texts one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from umekomi.engines.onnx.arithmetic import Arithmetic, LinearWeights, Matrix
from umekomi.engines.onnx.batch import Batch, Mask
from umekomi.engines.onnx.blueprint import Activation, Attention, Blueprint, FeedForward, Layer, Linear, Norm
from umekomi.engines.onnx.graph import MICROSOFT, Graph, Value
from umekomi.models.checkpoint import Checkpoint

_LONG_TOKENS = 256
"""Texts over this length attend head by head, whose scores then fit the caches: 6 % faster at 384 and 512 tokens
(multilingual-e5-small, 2026-11-21). All heads of 8,192 tokens at once would take gigabytes."""

_FLOORS: Mapping[Activation, float] = {"gelu": 0.1701, "gelu_tanh": 0.1701, "silu": 0.2785}
"""How far under zero an activation can go."""


@dataclass(frozen=True, slots=True)
class Writer:
    """What every piece needs: the graph it writes to, the tensors, and the number format of linear layers."""

    graph: Graph
    checkpoint: Checkpoint
    arithmetic: Arithmetic


def write_encoder(
    writer: Writer, blueprint: Blueprint, *, ids: Value, lengths: Value, types: Value | None = None
) -> Value:
    """Last hidden states, float32 ``(tokens, hidden)``.

    ids      int32 ``(tokens,)``: the texts end to end
    lengths  int32 ``(texts,)``: tokens of each
    types    int32 ``(tokens,)``: the type of each token; all of type 0 where it is None
    """
    batch = Batch(writer.graph, ids=ids, lengths=lengths)
    state = _embeddings(writer, blueprint, batch, ids=ids, types=types)
    for layer in blueprint.layers:
        state = _layer(writer, layer, batch, state, pre_norm=blueprint.pre_norm)
    return state if blueprint.final_norm is None else _norm(writer, blueprint.final_norm, state)


def _embeddings(writer: Writer, blueprint: Blueprint, batch: Batch, *, ids: Value, types: Value | None) -> Value:
    """Words plus positions plus token types, normalised.

    Positions and type 0 are one table, added up beforehand; of another type, the difference is added.
    """
    graph, checkpoint, hidden = writer.graph, writer.checkpoint, blueprint.hidden
    words = checkpoint.read(blueprint.words, (blueprint.vocabulary, hidden))
    state = writer.arithmetic.rows(graph, ids, "words", words)
    if blueprint.positions is not None:
        table = checkpoint.read(blueprint.positions.table, (blueprint.positions.rows, hidden))
        type_table = _token_types(checkpoint, blueprint)
        if type_table is not None:
            table = table + type_table[0]
        index = batch.positions(after_pad=blueprint.positions.after_pad)
        state = graph.op("Add", state, graph.op("Gather", graph.weight("positions", table), index))
        if types is not None and type_table is not None:
            differences = graph.weight("type differences", type_table - type_table[0])
            state = graph.op("Add", state, graph.op("Gather", differences, types))
    return _norm(writer, blueprint.embedding_norm, state)


def _token_types(checkpoint: Checkpoint, blueprint: Blueprint) -> Matrix | None:
    if blueprint.token_types is None:
        return None
    return checkpoint.read(blueprint.token_types, (blueprint.token_type_rows, blueprint.hidden))


def _layer(writer: Writer, layer: Layer, batch: Batch, state: Value, *, pre_norm: bool) -> Value:
    graph = writer.graph
    if pre_norm:
        seen = state if layer.attention_norm is None else _norm(writer, layer.attention_norm, state)
        state = graph.op("Add", state, _attention(writer, layer.attention, batch, seen))
        inner = _norm(writer, layer.feed_forward_norm, state)
        return graph.op("Add", state, _feed_forward(writer, layer.feed_forward, inner))
    state = graph.op("Add", state, _attention(writer, layer.attention, batch, state))
    if layer.attention_norm is not None:
        state = _norm(writer, layer.attention_norm, state)
    state = graph.op("Add", state, _feed_forward(writer, layer.feed_forward, state))
    return _norm(writer, layer.feed_forward_norm, state)


def _attention(writer: Writer, attention: Attention, batch: Batch, state: Value) -> Value:
    graph, heads = writer.graph, attention.heads
    width = attention.out.in_features // heads
    weights = _attention_weights(writer, attention)
    mixed = writer.arithmetic.linear(graph, state, weights.qkv)
    queries, keys, values = batch.to_grid(mixed, heads=heads, width=width, parts=3)
    if weights.query_bias is not None:
        bias = weights.query_bias.reshape(heads, 1, width)
        queries = graph.op("Add", queries, graph.weight(f"{weights.qkv.name}.query_bias", bias))
    if attention.rotary_theta is not None:
        cos, sin = batch.rotary(theta=attention.rotary_theta, width=width)
        queries, keys = _rotate(graph, queries, cos, sin), _rotate(graph, keys, cos, sin)
    mask = batch.mask(window=attention.window)
    seen = graph.choose(
        batch.longer_than(_LONG_TOKENS),
        lambda: _attend_by_head(graph, queries, keys, values, mask=mask),
        lambda: _attend(graph, queries, keys, values, mask=mask),
    )
    return writer.arithmetic.linear(graph, batch.from_grid(seen, heads=heads, width=width), weights.out)


def _attend(graph: Graph, queries: Value, keys: Value, values: Value, *, mask: Mask) -> Value:
    """Softmax of queries by keys, times values; all ``(texts, heads, slots, width)``. Queries come scaled."""
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
    if feed_forward.gated:
        up, down = arithmetic.balance(up, down, rows=slice(feed_forward.down.in_features, None))
        inner = arithmetic.linear(graph, state, up)
        inner, gate = graph.ops("Split", inner, results=2, axis=-1, num_outputs=2)
        inner = graph.op("Mul", _activate(graph, feed_forward.activation, inner), gate)
    else:
        inner = _activate(graph, feed_forward.activation, arithmetic.linear(graph, state, up))
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


@dataclass(frozen=True, slots=True, eq=False)
class _AttentionWeights:
    """``query_bias`` is what of the bias of ``qkv`` is left to add to the queries alone, where it was taken out."""

    qkv: LinearWeights
    query_bias: Matrix | None
    out: LinearWeights


def _attention_weights(writer: Writer, attention: Attention) -> _AttentionWeights:
    """Weights with 1/√width in the query rows, which saves scaling the scores of every text.

    The bias of the keys adds the same to all scores of a query, which softmax takes out again; that of the values
    comes out as it is, since shares add up to 1, and goes into the bias of ``out``. So only queries need theirs:
    a third of the additions. Rotation comes in between, so that a rotary layer keeps its biases.
    """
    qkv, out = _linear_weights(writer, attention.qkv), _linear_weights(writer, attention.out)
    hidden = attention.out.in_features
    factors = np.ones((3, hidden), np.float32)
    factors[0] = 1 / math.sqrt(hidden // attention.heads)
    matrix = qkv.matrix * factors.reshape(-1, 1)
    bias = None if qkv.bias is None else qkv.bias * factors.reshape(-1)
    query_bias = None
    if bias is not None and attention.rotary_theta is None:
        query_bias, _, value_bias = bias.reshape(3, hidden)
        moved = (out.matrix @ value_bias).astype(np.float32)
        out = replace(out, bias=moved if out.bias is None else out.bias + moved)
        bias = None
    return _AttentionWeights(replace(qkv, matrix=matrix, bias=bias, after_norm=True), query_bias, out)
