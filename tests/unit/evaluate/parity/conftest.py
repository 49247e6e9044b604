"""A tiny model that sentence-transformers serves in its own ways, and the same files as our reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.embedding_server import Embed
from kit.tiny_models import save_tiny_model
from umekomi.evaluate.parity import Reference, open_reference
from umekomi.types import Vectors

POSITIONS = 400
LIMIT = 128

TEXTS = [
    f"the {colour} {fruit} is a sweet fruit and number {row} is long and yellow 東京は日本の首都です"
    for row, (colour, fruit) in enumerate(
        (colour, fruit)
        for colour in ("green", "red", "blue", "black", "white", "yellow")
        for fruit in ("apple", "banana", "果物", "mixed text")
    )
]


@dataclass(frozen=True)
class TinyModel:
    """One set of weights: ``served`` gives sentence-transformers' vectors in other settings of its files."""

    folder: Path

    def served(
        self,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        limit: int = LIMIT,
        prompt: str = "",
        cut: str = "right",
    ) -> Embed:
        from sentence_transformers import SentenceTransformer

        folder = self._copy(pooling, normalize=normalize)
        model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        model.max_seq_length = limit
        model.tokenizer.truncation_side = cut

        def embed(texts: list[str]) -> Vectors:
            given = [prompt + text for text in texts]
            return np.asarray(model.encode(given, show_progress_bar=False, batch_size=8), np.float32)

        return embed

    def _copy(self, pooling: str, *, normalize: bool) -> Path:
        folder = self.folder.with_name(f"{pooling}-{normalize}")
        if not folder.exists():
            shutil.copytree(self.folder, folder)
            _edit(folder / "1_Pooling" / "config.json", lambda values: {**values, "pooling_mode": pooling})
            if not normalize:
                _edit(folder / "modules.json", lambda modules: modules[:2])
        return folder


def _edit(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    folder = save_tiny_model(tmp_path_factory.mktemp("parity") / "tiny", "bert", max_tokens=POSITIONS)
    _edit(folder / "sentence_bert_config.json", lambda values: {**values, "max_seq_length": LIMIT})
    return TinyModel(folder)


@pytest.fixture(scope="session")
def reference(tiny: TinyModel) -> Iterator[Reference]:
    with open_reference(str(tiny.folder), threads=1) as opened:
        yield opened
