"""Small SentencePiece models, trained in the test process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece

from kit.awkward_texts import AWKWARD

CORPUS = [line for text in AWKWARD if len(text) < 200 for line in text.split("\n") if line.strip()] * 20


def train_sentencepiece(**options: Any) -> bytes:
    """A model as a file's content. ``options`` as SentencePiece's trainer takes them."""
    model = io.BytesIO()
    defaults = {"vocab_size": 400, "model_type": "unigram", "character_coverage": 0.98, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, minloglevel=2, **{**defaults, **options}
    )
    return model.getvalue()


def write_sentencepiece(folder: Path, class_name: str, model: bytes, **options: Any) -> Path:
    """A model folder without a tokenizer.json, of the tokenizer class ``class_name``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = {"T5Tokenizer": "spiece.model", "LlamaTokenizer": "tokenizer.model"}
    (folder / file.get(class_name, "sentencepiece.bpe.model")).write_bytes(model)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_name, **options}))
    return folder
