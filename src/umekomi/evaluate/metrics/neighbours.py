"""The nearest texts by cosine: exact, in blocks, and the same whatever the block.

float32 products nominate candidates, with a margin no smaller than their rounding error; `exact` decides among
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.checks import check_unit
from umekomi.evaluate.metrics.exact import margin, similarity_of_pairs, similarity_table
from umekomi.types import Vectors

BLOCK_BYTES = 256 << 20
_GROUP = 64
_SPARE_GROUPS = 32
_CROWD_ROWS = 64

_Rows: TypeAlias = NDArray[np.int64]
_Found: TypeAlias = tuple[_Rows, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The ``k`` nearest of each text, nearest first.

    index       int64 ``(n, k)``: rows; of equal similarities the lower row comes first
    similarity  float32 ``(n, k)``: cosines, equal for equal vectors
    tied        bool ``(n,)``: the next text after the last was as near, so the order of the data chose between them
    """

    index: NDArray[np.int64]
    similarity: NDArray[np.float32]
    tied: NDArray[np.bool_]


def nearest(
    vectors: Vectors, *, k: int, queries: Vectors | None = None, block_bytes: int = BLOCK_BYTES
) -> Neighbours:
    """The ``k`` rows of ``vectors`` nearest to each query; without ``queries``, to each row but itself.

    vectors      float32 ``(n, dim)``, rows of unit length or all zeros
    queries      float32 ``(q, dim)``, likewise; no row of ``vectors`` is left out for them
    block_bytes  the largest table of similarities held at a time; the result does not depend on it

    A text is left out by its row, not by its rank: its duplicates stay. Raises `InvalidInput` for vectors that are
    not finite or not of unit length, and where there are not ``k`` others.
    """
    check_unit(vectors)
    if queries is not None:
        check_unit(queries, what="queries")
    available = len(vectors) - (queries is None)
    if not 1 <= k <= available:
        others = "other texts" if queries is None else "texts"
        raise InvalidInput(f"k is {k}, but each text has {max(available, 0)} {others} to choose from", param="k")
    depth = min(k + 1, available)
    parts = list(_iter_best(vectors, queries, depth=depth, block_bytes=block_bytes))
    index, similarity = (np.concatenate(each) for each in zip(*parts, strict=True))
    tied = similarity[:, k - 1] == similarity[:, k] if depth > k else np.zeros(len(index), np.bool_)
    return Neighbours(index[:, :k].copy(), similarity[:, :k].copy(), tied)


def iter_similarities(
    vectors: Vectors, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """``(first row, float32 (rows, n))``: the exact similarities with all texts, block by block, each for the
    caller to change. Takes about twice as long as rounded products."""
    rows = max(1, block_bytes // (8 * max(1, len(vectors))))
    for start in range(0, len(vectors), rows):
        yield start, similarity_table(vectors[start : start + rows], vectors)


def _iter_best(vectors: Vectors, queries: Vectors | None, *, depth: int, block_bytes: int) -> Iterator[_Found]:
    """Blocks of queries against all texts. The table's columns lie in ``width`` layers, so that one look at the
    largest of each column's layers stands for ``width`` texts; the last places are filled up with -inf."""
    count = len(vectors)
    asking = vectors if queries is None else queries
    width = min(_GROUP, max(1, count // (8 * depth)))
    groups = -(-count // width)
    rows = max(1, min(len(asking), block_bytes // (4 * groups * width)))
    table = np.full((rows, groups * width), -np.inf, np.float32)
    for start in range(0, len(asking), rows):
        block = asking[start : start + rows]
        own = np.arange(start, start + len(block)) if queries is None else None
        part = table[: len(block)]
        np.matmul(block, vectors.T, out=part[:, :count])
        if own is not None:
            part[np.arange(len(block)), own] = -np.inf
        yield _best(part.reshape(len(block), width, groups), block, vectors, own=own, depth=depth)


def _best(
    layers: NDArray[np.float32], block: Vectors, vectors: Vectors, *, own: _Rows | None, depth: int
) -> _Found:
    """The ``depth`` best of each row of ``block``, whose rounded similarities are ``layers``.

    own  the row of ``vectors`` that each row of the block is
    """
    row, column, crowded = _candidates(layers, depth=depth, slack=margin(block.shape[1]))
    similarity = similarity_of_pairs(block, vectors, left_rows=row, right_rows=column)
    index, best = np.zeros((len(block), depth), np.int64), np.zeros((len(block), depth), np.float32)
    plain = np.flatnonzero(~crowded)
    index[plain], best[plain] = _first(row, column, similarity, depth=depth)
    for at, found in _iter_first_of_all(block, vectors, rows=np.flatnonzero(crowded), own=own, depth=depth):
        index[at], best[at] = found
    return index, best


def _candidates(layers: NDArray[np.float32], *, depth: int, slack: float) -> tuple[_Rows, _Rows, NDArray[np.bool_]]:
    """Rows and columns of every similarity that may belong to the ``depth`` best of its row, row by row.

    At least ``depth`` texts reach the ``depth``-th best of the groups' maxima. A row in which far more groups do
    (a crowd of duplicates) is only marked, in the third array.
    """
    peaks = layers.max(axis=1)
    place = peaks.shape[1] - depth
    low = np.partition(peaks, place, axis=1)[:, place] - np.float32(slack)
    reaching = peaks >= low[:, None]
    crowded = reaching.sum(axis=1) > depth + _SPARE_GROUPS
    reaching[crowded] = False
    row, group = np.nonzero(reaching)
    hit, layer = np.nonzero(layers[row, :, group] >= low[row, None])
    return row[hit], layer * layers.shape[2] + group[hit], crowded


def _first(row: _Rows, column: _Rows, similarity: NDArray[np.float32], *, depth: int) -> _Found:
    """The ``depth`` best of each row that has candidates, best first, the lower column first of equal ones."""
    order = np.lexsort((column, -similarity, row))
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    take = order[starts[:, None] + np.arange(depth)]
    return column[take], similarity[take]


def _iter_first_of_all(
    block: Vectors, vectors: Vectors, *, rows: _Rows, own: _Rows | None, depth: int
) -> Iterator[tuple[int, _Found]]:
    """The same for the ``rows`` of a block that have too many candidates to list, from all exact similarities.

    own  the row of ``vectors`` that each row of the block is
    """
    for start in range(0, len(rows), _CROWD_ROWS):
        some = rows[start : start + _CROWD_ROWS]
        table = similarity_table(block[some], vectors)
        for row, similarity in zip(some, table, strict=True):
            if own is not None:
                similarity[own[row]] = -np.inf
            yield int(row), _first_of_one(similarity, depth=depth)


def _first_of_one(similarity: NDArray[np.float32], *, depth: int) -> _Found:
    place = len(similarity) - depth
    last = np.partition(similarity, place)[place]
    above = np.flatnonzero(similarity > last)
    level = np.flatnonzero(similarity == last)[: depth - len(above)]
    column = np.concatenate([above[np.lexsort((above, -similarity[above]))], level])
    return column, similarity[column]
