"""Exact nearest neighbours by cosine similarity: every document is compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from umekomi.embedding.vectors import normalize
from umekomi.types import Hit, Vectors


def nearest(query: NDArray[np.float32], documents: Vectors, *, top: int | None = None) -> list[Hit]:
    """The ``top`` documents nearest to ``query`` by cosine, best first; all of them by default.

    query      float32 ``(dim,)``
    documents  float32 ``(n, dim)``; neither needs unit length

    Equal scores keep the order of the documents.
    """
    scores = normalize(documents) @ normalize(query[None, :])[0]
    order = np.argsort(-scores, kind="stable")[:top]
    return [Hit(index=int(i), score=float(scores[i])) for i in order]
