"""A reranker as the teacher: its scores of every query's texts, computed once and kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from umekomi.engines.base import Reranker
from umekomi.engines.registry import open_reranker
from umekomi.errors import ConfigError
from umekomi.evaluate.settings import Watch
from umekomi.models.bundle import Bundle
from umekomi.models.ranking import read_score_activation
from umekomi.models.sources import open_model
from umekomi.train.examples import Example
from umekomi.train.settings import TrainingSettings
from umekomi.writing import replacing

_SURE = 1e-6
"""A probability is kept this far from 0 and 1, where its log odds would be infinite."""


def check_teacher(name: str, *, notify: Callable[[str], None]) -> None:
    """Raise `ConfigError` for a model that is no reranker, and what opening it raises, before any work."""
    if "rerank" not in open_model(name, notify=notify).card.capabilities:
        raise ConfigError(
            f"--distill {name}: this model does not rerank; give a cross-encoder, a folder or a hub id"
        )


def teach(
    examples: Sequence[Example], settings: TrainingSettings, folder: Path, watch: Watch
) -> NDArray[np.float32]:
    """The teacher's log odds for each query of its positive and its negatives: float32 ``(n, 1 + negatives)``.

    Kept in ``folder``, so that a run that goes on does not ask again. Raises `ConfigError` where there are no
    negatives to order, and what opening and running a reranker raise.
    """
    assert settings.distill is not None
    if not examples or not examples[0].negatives:
        raise ConfigError(
            f"--distill {settings.distill}: a reranker teaches an order, and these pairs have one text each; "
            "give --negatives 3 or so"
        )
    bundle = open_model(settings.distill, notify=watch.notify)
    kept = folder / f"teacher-{_digest(examples, bundle)}.npy"
    if kept.exists():
        found: NDArray[np.float32] = np.load(kept, allow_pickle=False)
        return found
    reranker = open_reranker(bundle, threads=settings.threads)
    try:
        scores = _ask(reranker, bundle, examples, watch)
    finally:
        reranker.close()
    with replacing(kept) as out:
        buffer = io.BytesIO()
        np.save(buffer, scores, allow_pickle=False)
        out.write(buffer.getvalue())
    return scores


def _ask(reranker: Reranker, bundle: Bundle, examples: Sequence[Example], watch: Watch) -> NDArray[np.float32]:
    rows: list[Any] = []
    truncated = 0
    with watch.stage(f"asking {bundle.card.name}", total=len(examples)) as advance:
        for example in examples:
            found = reranker.score(example.query, [example.positive, *example.negatives])
            rows.append(found.scores)
            truncated += found.truncated
            advance(1)
    if truncated:
        watch.notify(f"{bundle.card.name}: {truncated} pairs were cut at its context")
    scores = np.array(rows, np.float64)
    if _gives_probabilities(bundle):
        scores = np.clip(scores, _SURE, 1 - _SURE)
        scores = np.log(scores / (1 - scores))
    return scores.astype(np.float32)


def _gives_probabilities(bundle: Bundle) -> bool:
    """llama.cpp gives the model's own numbers."""
    return bundle.card.format != "gguf" and read_score_activation(bundle.folder, bundle.config) == "sigmoid"


def _digest(examples: Sequence[Example], bundle: Bundle) -> str:
    digest = hashlib.sha256(bundle.card.fingerprint.encode())
    for example in examples:
        digest.update(orjson.dumps([example.query, example.positive, example.negatives]))
    return digest.hexdigest()[:32]
