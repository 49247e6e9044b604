"""Which engine runs which model. Engines are imported at their first use only."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from umekomi.engines.base import Encoder, Generator, Reranker
from umekomi.errors import ConfigError, MissingExtra, UnsupportedCapability, UnsupportedModel
from umekomi.extras import is_installed
from umekomi.models.architectures import BUILDABLE
from umekomi.models.bundle import Bundle
from umekomi.models.card import Capability
from umekomi.types import Precision

ENGINES = {
    "onnx": "umekomi.engines.onnx:open_encoder",
    "hashing": "umekomi.engines.hashing:open_encoder",
    "llama_cpp": "umekomi.engines.llama_cpp:open_encoder",
    "torch": "umekomi.engines.torch:open_encoder",
}
"""Encoders: engine name to ``module:function``. The function takes ``(bundle, *, precision, threads)``."""

GENERATORS = {"llama_cpp": "umekomi.engines.llama_cpp:open_generator"}
"""Engine name to ``module:function``. The function takes ``(bundle, *, threads)``."""

RERANKERS = {
    "onnx": "umekomi.engines.onnx:open_reranker",
    "llama_cpp": "umekomi.engines.llama_cpp:open_reranker",
    "torch": "umekomi.engines.torch:open_reranker",
}
"""Engine name to ``module:function``. The function takes ``(bundle, *, precision, threads)``."""

_WITH_OPTIONS = {"llama_cpp", "torch"}
"""Engines whose functions also take ``options``."""

_FORMAT_ENGINES = {"safetensors": "onnx", "onnx": "onnx", "hashing": "hashing", "gguf": "llama_cpp"}

_TORCH = "pip install 'umekomi[train]'"
"""How the engine of that name is installed."""

_MAKES: Mapping[Capability, str] = {
    "embedding": "makes embeddings",
    "chat": "generates text",
    "rerank": "scores documents for a query",
}


_log = logging.getLogger("umekomi.engines")


def open_encoder(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    prompts: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Encoder:
    """An open encoder for ``bundle``; the caller closes it. ``prompts`` replace the card's own, by role;
    ``options`` are the engine's own, such as the fields of ``llama_cpp.LlamaOptions``.

    ``auto`` takes the engine of the model's format; for safetensors ONNX where it can run the model, else torch.

    Raises `ConfigError` for an unknown engine or option, `UnsupportedCapability` for a model that makes no vectors
    (a decoder in a GGUF file makes them once ``options`` name a pooling), `UnsupportedModel` where no engine fits,
    `MissingExtra` where the one that does is not installed, and what the engine raises.
    """
    if not (options or {}).get("pooling"):
        _check_capability(
            bundle, "embedding", remedy="; name a pooling (mean, cls or last) to take vectors from it"
        )
    if prompts:
        bundle = replace(bundle, card=bundle.card.with_prompts(prompts))
    encoder: Encoder = _open(ENGINES, bundle, engine, options, precision=precision, threads=threads)
    return encoder


def open_generator(
    bundle: Bundle,
    *,
    engine: str = "auto",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Generator:
    """An open generator for ``bundle``; the caller closes it. Raises as `open_encoder` does."""
    _check_capability(bundle, "chat")
    generator: Generator = _open(GENERATORS, bundle, engine, options, threads=threads)
    return generator


def open_reranker(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Reranker:
    """An open reranker for ``bundle``; the caller closes it. Raises as `open_encoder` does."""
    _check_capability(bundle, "rerank")
    reranker: Reranker = _open(RERANKERS, bundle, engine, options, precision=precision, threads=threads)
    return reranker


def _check_capability(bundle: Bundle, wanted: Capability, *, remedy: str = "") -> None:
    card = bundle.card
    if wanted not in card.capabilities:
        makes = " and ".join(_MAKES[capability] for capability in card.capabilities)
        remedy = remedy if card.capabilities == ("chat",) else ""
        raise UnsupportedCapability(f"{card.name}: this model {makes}; it has no {wanted} capability{remedy}")


def _open(
    table: Mapping[str, str], bundle: Bundle, engine: str, options: Mapping[str, Any] | None, **arguments: Any
) -> Any:
    if engine == "auto" and bundle.card.format == "safetensors" and "torch" in table:
        return _open_safetensors(table, bundle, options, arguments)
    if engine == "auto":
        engine = _engine_for(bundle)
    return _find(table, bundle, engine, options)(bundle, **arguments)


def _open_safetensors(
    table: Mapping[str, str], bundle: Bundle, options: Mapping[str, Any] | None, arguments: Mapping[str, Any]
) -> Any:
    """By ONNX where that can run the model, else by torch. Options are torch's: ONNX has none."""
    card = bundle.card
    if not options and not card.in_pieces and card.architecture in BUILDABLE:
        try:
            return _find(table, bundle, "onnx", None)(bundle, **arguments)
        except UnsupportedModel as error:
            if not is_installed("torch"):
                raise UnsupportedModel(f"{error}; the engine 'torch' may run it: {_TORCH}") from None
            if arguments.get("precision") == "int8":
                raise
            opened = _find(table, bundle, "torch", None)(bundle, **arguments)
            _log.warning("%s: runs in torch, since ONNX cannot: %s", card.name, error)
            return opened
    if not is_installed("torch"):
        raise MissingExtra(
            f"{card.name}: a model of this kind ({card.architecture}) needs the engine 'torch', which is not "
            f"installed: {_TORCH}"
        )
    return _find(table, bundle, "torch", options)(bundle, **arguments)


def _find(
    table: Mapping[str, str], bundle: Bundle, engine: str, options: Mapping[str, Any] | None
) -> Callable[..., Any]:
    """The opener of the engine, with its options filled in."""
    if engine not in table:
        raise ConfigError(f"unknown engine '{engine}'; known: auto, {', '.join(table)}")
    module, _, function = table[engine].partition(":")
    opener: Callable[..., Any] = getattr(importlib.import_module(module), function)
    if not options:
        return opener
    if engine not in _WITH_OPTIONS:
        raise ConfigError(f"{bundle.card.name}: engine '{engine}' takes no options, and got {', '.join(options)}")
    return functools.partial(opener, options=options)


def _engine_for(bundle: Bundle) -> str:
    engine = _FORMAT_ENGINES.get(bundle.card.format)
    if engine is None:
        raise UnsupportedModel(f"{bundle.card.name}: no engine of this version runs a {bundle.card.format} file")
    return engine
