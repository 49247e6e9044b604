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
from umekomi.models.card import Activation, Pooling
from umekomi.models.checkpoint import Checkpoint
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


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Everything after the transformer."""

    pooling: Pooling
    dense: tuple[Dense, ...]
    normalize: bool

    def vectors(self, states: Sequence[States]) -> Vectors:
        """Vectors for texts' states, in order: float32 ``(len(states), dim)``. No text may be empty."""
        vectors = np.stack([_POOLINGS[self.pooling](one) for one in states])
        for layer in self.dense:
            vectors = vectors @ layer.matrix.T
            if layer.bias is not None:
                vectors = vectors + layer.bias
            vectors = _ACTIVATIONS[layer.activation](vectors)
        if self.normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            vectors = vectors / np.maximum(lengths, _LEAST_LENGTH)[:, None]
        return np.ascontiguousarray(vectors, np.float32)


def load_head(bundle: Bundle) -> Head:
    """The bundle's head. Raises `BrokenModel` where a dense layer's file is missing or has another shape."""
    layers = []
    for layer in bundle.card.dense:
        checkpoint = Checkpoint([bundle.folder / layer.path / "model.safetensors"])
        matrix = checkpoint.read("linear.weight", (layer.out_features, layer.in_features))
        bias = checkpoint.read("linear.bias", (layer.out_features,)) if layer.bias else None
        layers.append(Dense(np.array(matrix), None if bias is None else np.array(bias), layer.activation))
    return Head(bundle.card.pooling, tuple(layers), bundle.card.normalize)


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
