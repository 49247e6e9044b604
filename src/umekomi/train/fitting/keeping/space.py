"""How much disk a training takes, and whether there is so much."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from umekomi import config
from umekomi.errors import StoreError, UmekomiError
from umekomi.models.bundle import Bundle
from umekomi.models.checkpoint import read_header
from umekomi.train.exporting.disk import plan_export_size
from umekomi.train.settings import TrainingSettings

_KEPT = 3
"""Checkpoints at once: the best, the last, and the one that is being written."""

_ADAPTERS_SHARE = 20
"""Adapters of the usual ranks and their averages are smaller than one in so many of the weights."""

_OF_WEIGHTS = 3
"""A checkpoint holds the weights, and for each of them the two averages of AdamW."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes that a training will have on the disk at its fullest: in its folder, and in the model store."""

    checkpoint_bytes: int
    needed_bytes: int
    store_bytes: int


def plan_space(bundle: Bundle, settings: TrainingSettings) -> Space:
    """By the size of the base's weights in float32. Raises `BrokenModel`."""
    weights = 4 * sum(math.prod(stored.shape) for path in bundle.weights for stored in read_header(path).values())
    checkpoint = weights * _OF_WEIGHTS if settings.lora_rank is None else weights // _ADAPTERS_SHARE
    export = plan_export_size(bundle)
    return Space(checkpoint, checkpoint * _KEPT + weights + export.out_bytes, export.store_bytes)


def check_space(folder: Path, bundle: Bundle, settings: TrainingSettings) -> None:
    """Raise `StoreError` where the disk of ``folder``, which exists, or that of the store has too little left.

    What an earlier run of the same training left in ``folder`` counts as room.
    """
    space = plan_space(bundle, settings)
    left = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    store = config.home()
    store.mkdir(parents=True, exist_ok=True)
    same = folder.stat().st_dev == store.stat().st_dev
    _check(folder, space.needed_bytes + space.store_bytes * same - left, bundle.card.name)
    if not same:
        _check(store, space.store_bytes, bundle.card.name)


@contextmanager
def telling_full_disk(folder: Path, bundle: Bundle, settings: TrainingSettings) -> Iterator[None]:
    """Errors of libraries in the block become a `StoreError` where the disk is too full for another checkpoint.

    They have no class in common, and some do not say why they could not write.
    """
    try:
        yield
    except (UmekomiError, KeyboardInterrupt):
        raise
    except Exception as error:
        free = shutil.disk_usage(folder).free
        if free >= plan_space(bundle, settings).checkpoint_bytes:
            raise
        raise StoreError(
            f"{folder}: the disk has {shown(free)} left, too little for a checkpoint; make room, and go on with "
            f"--resume ({' '.join(str(error).split())[:200]})"
        ) from None


def _check(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"{folder}: a training of {name} takes up to {shown(needed)} for checkpoints and the exported "
            f"model, and the disk has {shown(free)} left; make room, choose another --output, or use --lora-rank"
        )


def shown(size_bytes: float) -> str:
    """``1.2 GB`` or ``310 MB``."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
