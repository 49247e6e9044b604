"""How much disk a training takes, and whether there is so much."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from umekomi.errors import StoreError
from umekomi.models.bundle import Bundle
from umekomi.train.settings import TrainingSettings

_KEPT = 3
"""Checkpoints at once: the best, the last, and the one that is being written."""

_OF_WEIGHTS = 3
"""A checkpoint holds the weights, and for each of them the two averages of AdamW."""

_EXPORTED = 2.5
"""Of the weights: the tuned model in float32, as a graph in float32, and one in int8."""

_OTHER_BYTES = 50_000_000
"""Tokenizers, the curve, reports."""

_HALF = 2
"""Weights in half precision double when they are trained."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes that a training will have on the disk at its fullest."""

    checkpoint_bytes: int
    needed_bytes: int


def plan_space(bundle: Bundle, settings: TrainingSettings) -> Space:
    """By the size of the base's files; adapters are small beside the weights that they are saved without."""
    weights = sum(path.stat().st_size for path in bundle.weights)
    if str(bundle.config.get("dtype", bundle.config.get("torch_dtype"))) in ("float16", "bfloat16"):
        weights *= _HALF
    checkpoint = weights * _OF_WEIGHTS if settings.lora_rank is None else weights // 20
    return Space(checkpoint, checkpoint * _KEPT + int(weights * (1 + _EXPORTED)) + _OTHER_BYTES)


def check_space(folder: Path, bundle: Bundle, settings: TrainingSettings) -> None:
    """Raise `StoreError` where the disk of ``folder``, which exists, has too little left."""
    needed = plan_space(bundle, settings).needed_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"{folder}: a training of {bundle.card.name} takes up to {shown(needed)} for checkpoints and the "
            f"exported model, and the disk has {shown(free)} left; make room, choose another --output, or use --lora-rank"
        )


def shown(size_bytes: float) -> str:
    """``1.2 GB`` or ``310 MB``."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
