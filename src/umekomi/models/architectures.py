"""What a transformer's config.json means by architecture: its kind, the width of its states, its longest input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umekomi.errors import BrokenModel

BUILDABLE = frozenset({"bert", "roberta", "xlm-roberta", "distilbert", "luke", "modernbert"})
"""Architectures whose graph an engine builds from safetensors; others run from a shipped ``onnx/model.onnx``."""

_PADDED_POSITIONS = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "luke", "mpnet", "longformer"}
)
"""Positions count from ``pad_token_id + 1``, so that the first rows of the position table hold no token."""

_WIDTH_KEYS = ("hidden_size", "dim", "d_model", "n_embd")
_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length")
_RELATIVE_POSITIONS = frozenset({"t5", "mt5", "umt5", "longt5"})
"""These state a length that nothing in them depends on."""

_GENERATING = re.compile(r"\w+(ForCausalLM|LMHeadModel)")
_CLASSIFYING = re.compile(r"\w+ForSequenceClassification")
_DEFAULT_PAD = 1  # RoBERTa's, where config.json leaves it out


def generates(config: Mapping[str, Any]) -> bool:
    """Whether it was saved as a model that generates text."""
    return _saved_as(_GENERATING, config)


def classifies(config: Mapping[str, Any]) -> bool:
    """Whether it was saved as a model that classifies texts, or pairs of them."""
    return _saved_as(_CLASSIFYING, config)


def _saved_as(kind: re.Pattern[str], config: Mapping[str, Any]) -> bool:
    classes = config.get("architectures")
    return isinstance(classes, list) and any(isinstance(name, str) and kind.fullmatch(name) for name in classes)


def hidden_size(config: Mapping[str, Any], file: Path) -> int:
    """Width of a token's state. Raises `BrokenModel` where config.json states none."""
    for key in _WIDTH_KEYS:
        if key in config:
            return positive_int(config[key], key, file)
    raise BrokenModel(f"{file}: states no hidden_size")


def max_positions(config: Mapping[str, Any], file: Path) -> int | None:
    """Tokens that the position table holds, special tokens included; None where config.json states no limit."""
    key = next((key for key in _LENGTH_KEYS if config.get(key) not in (None, -1)), None)
    if key is None or config.get("model_type") in _RELATIVE_POSITIONS:
        return None
    positions = positive_int(config[key], key, file)
    if config.get("model_type") not in _PADDED_POSITIONS:
        return positions
    pad = config.get("pad_token_id", _DEFAULT_PAD)
    if isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < positions - 1:
        raise BrokenModel(
            f"{file}: pad_token_id is {pad!r}, which does not fit max_position_embeddings {positions}"
        )
    return positions - pad - 1


def positive_int(value: object, key: str, file: Path) -> int:
    """``value`` as it stands under ``key`` of ``file``. Raises `BrokenModel` unless it is an integer over zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise BrokenModel(f"{file}: {key} is {value!r}; expected an integer over 0")
    return value
