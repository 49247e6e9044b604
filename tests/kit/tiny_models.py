"""Tiny random models of every supported architecture, saved by sentence-transformers as users save theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "distilbert", "luke", "modernbert")

_CORPUS = [
    "the green apple is a sweet fruit and the long banana is yellow",
    "緑の果物は甘くて、長いバナナは黄色い。東京は日本の首都です。",
    "mixed 日本語 text with numbers 123 and emoji 🍏🎌",
]
_SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}


def save_tiny_model(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str = "mean",
    dense: Sequence[str] = (),
    normalize: bool = True,
    max_tokens: int = 48,
    changes: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """A sentence-transformers folder with random weights; ``dense`` names activations of torch.nn."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    inner = folder.with_name(f"{folder.name}-transformer")
    save_tiny_transformer(inner, architecture, max_tokens=max_tokens, changes=changes, seed=seed)
    transformer = modules.Transformer(str(inner), max_seq_length=max_tokens)
    width = transformer.get_embedding_dimension()
    parts: list[Any] = [transformer, modules.Pooling(width, pooling_mode=pooling)]
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
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    tokenizer = train_tokenizer()
    config = AutoConfig.for_model(architecture, **_settings(architecture, tokenizer, max_tokens), **(changes or {}))
    torch.manual_seed(seed)
    model = AutoModel.from_config(config, attn_implementation="eager").eval()
    # The usual start of training is so near zero that every text gets nearly the same vector.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(std=_spread(name, tuple(parameter.shape)))
    model.save_pretrained(folder)
    special = {f"{kind}_token": token for kind, token in _SPECIAL.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_tokens, **special).save_pretrained(
        folder
    )


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
    first, last = _SPECIAL["bos"], _SPECIAL["eos"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer


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
    return {**common, **_sizes()}


def _sizes(*, layers: int = 3) -> dict[str, int]:
    return {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 64}
