"""What a transformer's config.json means by architecture: the width of its states and its longest input."""

from __future__ import annotations

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

_WIDTH_KEYS = ("hidden_size", "dim", "d_model")
_DEFAULT_PAD = 1  # RoBERTa's, where config.json leaves it out


def hidden_size(config: Mapping[str, Any], file: Path) -> int:
    """Width of a token's state. Raises `BrokenModel` where config.json states none."""
    for key in _WIDTH_KEYS:
        if key in config:
            return positive_int(config[key], key, file)
    raise BrokenModel(f"{file}: states no hidden_size")


def max_positions(config: Mapping[str, Any], file: Path) -> int | None:
    """Tokens that the position table holds, special tokens included; None where config.json states no limit."""
    stated = config.get("max_position_embeddings")
    if stated is None or stated == -1:
        return None
    positions = positive_int(stated, "max_position_embeddings", file)
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
