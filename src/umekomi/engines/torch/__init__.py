"""Every transformer that the transformers library knows, by torch, on a CPU or a GPU. Needs the extra ``train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from umekomi.engines.head import load_head
from umekomi.engines.pairs import PairCutter
from umekomi.engines.texts import UNLIMITED, TextCutter
from umekomi.engines.torch.device import choose_device, choose_number_format, set_threads
from umekomi.engines.torch.encoder import TorchEncoder
from umekomi.engines.torch.loading import load_module, named, rows_of
from umekomi.engines.torch.options import CARD_POOLING, TorchOptions, read_options
from umekomi.engines.torch.reranker import TorchReranker
from umekomi.engines.torch.transformer import Transformer
from umekomi.errors import BrokenModel, ConfigError, UnsupportedModel
from umekomi.models.architectures import hidden_size
from umekomi.models.bundle import Bundle
from umekomi.models.card import ModelCard
from umekomi.models.ranking import read_score_activation, tells_types
from umekomi.models.tokenizer import load_tokenizer
from umekomi.types import Precision

__all__ = ["TorchOptions", "open_encoder", "open_reranker"]


def open_encoder(
    bundle: Bundle,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> TorchEncoder:
    """An encoder for ``bundle``. ``options`` are the fields of `TorchOptions`; ``threads`` are the process's own.

    The card says what is run: its number format, pooling, and whether long texts are run in pieces. Raises
    `MissingExtra`, `ConfigError` for an option or precision that does not fit, `UnsupportedModel` for what the
    library does not know or would have to run a model's own code for, `BrokenModel` for files that do not fit.
    """
    _check(bundle, precision)
    chosen = read_options(options or {})
    card = _card(bundle.card, chosen)
    device = choose_device(chosen.device)
    number_format = choose_number_format(chosen.dtype, device)
    tokenizer = load_tokenizer(bundle.folder)
    head = load_head(bundle)
    set_threads(threads)
    module = load_module(bundle, task="encode", device=device, number_format=number_format)
    # Tokenizers of decoders often declare more tokens than the model has rows for.
    limit = UNLIMITED if card.in_pieces else card.max_tokens
    cutter = TextCutter(tokenizer, max_tokens=limit, rows=rows_of(module))
    transformer = Transformer(module, device=device)
    start = _start_token(bundle)
    _try_out(bundle, transformer, start)
    return TorchEncoder(
        card.with_precision(number_format),
        transformer=transformer,
        cutter=cutter,
        head=head,
        start=start,
        batch_tokens=chosen.batch_tokens,
    )


def open_reranker(
    bundle: Bundle,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> TorchReranker:
    """A reranker for ``bundle``. As `open_encoder`, less the options about pooling and long texts."""
    _check(bundle, precision)
    chosen = read_options(options or {})
    if chosen.pooling or chosen.long_texts:
        raise ConfigError(f"{bundle.card.name}: pooling and long_texts are for models that make vectors")
    activation = read_score_activation(bundle.folder, bundle.config)
    card = bundle.card
    device = choose_device(chosen.device)
    number_format = choose_number_format(chosen.dtype, device)
    tokenizer = load_tokenizer(bundle.folder)
    cutter = PairCutter(tokenizer, max_tokens=card.max_tokens, types=tells_types(bundle.folder), name=card.name)
    set_threads(threads)
    module = load_module(bundle, task="rank", device=device, number_format=number_format)
    vocabulary, rows = TextCutter(tokenizer, max_tokens=card.max_tokens).vocabulary, rows_of(module)
    if vocabulary > rows:
        raise BrokenModel(
            f"{bundle.folder}: the tokenizer has {vocabulary} tokens, but the word table only {rows} "
            "(vocab_size in config.json)"
        )
    reranker = TorchReranker(
        card.with_precision(number_format),
        module=module,
        device=device,
        cutter=cutter,
        activation=activation,
        batch_tokens=chosen.batch_tokens,
    )
    with named(bundle):
        reranker.score("a", ["b"])  # as `_try_out`
    return reranker


def _try_out(bundle: Bundle, transformer: Transformer, start: int) -> None:
    """Run one token: what does not compute is said now, and the weights come into memory, where they are counted.

    Raises `BrokenModel`.
    """
    with named(bundle):
        found = transformer.pooled([np.array([start], np.int32)], bundle.card.pooling).shape[1]
    expected = hidden_size(bundle.config, bundle.folder / "config.json")
    if found != expected:
        raise BrokenModel(f"{bundle.folder}: a token's state has {found} numbers; config.json says {expected}")


def _check(bundle: Bundle, precision: Precision) -> None:
    if bundle.card.format != "safetensors":
        raise UnsupportedModel(
            f"{bundle.card.name}: the engine 'torch' reads safetensors, and this is {bundle.card.format}"
        )
    if precision != "fp32":
        raise ConfigError(
            f"{bundle.card.name}: precision {precision} is not for the engine 'torch'; leave it out, and choose a "
            "dtype (fp32, bf16, fp16) in its options"
        )


def _card(card: ModelCard, options: TorchOptions) -> ModelCard:
    pooling = CARD_POOLING[options.pooling] if options.pooling else card.pooling
    in_pieces = card.in_pieces and pooling == "mean"
    if options.long_texts is not None:
        in_pieces = options.long_texts == "pieces"
    if in_pieces and pooling != "mean":
        raise ConfigError(f"{card.name}: long_texts 'pieces' is for mean pooling, and this is {pooling}; use 'cut'")
    return replace(card, pooling=pooling, in_pieces=in_pieces)


def _start_token(bundle: Bundle) -> int:
    """What stands for a text without any token, such as an empty one where no special tokens surround it."""
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        token = bundle.config.get(key)
        if isinstance(token, int) and 0 <= token < bundle.config.get("vocab_size", 0):
            return token
    return 0
