"""Token states to one vector: pooling, dense layers and unit length, in float32 and for each text by itself.

The same words and formulas as sentence-transformers' modules (its release 6.2). Since every text is pooled from its
own rows only, neither padding nor companions can reach a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.models.bundle import Bundle
from umekomi.models.card import Activation, DenseLayer, NormLayer, Pooling
from umekomi.models.checkpoint import Checkpoint
from umekomi.models.weights import SINGLE
from umekomi.types import Vectors

States = NDArray[np.float32]
"""One text's token states, float32 ``(tokens, hidden)``, special tokens included."""

_LEAST_LENGTH = 1e-12  # torch.nn.functional.normalize's eps


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """One dense layer's numbers: ``matrix`` ``(out, in)``, ``bias`` ``(out,)`` or None."""

    matrix: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    activation: Activation

    def apply(self, vectors: Vectors) -> Vectors:
        product = vectors @ self.matrix.T
        return _ACTIVATIONS[self.activation](product if self.bias is None else product + self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """One layer normalisation's numbers: ``weight`` ``(features,)``, ``bias`` the same or None."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    epsilon: float = 1e-5

    def apply(self, vectors: Vectors) -> Vectors:
        centred = vectors - vectors.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(self.epsilon))
        scaled: Vectors = centred / spread * self.weight
        return scaled if self.bias is None else scaled + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Everything after the transformer."""

    pooling: Pooling
    layers: tuple[Dense | Norm, ...]
    normalize: bool

    def vectors(self, states: Sequence[States]) -> Vectors:
        """Vectors for texts' states, in order: float32 ``(len(states), dim)``. No text may be empty."""
        return self.finish(np.stack([_POOLINGS[self.pooling](one) for one in states]))

    def finish(self, vectors: Vectors) -> Vectors:
        """Vectors for pooled states, float32 ``(texts, hidden)``, in order."""
        for layer in self.layers:
            vectors = layer.apply(vectors)
        if self.normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            vectors = vectors / np.maximum(lengths, _LEAST_LENGTH)[:, None]
        return np.ascontiguousarray(vectors, np.float32)


def activate(activation: Activation, values: Vectors) -> Vectors:
    """``values`` through an activation, one by one."""
    return _ACTIVATIONS[activation](values)


def load_head(bundle: Bundle) -> Head:
    """The bundle's head. Raises `BrokenModel` where a layer's file is missing or has another shape."""
    layers = tuple(_load_layer(bundle, layer) for layer in bundle.card.dense)
    return Head(bundle.card.pooling, layers, bundle.card.normalize)


def _load_layer(bundle: Bundle, layer: DenseLayer | NormLayer) -> Dense | Norm:
    checkpoint = Checkpoint([bundle.folder / layer.path / SINGLE])
    size = layer.out_features
    if isinstance(layer, NormLayer):
        weight, bias = (np.array(checkpoint.read(f"norm.{name}", (size,))) for name in ("weight", "bias"))
        return Norm(weight, bias)
    matrix = np.array(checkpoint.read("linear.weight", (size, layer.in_features)))
    return Dense(
        matrix, np.array(checkpoint.read("linear.bias", (size,))) if layer.bias else None, layer.activation
    )


def _weighted_mean(states: States) -> NDArray[np.float32]:
    """Later tokens weigh more: 1, 2, 3 …"""
    weights = np.arange(1, len(states) + 1, dtype=np.float32)
    total: NDArray[np.float32] = (states * weights[:, None]).sum(axis=0) / weights.sum()
    return total


def _gelu(x: Vectors) -> Vectors:
    """The exact one. A head has few numbers, so that a loop over them does not matter."""
    erf = np.fromiter((math.erf(value / math.sqrt(2)) for value in x.flat), np.float32, x.size)
    return (x * (1 + erf.reshape(x.shape)) / 2).astype(np.float32, copy=False)


def _sigmoid(x: Vectors) -> Vectors:
    """By tanh, which cannot overflow."""
    return ((np.tanh(x / 2) + 1) / 2).astype(np.float32, copy=False)


_POOLINGS: Mapping[Pooling, Callable[[States], NDArray[np.float32]]] = {
    "mean": lambda states: states.sum(axis=0) / np.float32(len(states)),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
    "mean_sqrt_len": lambda states: states.sum(axis=0) / np.sqrt(np.float32(len(states))),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda states: states[-1],
}

_ACTIVATIONS: Mapping[Activation, Callable[[Vectors], Vectors]] = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": _gelu,
    "sigmoid": _sigmoid,
}
