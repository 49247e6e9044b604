"""Reads ModernBERT: rotary positions, attention that is local in most layers, gated feed-forward, norms before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umekomi.engines.onnx.blueprint import Attention, Blueprint, FeedForward, Layer, Linear, Norm
from umekomi.engines.onnx.settings import Settings
from umekomi.errors import BrokenModel
from umekomi.models.checkpoint import Checkpoint

# What transformers fills in where config.json leaves it out.
EPSILON = 1e-5
_GLOBAL_EVERY = 3
_LOCAL_ATTENTION = 128
_THETA = {"full_attention": 160_000.0, "sliding_attention": 10_000.0}
_OLD_THETA_KEYS = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}


def read_modernbert(settings: Settings, checkpoint: Checkpoint) -> Blueprint:
    settings.divided("hidden_size", by="num_attention_heads")
    settings.require("rope_scaling", None)
    words = "embeddings.tok_embeddings.weight"
    prefix = checkpoint.prefix(words)
    return Blueprint(
        vocabulary=settings.integer("vocab_size"),
        hidden=settings.integer("hidden_size"),
        words=prefix + words,
        positions=None,
        token_types=None,
        token_type_rows=0,
        embedding_norm=_norm(f"{prefix}embeddings.norm", settings),
        layers=tuple(
            _layer(f"{prefix}layers.{index}.", settings, kind=kind, first=index == 0)
            for index, kind in enumerate(_layer_kinds(settings))
        ),
        pre_norm=True,
        final_norm=_norm(f"{prefix}final_norm", settings),
    )


def _layer(prefix: str, settings: Settings, *, kind: str, first: bool) -> Layer:
    hidden, inner = settings.integer("hidden_size"), settings.integer("intermediate_size")
    attention_bias, inner_bias = settings.flag("attention_bias", False), settings.flag("mlp_bias", False)
    local = kind == "sliding_attention"
    return Layer(
        attention=Attention(
            qkv=_linear(f"{prefix}attn.Wqkv", hidden, hidden * 3, bias=attention_bias),
            out=_linear(f"{prefix}attn.Wo", hidden, hidden, bias=attention_bias),
            heads=settings.integer("num_attention_heads"),
            rotary_theta=_rotary_theta(settings, kind),
            window=settings.integer("local_attention", _LOCAL_ATTENTION) // 2 if local else None,
        ),
        attention_norm=None if first else _norm(f"{prefix}attn_norm", settings),
        feed_forward=FeedForward(
            up=_linear(f"{prefix}mlp.Wi", hidden, inner * 2, bias=inner_bias),
            down=_linear(f"{prefix}mlp.Wo", inner, hidden, bias=inner_bias),
            activation=settings.activation("hidden_activation"),
            gated=True,
        ),
        feed_forward_norm=_norm(f"{prefix}mlp_norm", settings),
    )


def _layer_kinds(settings: Settings) -> list[str]:
    """``full_attention`` or ``sliding_attention`` for each layer, in the new spelling or the old."""
    count = settings.layers("num_hidden_layers")
    stated = settings.values.get("layer_types")
    if stated is None:
        every = settings.integer("global_attn_every_n_layers", _GLOBAL_EVERY)
        return ["sliding_attention" if index % every else "full_attention" for index in range(count)]
    if not isinstance(stated, list) or len(stated) != count:
        raise BrokenModel(f"{settings.file}: layer_types is not a list of num_hidden_layers = {count} entries")
    if unknown := [kind for kind in stated if kind not in _THETA]:
        raise settings.unsupported("layer_types", f"{', '.join(_THETA)} (found {unknown[0]!r})")
    return stated


def _rotary_theta(settings: Settings, kind: str) -> float:
    stated = settings.values.get("rope_parameters") or {}
    own: Any = stated.get(kind) if isinstance(stated, Mapping) else None
    parameters = Settings(own if isinstance(own, Mapping) else {}, settings.file)
    parameters.require("rope_type", "default")
    return parameters.number("rope_theta", settings.number(_OLD_THETA_KEYS[kind], _THETA[kind]))


def _linear(module: str, in_features: int, out_features: int, *, bias: bool) -> Linear:
    return Linear((f"{module}.weight",), (f"{module}.bias",) if bias else (), in_features, out_features)


def _norm(module: str, settings: Settings) -> Norm:
    bias = f"{module}.bias" if settings.flag("norm_bias", False) else None
    return Norm(f"{module}.weight", bias, settings.integer("hidden_size"), settings.number("norm_eps", EPSILON))
