"""Which engine runs which model. Engines are imported at their first use only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from umekomi.engines.base import Encoder
from umekomi.errors import ConfigError, UnsupportedModel
from umekomi.models.bundle import Bundle
from umekomi.types import Precision

ENGINES = {
    "onnx": "umekomi.engines.onnx:open_encoder",
    "hashing": "umekomi.engines.hashing:open_encoder",
}
"""Engine name to ``module:function``. The function takes ``(bundle, *, precision, threads)``."""

_FORMAT_ENGINES = {"safetensors": "onnx", "onnx": "onnx", "hashing": "hashing"}


def open_encoder(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Encoder:
    """An open encoder for ``bundle``; the caller closes it. ``prompts`` replace the card's own, by role.

    Raises `ConfigError` for an unknown engine, `UnsupportedModel` where none fits, and what the engine raises.
    """
    if engine == "auto":
        engine = _engine_for(bundle)
    if engine not in ENGINES:
        raise ConfigError(f"unknown engine '{engine}'; known: auto, {', '.join(ENGINES)}")
    if prompts:
        bundle = replace(bundle, card=bundle.card.with_prompts(prompts))
    module, _, function = ENGINES[engine].partition(":")
    opener: Callable[..., Any] = getattr(importlib.import_module(module), function)
    encoder: Encoder = opener(bundle, precision=precision, threads=threads)
    return encoder


def _engine_for(bundle: Bundle) -> str:
    engine = _FORMAT_ENGINES.get(bundle.card.format)
    if engine is None:
        raise UnsupportedModel(
            f"{bundle.card.name}: no engine of this version makes embeddings from a {bundle.card.format} file"
        )
    return engine
