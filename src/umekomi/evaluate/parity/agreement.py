"""How well two sets of vectors for the same texts agree, and what that means for an index. Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from umekomi.types import Vectors

KEEP_COSINE = 0.9995
"""Least cosine of any text with which an index stays as it is. 16-bit floats and other runtimes stay well above."""

KEEP_OVERLAP = 0.99
"""Least share of neighbours that must stay the same for it."""

DRIFT_COSINE = 0.99
DRIFT_OVERLAP = 0.90
"""Down to here an index works on, with rankings that shift a little: what 8-bit weights do."""

NEIGHBOURS = 10
SAME_SIMILARITY = 0.001
"""Neighbours whose similarity differs by less count as equally near: their order says nothing."""

SAME_LENGTH = 0.05
"""Relative difference of vectors' lengths over which dot products are other ones."""

_BLOCK_ROWS = 512

Verdict: TypeAlias = Literal["keep", "drift", "rebuild"]
"""keep: nothing changes; drift: it works on, with slightly other rankings; rebuild: embed the texts again."""

Float64s = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """Cosines of the rows in figures; the ``below_`` ones are shares of all rows."""

    rows: int
    least: float
    percentile_1: float
    median: float
    mean: float
    below_0_9999: float
    below_0_999: float
    below_0_99: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """Least, median and greatest length of one side's vectors."""

    least: float
    median: float
    greatest: float

    @property
    def unit(self) -> bool:
        return abs(self.least - 1) < SAME_LENGTH and abs(self.greatest - 1) < SAME_LENGTH


def cosines(first: Vectors, second: Vectors) -> Float64s:
    """Cosine of each row with the other's, float64 ``(n,)``: float32 itself errs by 1e-7. A row of zeros has 0."""
    a, b = _unit(first), _unit(second)
    return np.asarray(np.clip(np.einsum("ij,ij->i", a, b), -1, 1))


def summarise(values: Float64s) -> Summary:
    """``values`` float64 ``(n,)``, n at least 1."""
    return Summary(
        rows=len(values),
        least=float(values.min()),
        percentile_1=float(np.percentile(values, 1)),
        median=float(np.median(values)),
        mean=float(values.mean()),
        below_0_9999=float((values < 0.9999).mean()),
        below_0_999=float((values < 0.999).mean()),
        below_0_99=float((values < 0.99).mean()),
    )


def lengths_of(vectors: Vectors) -> Lengths:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return Lengths(float(norms.min()), float(np.median(norms)), float(norms.max()))


def same_lengths(first: Vectors, second: Vectors) -> bool:
    """Whether every row has the length that it has on the other side, to `SAME_LENGTH`."""
    a, b = (np.linalg.norm(side.astype(np.float64), axis=1) for side in (first, second))
    return bool((np.abs(a - b) <= SAME_LENGTH * np.maximum(a, b)).all())


def neighbour_overlap(old: Vectors, new: Vectors, *, k: int = NEIGHBOURS) -> float | None:
    """Share of the ``k`` nearest texts that stay when the query's vector is new and the index is old.

    A new neighbour counts as the same where its old similarity is within `SAME_SIMILARITY` of the old neighbours'
    last one. The text itself is left out. None for fewer than three texts.
    """
    count = len(old)
    k = min(k, count - 2)
    if k < 1:
        return None
    index, queries = _unit(old), _unit(new)
    kept = 0
    for start in range(0, count, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, count))
        before, after = index[rows] @ index.T, queries[rows] @ index.T
        before[np.arange(len(rows)), rows] = after[np.arange(len(rows)), rows] = -np.inf
        last = np.partition(before, count - k, axis=1)[:, count - k]
        found = np.argpartition(after, count - k, axis=1)[:, count - k :]
        kept += int((np.take_along_axis(before, found, axis=1) >= last[:, None] - SAME_SIMILARITY).sum())
    return kept / (count * k)


def matched_share(first: Vectors, second: Vectors) -> float:
    """Share of rows whose nearest row on the other side is their own (or as near as it): near 1 for related spaces,
    near chance, 1 / n, for unrelated ones."""
    similarity = _unit(first) @ _unit(second).T
    own = np.diag(similarity)
    return float((own >= similarity.max(axis=1) - 1e-9).mean())


def order_between(first: Vectors, second: Vectors) -> NDArray[np.int64] | None:
    """Where each row of ``first`` is in ``second`` if that is another order of the same vectors, else None."""
    similarity = _unit(first) @ _unit(second).T
    found = similarity.argmax(axis=1)
    misplaced = (found != np.arange(len(found))) & (np.diag(similarity) < KEEP_COSINE)
    everywhere = similarity[np.arange(len(found)), found] >= KEEP_COSINE
    if misplaced.any() and everywhere.all() and len(set(found.tolist())) == len(found):
        return np.asarray(found, np.int64)
    return None


def judge(summary: Summary, overlap: float | None) -> Verdict:
    """The rule: keep from `KEEP_COSINE` in every row and `KEEP_OVERLAP`; drift from the two lower limits."""
    shared = 1.0 if overlap is None else overlap
    if summary.least >= KEEP_COSINE and shared >= KEEP_OVERLAP:
        return "keep"
    if summary.least >= DRIFT_COSINE and shared >= DRIFT_OVERLAP:
        return "drift"
    return "rebuild"


def _unit(vectors: Vectors) -> Float64s:
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(lengths == 0, 1, lengths))
