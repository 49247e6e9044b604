"""GGUF files through llama.cpp: chat and completion, embeddings, reranking. Needs the extra ``llm``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from umekomi.engines.llama_cpp.encoder import LlamaEncoder
from umekomi.engines.llama_cpp.generator import LlamaGenerator
from umekomi.engines.llama_cpp.options import CARD_POOLING, LlamaOptions, plan_slots, read_options
from umekomi.engines.llama_cpp.reranker import LlamaReranker
from umekomi.engines.llama_cpp.server import LlamaServer, Purpose, Setup
from umekomi.engines.llama_cpp.vocabulary import Vocabulary
from umekomi.errors import ConfigError, UnsupportedCapability, UnsupportedModel
from umekomi.models.bundle import Bundle
from umekomi.models.gguf_header import GgufHeader, read_header
from umekomi.types import Precision

__all__ = ["LlamaOptions", "open_encoder", "open_generator", "open_reranker"]


def open_generator(
    bundle: Bundle, *, options: Mapping[str, Any] | None = None, threads: int | None = None
) -> LlamaGenerator:
    """``options`` are the fields of `LlamaOptions`.

    Raises `BrokenModel`, `UnsupportedModel`, `ConfigError` and `MissingExtra`, as the other two do.
    """
    setup = _setup(bundle, "generate", options, threads)
    server, vocabulary = _start(bundle, setup)
    card = replace(bundle.card, max_tokens=setup.slots.tokens)
    return LlamaGenerator(server, vocabulary, card, setup.slots)


def open_encoder(
    bundle: Bundle,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> LlamaEncoder:
    """Vectors by the file's own pooling, or by ``options.pooling``. The card says what is run, context included."""
    _check_precision(bundle, precision)
    setup = _setup(bundle, "embed", options, threads)
    server, vocabulary = _start(bundle, setup)
    pooling = setup.options.pooling
    card = replace(
        bundle.card,
        max_tokens=setup.slots.tokens,
        pooling=CARD_POOLING[pooling] if pooling else bundle.card.pooling,
        capabilities=("embedding",),
    )
    return LlamaEncoder(server, vocabulary, card, batch_tokens=setup.slots.parallel * setup.slots.tokens)


def open_reranker(
    bundle: Bundle,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> LlamaReranker:
    """Raises `UnsupportedCapability` for a file whose pooling is no rank."""
    _check_precision(bundle, precision)
    if "rerank" not in bundle.card.capabilities:
        raise UnsupportedCapability(
            f"{bundle.card.name}: the GGUF file states no rank pooling, so it scores no pairs"
        )
    setup = _setup(bundle, "rerank", options, threads)
    server, vocabulary = _start(bundle, setup)
    return LlamaReranker(server, vocabulary, replace(bundle.card, max_tokens=setup.slots.tokens))


def _check_precision(bundle: Bundle, precision: Precision) -> None:
    if precision != "fp32":
        raise ConfigError(
            f"{bundle.card.name}: precision {precision} is not for GGUF files, whose weights have their own; "
            "leave it out, and choose a file of that quantisation"
        )


def _setup(bundle: Bundle, purpose: Purpose, options: Mapping[str, Any] | None, threads: int | None) -> Setup:
    if bundle.card.format != "gguf":
        raise UnsupportedModel(f"{bundle.card.name}: llama.cpp reads GGUF files, and this is {bundle.card.format}")
    chosen = read_options(options or {})
    if chosen.threads is None and threads is not None:
        chosen = replace(chosen, threads=threads)
    slots = plan_slots(chosen, model_tokens=bundle.card.max_tokens, generates=purpose == "generate")
    path = bundle.weights[0]
    header = read_header(path)  # before the library reads the file, which trusts it more than we do
    if purpose != "generate" and not _sees_both_ways(header):
        slots = replace(slots, parallel=1)
    return Setup(path=path, header=header, purpose=purpose, slots=slots, options=chosen)


def _sees_both_ways(header: GgufHeader) -> bool:
    """Whether the model has no cache of the past, and so takes each text whole.

    Others are given texts one by one: llama.cpp cuts texts of unequal length into equal steps, and then pools the
    last step of each only. Mean vectors in company were wrong by up to 0.2 a component (2026-11-21).
    """
    architecture = header.metadata.get("general.architecture")
    return header.metadata.get(f"{architecture}.attention.causal") is False


def _start(bundle: Bundle, setup: Setup) -> tuple[LlamaServer, Vocabulary]:
    server = LlamaServer(setup)
    try:
        return server, Vocabulary(server, setup.header, name=bundle.card.name)
    except BaseException:
        server.close()
        raise
