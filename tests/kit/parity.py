"""What sentence-transformers makes of a model, and how near our vectors are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kit.awkward_texts import AWKWARD
from umekomi.types import Vectors

TEXTS = [
    *AWKWARD,
    "the green apple is a fruit",
    "緑の果物は甘くて長い",
    "mixed 日本語 text 🍏🎌",
    "banana <pad> yellow",
]


def reference_vectors(folder: Path, texts: list[str]) -> Vectors:
    """sentence-transformers' vectors, each text alone."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    vectors: Vectors = np.concatenate([model.encode([text], show_progress_bar=False) for text in texts])
    return vectors


def cosines(left: Vectors, right: Vectors) -> Vectors:
    """Cosine of each row with the other's, in float64: float32 itself errs by 1e-7."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    result: Vectors = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return result
