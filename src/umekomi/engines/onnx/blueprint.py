"""`Blueprint`: an encoder as data, the same for every architecture. It names tensors, but holds none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Gelu: TypeAlias = Literal["gelu", "gelu_tanh"]
Activation: TypeAlias = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh"]


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation over the last axis; without a bias where ``bias`` is None."""

    weight: str
    bias: str | None
    features: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Linear:
    """``x · weightᵀ + bias``.

    Several names are one layer whose rows lie end to end (query, key and value), each ``(rows, in_features)``.
    """

    weights: tuple[str, ...]
    biases: tuple[str, ...]
    in_features: int
    out_features: int

    @property
    def rows(self) -> int:
        """Output features that one of the named tensors holds."""
        return self.out_features // len(self.weights)


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention. ``qkv`` gives queries, keys and values side by side.

    rotary_theta  base of rotary positions, None where positions stand in the embeddings
    window        how many tokens away a token still sees, on either side; None for all
    """

    qkv: Linear
    out: Linear
    heads: int
    rotary_theta: float | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class FeedForward:
    """``down(act(up(x)))``; gated: the first half of ``up`` is activated and multiplied by the second."""

    up: Linear
    down: Linear
    activation: Activation
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """Attention and feed-forward, each with a residual. A norm that is None is left out."""

    attention: Attention
    attention_norm: Norm | None
    feed_forward: FeedForward
    feed_forward_norm: Norm


@dataclass(frozen=True, slots=True)
class Positions:
    """A learned position table.

    after_pad  where given, positions count from ``after_pad + 1`` and skip tokens of that id, as RoBERTa's do
    """

    table: str
    rows: int
    after_pad: int | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest text that the table holds."""
        return self.rows if self.after_pad is None else self.rows - self.after_pad - 1


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What it takes to build the graph from token ids to the last hidden states.

    token_types  table of token types, ``(token_type_rows, hidden)``; a text by itself is of type 0
    pre_norm     norms stand before attention and feed-forward (ModernBERT), not after the residuals (BERT)
    final_norm   a last norm over the hidden states
    """

    vocabulary: int
    hidden: int
    words: str
    positions: Positions | None
    token_types: str | None
    token_type_rows: int
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    pre_norm: bool = False
    final_norm: Norm | None = None
