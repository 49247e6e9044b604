"""What a card takes from a GGUF file's header: what the model does, and how it makes vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.models.architectures import positive_int
from umekomi.models.card import Capability, Pooling
from umekomi.models.gguf_header import read_header

# llama.cpp's enum llama_pooling_type.
_POOLING: Mapping[int, Pooling] = {1: "mean", 2: "cls", 3: "lasttoken"}
_RANK = 4


@dataclass(frozen=True, slots=True)
class GgufCard:
    """Units and words as in `umekomi.models.card.ModelCard`."""

    architecture: str
    dim: int
    max_tokens: int
    pooling: Pooling
    capabilities: tuple[Capability, ...]
    licence: str | None


def read_gguf_card(path: Path) -> GgufCard:
    """What the header says: a file without a pooling generates text, one whose pooling is a rank scores pairs.

    Raises `BrokenModel` for a file that is cut short, damaged or no GGUF, and `UnsupportedModel` for a pooling that
    makes no vectors.
    """
    facts = read_header(path).metadata
    architecture = facts.get("general.architecture")
    if not isinstance(architecture, str):
        raise BrokenModel(f"{path}: states no general.architecture")
    kind: Any = facts.get(f"{architecture}.pooling_type")
    licence = facts.get("general.license")
    return GgufCard(
        architecture=architecture,
        dim=positive_int(facts.get(f"{architecture}.embedding_length"), "embedding_length", path),
        max_tokens=positive_int(facts.get(f"{architecture}.context_length"), "context_length", path),
        pooling=_POOLING.get(kind, "mean"),
        capabilities=(_capability(kind, path),),
        licence=licence if isinstance(licence, str) else None,
    )


def _capability(kind: object, path: Path) -> Capability:
    if kind is None:
        return "chat"
    if kind == _RANK:
        return "rerank"
    if kind not in _POOLING:
        raise UnsupportedModel(
            f"{path}: pooling_type is {kind!r}; supported are 1 (mean), 2 (cls), 3 (last) and 4 (rank)"
        )
    return "embedding"
