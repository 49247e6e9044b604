"""`LlamaOptions`: how llama.cpp runs a model, in the words of llama-server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from umekomi.errors import ConfigError
from umekomi.models.card import Pooling

LlamaPooling: TypeAlias = Literal["mean", "cls", "last"]

CARD_POOLING: dict[LlamaPooling, Pooling] = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""llama-server's words to a card's."""

_CHAT_TOKENS = 4096
_ENCODER_TOKENS = 2048
_PARALLEL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaOptions:
    """Names and meanings as on llama-server's command line; None leaves the choice to `plan_slots` or the model.

    chat_template  Jinja template, or the name of one that llama.cpp knows; else the file's own
    ctx_size       context in tokens that all slots divide among themselves; 0 gives each slot the model's own
    n_gpu_layers   layers to keep on the GPU; -1 for all
    parallel       slots: requests that run at the same time; a decoder makes its vectors one by one all the same
    threads        threads for computing
    flash_attn     flash attention
    pooling        how the vectors of tokens become one; makes an encoder of a decoder
    """

    chat_template: str | None = None
    ctx_size: int | None = None
    n_gpu_layers: int | None = None
    parallel: int | None = None
    threads: int | None = None
    flash_attn: Literal["auto", "on", "off"] = "auto"
    pooling: LlamaPooling | None = None

    def __post_init__(self) -> None:
        for name, least in (("ctx_size", 0), ("n_gpu_layers", -1), ("parallel", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; the least is {least}")
        if self.flash_attn not in ("auto", "on", "off"):
            raise ConfigError(f"flash_attn is '{self.flash_attn}'; expected auto, on or off")
        if self.pooling is not None and self.pooling not in CARD_POOLING:
            raise ConfigError(f"pooling is '{self.pooling}'; expected {', '.join(CARD_POOLING)}")


def read_options(values: Mapping[str, Any]) -> LlamaOptions:
    """Raises `ConfigError` for an unknown name or a wrong value."""
    known = [field.name for field in fields(LlamaOptions)]
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown option '{name}' of llama.cpp; known: {', '.join(known)}")
    return LlamaOptions(**values)


@dataclass(frozen=True, slots=True)
class Slots:
    """How many requests run at once, and the tokens that each may use. Memory grows with the product."""

    parallel: int
    tokens: int


def plan_slots(options: LlamaOptions, *, model_tokens: int, generates: bool) -> Slots:
    """Slots for a model whose own context is ``model_tokens``.

    Each slot has its fixed part of ctx_size: in a shared cache, a long request could push out its neighbours.
    A named ctx_size without a named parallel is the context of a single slot, so that neither the context nor the
    memory is other than what was asked for.
    """
    if not options.ctx_size:
        usual = min(model_tokens, _CHAT_TOKENS if generates else _ENCODER_TOKENS)
        return Slots(options.parallel or _PARALLEL, model_tokens if options.ctx_size == 0 else usual)
    parallel = options.parallel or 1
    tokens = min(options.ctx_size // parallel, model_tokens)
    if tokens < 1:
        raise ConfigError(f"ctx_size {options.ctx_size} is less than a token for each of {parallel} slots")
    return Slots(parallel, tokens)
