"""Tiny random models of every supported architecture, saved by sentence-transformers as users save theirs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from kit.model_folders import edit_json

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "distilbert", "luke", "modernbert")
"""What the ONNX engine builds."""

OTHERS = ("mpnet", "deberta-v2", "albert", "t5")
"""Encoders that it does not."""

DECODERS = ("llama", "gpt_neox", "gpt2", "mixtral")

_CORPUS = [
    "the green apple is a sweet fruit and the long banana is yellow",
    "緑の果物は甘くて、長いバナナは黄色い。東京は日本の首都です。",
    "mixed 日本語 text with numbers 123 and emoji 🍏🎌",
    "query: 4 5 6 7 8 9 0",
]
_SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}


def save_tiny_model(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str = "mean",
    dense: Sequence[str] = (),
    layer_norm: bool = False,
    normalize: bool = True,
    max_tokens: int = 48,
    changes: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """A sentence-transformers folder with random weights; ``dense`` names activations of torch.nn.

    ``layer_norm`` puts a LayerNorm, and a Dropout that must do nothing, after the pooling.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    inner = folder.with_name(f"{folder.name}-transformer")
    save_tiny_transformer(inner, architecture, max_tokens=max_tokens, changes=changes, seed=seed)
    transformer = modules.Transformer(str(inner), max_seq_length=max_tokens)
    width = transformer.get_embedding_dimension()
    parts: list[Any] = [transformer, modules.Pooling(width, pooling_mode=pooling)]
    if layer_norm:
        norm = modules.LayerNorm(width)
        torch.nn.init.uniform_(norm.norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.norm.bias, -0.5, 0.5)
        parts += [norm, modules.Dropout(0.5)]
    for activation in dense:
        parts.append(modules.Dense(width, width // 2, activation_function=getattr(torch.nn, activation)()))
        width //= 2
    if normalize:
        parts.append(modules.Normalize())
    SentenceTransformer(modules=parts, device="cpu").save(str(folder), create_model_card=False)
    return folder


def save_tiny_transformer(
    folder: Path,
    architecture: str,
    *,
    max_tokens: int = 48,
    changes: dict[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """A transformer with random weights and a tokenizer trained on a few sentences, as transformers saves them."""
    import torch
    from transformers import AutoConfig, AutoModel, T5EncoderModel

    tokenizer = train_tokenizer()
    config = AutoConfig.for_model(architecture, **_settings(architecture, tokenizer, max_tokens), **(changes or {}))
    torch.manual_seed(seed)
    attention = {} if architecture == "t5" else {"attn_implementation": "eager"}
    model = T5EncoderModel(config) if architecture == "t5" else AutoModel.from_config(config, **attention)
    _save(model.eval(), tokenizer, folder, max_tokens=max_tokens)


def save_tiny_reranker(
    folder: Path,
    architecture: str,
    *,
    max_tokens: int = 48,
    changes: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """A cross-encoder with random weights, as transformers saves it: no modules.json. BERT's tells token types."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    tokenizer = train_tokenizer()
    settings = {"num_labels": 1, **_settings(architecture, tokenizer, max_tokens), **(changes or {})}
    config = AutoConfig.for_model(architecture, **settings)
    torch.manual_seed(seed)
    _save(AutoModelForSequenceClassification.from_config(config).eval(), tokenizer, folder, max_tokens=max_tokens)
    if architecture == "bert":
        names = ["input_ids", "token_type_ids", "attention_mask"]
        edit_json(folder / "tokenizer_config.json", model_input_names=names)
    return folder


def save_tiny_decoder(
    folder: Path, architecture: str = "llama", *, max_tokens: int = 40, changes: dict[str, Any] | None = None
) -> Path:
    """A model that generates text, as transformers saves it. Its tokenizer knows every byte; Llama's puts ``<s>``
    before a text, those of the others nothing around it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = train_byte_tokenizer(start=architecture == "llama")
    settings = {**_decoder_settings(architecture, tokenizer, max_tokens), **(changes or {})}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **settings)).eval()
    _save(model, tokenizer, folder, max_tokens=None)
    return folder


def _save(model: Any, tokenizer: Tokenizer, folder: Path, *, max_tokens: int | None) -> None:
    """With weights spread so that texts differ: the usual start of training is so near zero that every text gets
    nearly the same vector."""
    import torch
    from transformers import PreTrainedTokenizerFast

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(std=_spread(name, tuple(parameter.shape)))
    model.save_pretrained(folder)
    known = {kind: token for kind, token in _SPECIAL.items() if tokenizer.token_to_id(token) is not None}
    special = {f"{kind}_token": token for kind, token in known.items()}
    limit = {} if max_tokens is None else {"model_max_length": max_tokens}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **limit, **special).save_pretrained(folder)


def train_tokenizer() -> Tokenizer:
    """Unigram over a few sentences, with the special tokens of XLM-R; what it does not know is ``<unk>``."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=250, special_tokens=list(_SPECIAL.values()), unk_token=_SPECIAL["unk"], show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.model = _in_order(json.loads(tokenizer.to_str())["model"])
    first, last = _SPECIAL["bos"], _SPECIAL["eos"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B:1 {last}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer


def _in_order(trained: dict[str, Any]) -> models.Unigram:
    """The same model in every process: training ranks equally frequent pieces in the order of a hash."""
    special, pieces = trained["vocab"][: len(_SPECIAL)], trained["vocab"][len(_SPECIAL) :]
    ranked = sorted((-round(score, 2), piece) for piece, score in pieces)
    return models.Unigram([*map(tuple, special), *((piece, -cost) for cost, piece in ranked)], trained["unk_id"])


def train_byte_tokenizer(*, start: bool) -> Tokenizer:
    """Byte-level BPE, for which no text is unknown. ``start`` puts ``<s>`` before a text; nothing else is added."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[_SPECIAL["bos"], _SPECIAL["eos"]],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if start:
        first = _SPECIAL["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    return tokenizer


def _decoder_settings(architecture: str, tokenizer: Tokenizer, max_tokens: int) -> dict[str, Any]:
    common = {
        "vocab_size": tokenizer.get_vocab_size(),
        "bos_token_id": tokenizer.token_to_id(_SPECIAL["bos"]),
        "eos_token_id": tokenizer.token_to_id(_SPECIAL["eos"]),
    }
    match architecture:
        case "gpt2":
            return {**common, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": max_tokens}
        case "mixtral":
            common |= {"num_local_experts": 4, "num_key_value_heads": 2}
        case "llama":
            common |= {"num_key_value_heads": 2}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    return {**common, **sizes, "max_position_embeddings": max_tokens}


def _spread(name: str, shape: tuple[int, ...]) -> float:
    if len(shape) == 1:
        return 0.1
    words = "word_embeddings" in name or "tok_embeddings" in name
    return 1.0 if words else float(shape[-1] ** -0.5)


def _settings(architecture: str, tokenizer: Tokenizer, max_tokens: int) -> dict[str, Any]:
    ids = {f"{kind}_token_id": tokenizer.token_to_id(token) for kind, token in _SPECIAL.items() if kind != "unk"}
    ids.pop("mask_token_id")
    common = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": max_tokens, **ids}
    match architecture:
        case "distilbert":
            return {**common, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}
        case "modernbert":
            own = {"cls_token_id": ids["bos_token_id"], "sep_token_id": ids["eos_token_id"], "local_attention": 8}
            return {**common, **_sizes(layers=4), **own}
        case "luke":
            rest = {"entity_vocab_size": 8, "entity_emb_size": 16}
            return {**common, **_sizes(), **rest, "max_position_embeddings": max_tokens + 2}
        case "roberta" | "xlm-roberta":
            return {**common, **_sizes(), "max_position_embeddings": max_tokens + 2, "type_vocab_size": 1}
        case "mpnet":
            return {**common, **_sizes(), "max_position_embeddings": max_tokens + 2}
        case "deberta-v2":
            own = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
            return {**common, **_sizes(), **own, "type_vocab_size": 0}
        case "albert":
            return {**common, **_sizes(), "embedding_size": 16}
        case "t5":
            sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
            return {**common, **sizes, "decoder_start_token_id": common["pad_token_id"]}
    return {**common, **_sizes()}


def _sizes(*, layers: int = 3) -> dict[str, int]:
    return {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 64}
