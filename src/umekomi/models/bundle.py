"""A model's files on disk, checked and described: what a source hands to an engine.

(The reading of a folder into a bundle is written here.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.models.card import ModelCard


@dataclass(frozen=True)
class Bundle:
    """A model's card beside its files; all paths exist and were checked when the bundle was opened.

    folder    the model's root
    weights   safetensors shards in order, or one ONNX or GGUF file
    config    the transformer's config.json (empty for GGUF)
    """

    card: ModelCard
    folder: Path
    weights: tuple[Path, ...]
    config: Mapping[str, Any]
