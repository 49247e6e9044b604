"""The default engine: embeddings and rerankers by ONNX Runtime, from safetensors or from a shipped ONNX file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from umekomi.engines.head import load_head
from umekomi.engines.onnx.build import open_graph, read_model
from umekomi.engines.onnx.built import BuiltTransformer
from umekomi.engines.onnx.encoder import OnnxEncoder, Transformer
from umekomi.engines.onnx.ranking import load_ranking_head
from umekomi.engines.onnx.reranker import OnnxReranker
from umekomi.engines.onnx.session import Session
from umekomi.engines.onnx.settings import Settings
from umekomi.engines.onnx.shipped import ShippedTransformer
from umekomi.engines.pairs import PairCutter
from umekomi.engines.texts import TextCutter
from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.architectures import hidden_size
from umekomi.models.bundle import Bundle
from umekomi.models.checkpoint import Checkpoint
from umekomi.models.ranking import read_score_activation, tells_types
from umekomi.models.tokenizer import load_tokenizer
from umekomi.types import Precision

__all__ = ["export_graph", "open_encoder", "open_reranker"]


def open_encoder(bundle: Bundle, *, precision: Precision = "fp32", threads: int | None = None) -> OnnxEncoder:
    """An encoder for ``bundle``. The first time, its graph is built into the store, which takes some seconds.

    threads  how many `run` calls compute at once, a core each; all usable cores by default

    Raises `BrokenModel` naming the file that is damaged, missing or does not fit, `UnsupportedModel` for an
    architecture, setting or precision that this engine does not run, `StoreError` where the graph cannot be kept.
    """
    cutter = TextCutter(load_tokenizer(bundle.folder), max_tokens=bundle.card.max_tokens)
    head = load_head(bundle)
    transformer = _open_transformer(bundle, cutter, precision=precision)
    return OnnxEncoder(
        bundle.card.with_precision(precision),
        transformer=transformer,
        cutter=cutter,
        head=head,
        lanes=threads or _usable_cores(),
    )


def _open_transformer(bundle: Bundle, cutter: TextCutter, *, precision: Precision) -> Transformer:
    if bundle.card.format == "onnx":
        return _open_shipped(bundle, precision=precision)
    return _open_built(bundle, cutter, precision=precision)


def open_reranker(bundle: Bundle, *, precision: Precision = "fp32", threads: int | None = None) -> OnnxReranker:
    """A reranker for ``bundle``, from safetensors only. Raises as `open_encoder` does."""
    if bundle.card.format != "safetensors":
        raise UnsupportedModel(
            f"{bundle.card.name}: rerankers run from safetensors, and this is an {bundle.card.format} file"
        )
    card = bundle.card
    activation = read_score_activation(bundle.folder, bundle.config)
    tokenizer = load_tokenizer(bundle.folder)
    texts = TextCutter(tokenizer, max_tokens=card.max_tokens)
    settings = Settings(bundle.config, bundle.folder / "config.json")
    head = load_ranking_head(settings, Checkpoint(bundle.weights), hidden=card.dim)
    return OnnxReranker(
        card.with_precision(precision),
        transformer=_open_built(bundle, texts, precision=precision, pairs=True),
        cutter=PairCutter(tokenizer, max_tokens=card.max_tokens, types=tells_types(bundle.folder), name=card.name),
        head=head,
        activation=activation,
        threads=threads or _usable_cores(),
    )


def _open_built(
    bundle: Bundle, cutter: TextCutter, *, precision: Precision, pairs: bool = False
) -> BuiltTransformer:
    return BuiltTransformer(Session(_find_graph(bundle, cutter, precision=precision, pairs=pairs)))


def export_graph(bundle: Bundle, folder: Path, *, precision: Precision) -> None:
    """Write the graph of an embedding model into ``folder``, which is made: ``graph.onnx`` and ``weights.bin``.

    It is a copy of the graph in the store, built there first unless it is there: an engine that opens the model
    later finds it. Raises as `open_encoder` does.
    """
    cutter = TextCutter(load_tokenizer(bundle.folder), max_tokens=bundle.card.max_tokens)
    graph = _find_graph(bundle, cutter, precision=precision, pairs=False)
    shutil.copytree(graph.parent, folder)


def _find_graph(bundle: Bundle, cutter: TextCutter, *, precision: Precision, pairs: bool) -> Path:
    """File of the graph in the store, built first where it is not there."""
    blueprint, checkpoint = read_model(bundle)
    if cutter.vocabulary > blueprint.vocabulary:
        raise BrokenModel(
            f"{bundle.folder}: the tokenizer has {cutter.vocabulary} tokens, but the word table only "
            f"{blueprint.vocabulary} (vocab_size in config.json)"
        )
    if blueprint.positions is not None and bundle.card.max_tokens > blueprint.positions.longest:
        raise BrokenModel(
            f"{bundle.folder}: texts may have {bundle.card.max_tokens} tokens, but the position table "
            f"holds {blueprint.positions.longest}; lower max_seq_length in sentence_bert_config.json"
        )
    samples = cutter.random_texts()
    return open_graph(bundle, blueprint, checkpoint, precision=precision, samples=samples, pairs=pairs)


def _open_shipped(bundle: Bundle, *, precision: Precision) -> ShippedTransformer:
    if precision != "fp32":
        raise UnsupportedModel(
            f"{bundle.card.name}: precision {precision} needs a graph built from safetensors, but this model "
            f"({bundle.card.architecture}) runs from the ONNX file that it ships; use fp32"
        )
    config_file: Path = bundle.folder / "config.json"
    pad_id = bundle.config.get("pad_token_id")
    return ShippedTransformer(
        bundle.weights[0],
        hidden=hidden_size(bundle.config, config_file),
        pad_id=pad_id if isinstance(pad_id, int) else 0,
    )


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
