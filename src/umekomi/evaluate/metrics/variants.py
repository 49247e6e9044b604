"""Search in vectors that are kept shorter or coarser, for curves of quality over bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from umekomi.embedding.vectors import cut_dimensions, normalize
from umekomi.evaluate.metrics.neighbours import BLOCK_BYTES, nearest
from umekomi.types import Vectors

Form: TypeAlias = Literal["float32", "int8", "binary", "binary+rescore"]

DIMENSIONS = (32, 64, 128, 256, 512, 768, 1024, 1536, 2048)
RESCORED = 4
"""How many times as many candidates binary search hands on; 4 as in sentence-transformers'
``rescore_multiplier``."""

_CHUNK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of keeping vectors.

    name  ``dim=128``, ``int8``, ``binary``, ``binary+rescore``, or ``dim=384`` for the vectors as they are
    """

    name: str
    curve: Literal["dimensions", "precision"]
    form: Form
    dim: int
    bytes_per_vector: int


def plan_variants(dim: int) -> tuple[Variant, ...]:
    """The vectors as they are on both curves, every shorter length of `DIMENSIONS`, and every coarser form."""
    cuts = [*(cut for cut in DIMENSIONS if cut < dim), dim]
    sizes: dict[Form, int] = {
        "float32": 4 * dim,
        "int8": dim,
        "binary": -(-dim // 8),
        "binary+rescore": -(-dim // 8),
    }
    shorter = [Variant(f"dim={cut}", "dimensions", "float32", cut, 4 * cut) for cut in cuts]
    coarser = [Variant(form, "precision", form, dim, size) for form, size in sizes.items()]
    return (*shorter, *coarser)


def search_variant(
    vectors: Vectors,
    variant: Variant,
    *,
    k: int,
    queries: Vectors | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> NDArray[np.int64]:
    """The ``k`` nearest as `neighbours.nearest` gives them, int64 ``(n, k)``, with ``vectors`` kept as ``variant``
    says.

    dim=…           the first components, normalized again, of both sides
    int8            each row in steps of its largest component over 127; queries too
    binary          signs only, by Hamming distance; queries too
    binary+rescore  the same for `RESCORED` times as many candidates, put in order by the product of the query's own
                    float32 vector with the signs: no further vector is kept
    """
    if variant.form == "binary+rescore":
        return _rescored(vectors, vectors if queries is None else queries, k=k, own=queries is None)
    asked = None if queries is None else kept_as(queries, variant)
    return nearest(kept_as(vectors, variant), k=k, queries=asked, block_bytes=block_bytes).index


def kept_as(vectors: Vectors, variant: Variant) -> Vectors:
    """What ``variant`` leaves of the vectors, as float32 of unit length; for ``binary+rescore``, the signs."""
    if variant.form == "int8":
        steps = np.abs(vectors).max(axis=1, keepdims=True) / 127
        return normalize(np.rint(vectors / np.where(steps > 0, steps, 1)))
    if variant.form in {"binary", "binary+rescore"}:
        return _signs(vectors)
    return cut_dimensions(vectors, variant.dim)


def _signs(vectors: Vectors) -> Vectors:
    """1 for components above 0, -1 for others, scaled to unit length: cosines then fall as Hamming distances
    rise."""
    step = 1 / np.sqrt(vectors.shape[1])
    return np.asarray(np.where(vectors > 0, step, -step), np.float32)


def _rescored(vectors: Vectors, asking: Vectors, *, k: int, own: bool) -> NDArray[np.int64]:
    signs = _signs(vectors)
    many = min(RESCORED * k, len(vectors) - own)
    found = nearest(signs, k=many, queries=None if own else _signs(asking)).index
    result = np.empty((len(asking), k), np.int64)
    step = max(1, _CHUNK_BYTES // (4 * many * vectors.shape[1]))
    for start in range(0, len(asking), step):
        part = slice(start, start + step)
        scores = np.einsum("qcd,qd->qc", signs[found[part]], asking[part])
        order = np.lexsort((found[part], -scores), axis=1)[:, :k]
        result[part] = np.take_along_axis(found[part], order, axis=1)
    return result
