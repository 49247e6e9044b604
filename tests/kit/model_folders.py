"""Small models as folders, written without torch, as sentence-transformers would save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

HIDDEN = 8
CONFIG = {"model_type": "bert", "hidden_size": HIDDEN, "max_position_embeddings": 64, "vocab_size": 4}
POOLING = {"embedding_dimension": HIDDEN, "pooling_mode": "mean", "include_prompt": True}
TYPES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
OLD_TYPES = {kind: f"sentence_transformers.models.{kind}" for kind in TYPES}


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def edit_json(path: Path, **values: Any) -> None:
    """Set keys of a JSON object; a value of ``...`` takes the key away."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    write_json(path, {key: value for key, value in content.items() if value is not ...})


def write_modules(folder: Path, kinds: list[str], types: dict[str, str] = TYPES) -> None:
    """modules.json with the paths that sentence-transformers gives: ``""``, ``1_Pooling``, ``2_Normalize`` …"""
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": types[kind]}
        for i, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)


def write_model(folder: Path, *, seed: int = 0, weights: bool = True) -> Path:
    """A whole model: mean pooling, unit length, prompts; tensors of a size that tests can cut short."""
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "1_Pooling/config.json", POOLING)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32})
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "document": ""}})
    write_modules(folder, ["Transformer", "Pooling", "Normalize"])
    write_tokenizer(folder)
    if weights:
        save_file(tensors(seed), folder / "model.safetensors")
    return folder


def tensors(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    shape = (4, HIDDEN)
    return {f"layer.{i}.weight": random.standard_normal(shape).astype(np.float32) for i in range(2)}


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512})


def write_dense(folder: Path, index: int, sizes: tuple[int, int], **settings: Any) -> Path:
    """A Dense module beside a model, without its line in modules.json."""
    place = folder / f"{index}_Dense"
    inner, outer = sizes
    config = {
        "in_features": inner,
        "out_features": outer,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    write_json(place / "config.json", config | settings)
    layer = {"linear.weight": np.ones((outer, inner), np.float32), "linear.bias": np.zeros(outer, np.float32)}
    save_file(layer, place / "model.safetensors")
    return place
