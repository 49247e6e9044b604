"""The vectors of a task's texts, kept on disk by fingerprint and role so that none is computed twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from umekomi.embedding.bulk import embed_resumably
from umekomi.embedding.vectors import normalize
from umekomi.errors import StoreError
from umekomi.evaluate.candidates.opening import Candidate, EndpointCandidate
from umekomi.evaluate.tasks import LabelTask, PairTask, Task
from umekomi.types import Role, Vectors
from umekomi.writing import replacing

WINDOW_TEXTS = 256
"""Texts that are kept together: what a crash costs at most, times the few windows that run at once."""

SAME_COSINE = 0.9999
"""Below this, an address no longer gives the vectors that were kept from it."""


@dataclass(frozen=True, slots=True, eq=False)
class RoleVectors:
    """Texts of one role: unit-length ``vectors`` ``(n, dim)``, and what is known about their tokens.

    lengths    float32 ``(n,)``: how long the vectors were before they were scaled
    tokens     int64 ``(n,)`` that ran; None behind an address
    truncated  bool ``(n,)``; None behind an address
    lost       tokens beyond the context, over all texts; None behind an address
    """

    vectors: Vectors
    lengths: NDArray[np.float32]
    tokens: NDArray[np.int64] | None
    truncated: NDArray[np.bool_] | None
    lost: int | None


@dataclass(frozen=True, slots=True, eq=False)
class TaskVectors:
    """``main``: the texts, the first of the pairs, or the queries; ``other``: the second ones, or the corpus."""

    main: RoleVectors
    other: RoleVectors | None = None


def count_texts(task: Task) -> int:
    """Texts that a model embeds for ``task``."""
    if isinstance(task, LabelTask):
        return len(task.texts)
    return 2 * len(task) if isinstance(task, PairTask) else len(task.queries) + len(task.corpus)


def embed_task(
    candidate: Candidate, task: Task, *, role: Role, cache: Path, advance: Callable[[int], None] = lambda done: None
) -> TaskVectors:
    """Vectors of every text of ``task``; those in ``cache`` are not computed again.

    role     of the texts of labels and pairs; queries are ``query`` and their corpus ``document`` whatever it is,
             unless it is ``raw``
    advance  called with the number of texts that became ready
    """

    def embed(texts: Sequence[str], as_role: Role) -> RoleVectors:
        return embed_texts(candidate, texts, role=as_role, cache=cache, advance=advance)

    if isinstance(task, LabelTask):
        return TaskVectors(embed(task.texts, role))
    if isinstance(task, PairTask):
        return TaskVectors(embed(task.first, role), embed(task.second, role))
    raw = role == "raw"
    return TaskVectors(
        embed(task.queries, "raw" if raw else "query"), embed(task.corpus, "raw" if raw else "document")
    )


def embed_texts(
    candidate: Candidate,
    texts: Sequence[str],
    *,
    role: Role,
    cache: Path,
    advance: Callable[[int], None] = lambda done: None,
) -> RoleVectors:
    """Vectors of ``texts`` in one role, in order; those in ``cache`` are not computed again."""
    parts = list(
        embed_resumably(
            candidate,
            texts,
            folder=cache / candidate.fingerprint / role,
            role=role,
            window_texts=WINDOW_TEXTS,
            progress=advance,
        )
    )
    vectors = np.concatenate([part.vectors for part in parts])
    lengths = np.linalg.norm(vectors, axis=1)
    if candidate.record.endpoint is not None:
        return RoleVectors(normalize(vectors), lengths, None, None, None)
    truncated = np.concatenate([part.truncated for part in parts])
    cut = [text for text, was_cut in zip(texts, truncated.tolist(), strict=True) if was_cut]
    return RoleVectors(
        normalize(vectors),
        lengths,
        np.concatenate([part.tokens for part in parts]),
        truncated,
        candidate.lost_tokens(cut, role=role),
    )


def check_cache(candidate: Candidate, cache: Path, *, notify: Callable[[str], None]) -> None:
    """Forget what was kept from an address that serves other vectors today than it did then."""
    if not isinstance(candidate, EndpointCandidate):
        return  # a fingerprint covers all that decides the vectors of a model in this process
    folder = cache / candidate.fingerprint
    kept = folder / "probes.npy"
    if kept.exists():
        try:
            before = np.load(kept, allow_pickle=False)
        except (OSError, EOFError, ValueError) as error:
            raise StoreError(f"{kept}: damaged ({error}); delete the folder that it lies in") from None
        cosines = (normalize(before) * normalize(candidate.probes)).sum(axis=1)
        if cosines.min() >= SAME_COSINE:
            return
        notify(
            f"{candidate.record.name} gives other vectors than when its vectors were kept "
            f"(cosine {cosines.min():.4f}); all are computed again"
        )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as file:
        np.save(file, candidate.probes)
