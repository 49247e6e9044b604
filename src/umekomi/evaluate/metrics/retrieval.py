"""Whether queries find their documents: the measures of trec_eval, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.neighbours import BLOCK_BYTES, nearest
from umekomi.evaluate.outcomes import Outcome
from umekomi.types import Vectors

RANKED_DEPTH = 1000
"""As deep as trec_eval reads a run by default; what comes later counts as not found."""

GAIN_CUT = 10
RECALL_CUTS = (1, 5, 10, 100)


def rank_corpus(
    queries: Vectors, corpus: Vectors, *, depth: int = RANKED_DEPTH, block_bytes: int = BLOCK_BYTES
) -> NDArray[np.int64]:
    """Rows of the corpus for each query, nearest first: int64 ``(q, min(depth, len(corpus)))``.

    Of equally near documents the lower row comes first. Raises what `neighbours.nearest` raises.
    """
    return nearest(corpus, k=min(depth, len(corpus)), queries=queries, block_bytes=block_bytes).index


def retrieval_outcomes(
    ranked: NDArray[np.int64], relevant: Sequence[Mapping[int, float]], *, corpus_size: int | None = None
) -> tuple[Outcome, ...]:
    """nDCG@10, recall@1, @5, @10 and @100, MRR@10 and MAP, as trec_eval defines them.

    ranked       int64 ``(q, depth)``: rows of the corpus, best first, none twice
    relevant     for each query, row of the corpus to gain; a gain of 0 or less is as good as none
    corpus_size  how many documents there are, where ``depth`` should be held against the deepest cut

    A cut deeper than the ranking takes the whole of it. Raises `InvalidInput` where a query has no relevant
    document, and where documents are left that a cut would have seen.
    """
    depth = ranked.shape[1]
    if len(ranked) != len(relevant) or len(relevant) == 0:
        raise InvalidInput(f"there are {len(ranked)} rankings and {len(relevant)} sets of relevant documents")
    if corpus_size is not None and depth < min(max(RECALL_CUTS), corpus_size):
        raise InvalidInput(f"the rankings are {depth} deep, but recall@{max(RECALL_CUTS)} looks deeper")
    ideal = [sorted((gain for gain in each.values() if gain > 0), reverse=True) for each in relevant]
    empty = [query for query, gains in enumerate(ideal) if not gains]
    if empty:
        more = f" and {len(empty) - 1} others have" if len(empty) > 1 else " has"
        raise InvalidInput(f"query {empty[0]}{more} no relevant document: leave such queries out")
    gains = _gains(ranked, relevant)
    total = np.array([len(each) for each in ideal], np.float64)
    return (
        Outcome(f"ndcg@{GAIN_CUT}", _ndcg(gains, ideal)),
        *(Outcome(f"recall@{cut}", (gains[:, :cut] > 0).sum(axis=1) / total) for cut in RECALL_CUTS),
        Outcome(f"mrr@{GAIN_CUT}", _reciprocal_rank(gains)),
        Outcome("map", _average_precision(gains, total)),
    )


def _gains(ranked: NDArray[np.int64], relevant: Sequence[Mapping[int, float]]) -> NDArray[np.float64]:
    """The gain of each place of each ranking."""
    size = 1 + max(int(ranked.max()), *(max(each) for each in relevant))
    judged = [(query * size + row, gain) for query, each in enumerate(relevant) for row, gain in each.items()]
    judged.sort()
    keys = np.array([key for key, _ in judged], np.int64)
    values = np.array([max(0.0, gain) for _, gain in judged])
    asked = ranked + size * np.arange(len(ranked))[:, None]
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0.0)


def _ndcg(gains: NDArray[np.float64], ideal: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Discounted gain over that of the best order: gains as they are, over log2(rank + 1) (Järvelin and Kekäläinen
    2002, doi:10.1145/582415.582418, in trec_eval's form)."""
    discount = 1 / np.log2(np.arange(2, GAIN_CUT + 2))
    found = gains[:, :GAIN_CUT] @ discount[: gains.shape[1]]
    best = np.array([sum(gain * weight for gain, weight in zip(each, discount, strict=False)) for each in ideal])
    return np.asarray(found / best, np.float64)


def _reciprocal_rank(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    hits = gains[:, :GAIN_CUT] > 0
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def _average_precision(gains: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over all relevant documents of the precision at their rank; 0 for those not found."""
    hits = gains > 0
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / total, np.float64)
