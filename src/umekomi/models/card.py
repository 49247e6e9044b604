"""`ModelCard`: everything about a model that decides its vectors, as frozen data.

Pooling, normalisation, dense layers and prompts are fields, never subclasses. Reading a card from a
model's files is ``bundle``'s job; what models do not ship stands in ``catalog``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal, Self, TypeAlias

from umekomi.types import NumberFormat, Role

Pooling: TypeAlias = Literal["mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"]
"""How token vectors become one, in sentence-transformers' words."""

Activation: TypeAlias = Literal["identity", "tanh", "relu", "gelu", "sigmoid"]

Capability: TypeAlias = Literal["embedding", "chat", "rerank"]
"""What a model can be asked for: vectors of texts, generated text, or scores of documents for a query."""

Format: TypeAlias = Literal["safetensors", "onnx", "gguf", "hashing"]

FINGERPRINT_LENGTH = 32
"""Hex digits; 128 bits, so that two models meet by chance never."""


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A linear layer after pooling (sentence-transformers' Dense module)."""

    path: str
    in_features: int
    out_features: int
    bias: bool
    activation: Activation


@dataclass(frozen=True, slots=True)
class NormLayer:
    """A layer normalisation after pooling (sentence-transformers' LayerNorm module)."""

    path: str
    out_features: int


@dataclass(frozen=True)
class ModelCard:
    """A model as data. Two cards that could give different vectors never share a `fingerprint`.

    name           how the model was asked for, without a revision
    source         where the files came from: ``folder:…``, ``hub:id@commit`` or ``wheel:name==version``
    architecture   config.json's model type (``bert``, ``xlm-roberta``, ``modernbert``, ``luke`` …)
    dim            length of a vector, after the dense layers
    max_tokens     longest text in tokens, special tokens included
    pooling        how token vectors become one; without meaning for a model that makes no vectors
    normalize      whether vectors have unit length
    in_pieces      whether a text over ``max_tokens`` is run in pieces of that length, whose token states are pooled
                   together; else it is cut
    dense          layers between pooling and normalisation, in order
    prompts        text put before an input, by prompt name; ``query`` and ``document`` serve the roles
    precision      number format of the linear layers; ``bf16`` and ``fp16`` on a GPU only
    capabilities   what the model can be asked for
    weights_digest, tokenizer_digest   sha256 over the files' contents, hex
    licence        SPDX identifier where known
    languages      ISO 639-1 codes where known
    notice         what a user must know about these weights (quantised, substituted), or None
    """

    name: str
    source: str
    format: Format
    architecture: str
    dim: int
    max_tokens: int
    pooling: Pooling
    normalize: bool
    weights_digest: str
    tokenizer_digest: str
    dense: tuple[DenseLayer | NormLayer, ...] = ()
    in_pieces: bool = False
    prompts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    precision: NumberFormat = "fp32"
    capabilities: tuple[Capability, ...] = ("embedding",)
    licence: str | None = None
    languages: tuple[str, ...] = ()
    notice: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, tokenizer, pooling, normalisation, dense layers, prompts, context and precision.

        The engine does not enter: those that run a model in one precision agree. Nor do the name, the source, the
        licence and the notice: a copy of a model gives the same vectors.
        """
        parts = {
            "weights": self.weights_digest,
            "tokenizer": self.tokenizer_digest,
            "architecture": self.architecture,
            "pooling": self.pooling,
            "normalize": self.normalize,
            "dense": [asdict(layer) for layer in self.dense],
            "prompts": {role: self.prompts.get(role, "") for role in ("query", "document")},
            "max_tokens": self.max_tokens,
            "precision": self.precision,
        }
        if self.in_pieces:
            parts["in_pieces"] = True
        canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]

    def prompt_for(self, role: Role) -> str:
        """The text put before an input of this role; empty for ``raw`` and where the model has none."""
        return "" if role == "raw" else self.prompts.get(role, "")

    def with_precision(self, precision: NumberFormat) -> Self:
        return replace(self, precision=precision)

    def with_prompts(self, prompts: Mapping[str, str]) -> Self:
        """This card with some prompts replaced; the fingerprint follows."""
        return replace(self, prompts=MappingProxyType({**self.prompts, **prompts}))
