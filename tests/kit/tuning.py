"""Models as a training leaves them, without the training: tuned weights that were drawn, and the data to name."""

from __future__ import annotations

from pathlib import Path

from umekomi.models.bundle import Bundle
from umekomi.train.examples import Example, Passage, TrainingData
from umekomi.train.exporting import Provenance
from umekomi.train.fitting.loading import open_sentence_model
from umekomi.train.settings import TrainingSettings

DATA = TrainingData(
    objective="ranking",
    train=(Example("1", "which fruit is green", "the green apple is a sweet fruit"),),
    dev=(Example("2", "長い果物", "長いバナナは黄色い。"),),
    test=(Example("3", "日本の首都", "東京は日本の首都です。"),),
    corpus=(Passage("a", "the green apple is a sweet fruit"), Passage("b", "東京は日本の首都です。")),
    digests={"train.jsonl": "ab" * 32},
    skipped={},
)


def provenance(base: Bundle) -> Provenance:
    return Provenance(TrainingSettings(base=base.card.name), DATA)


def save_tuned(base: Bundle, folder: Path, *, spread: float, seed: int = 1) -> Path:
    """``base`` with every trained weight moved by a draw of ``spread`` of its usual size, saved by the library.

    A pooler, which no loss reaches, is saved as the library made it: at random where the base has none.
    """
    import torch

    model = open_sentence_model(base.folder)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "pooler" not in name:
                weight.add_(spread * weight.abs().mean() * torch.randn(weight.shape, generator=draws))
    model.save(str(folder), create_model_card=False)
    return folder
