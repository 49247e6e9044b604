"""The round trip: a query that does not find its own chunk again, by words or by vectors, teaches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from umekomi.embedding.embedder import Embedder
from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics.retrieval import rank_corpus
from umekomi.search.lexical import LexicalIndex
from umekomi.synthesize.pairs import Pair, Rejection, Split
from umekomi.types import Vectors

FILTER = "round trip"
TOP = 10


def without_strays(
    pairs: Sequence[Pair],
    corpus: Mapping[str, str],
    *,
    splits: Mapping[str, Split],
    embedder: Embedder | None,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[list[Pair], list[Rejection]]:
    """``pairs`` whose chunk is among the `TOP` of BM25 or of ``embedder`` for their query, in their order.

    The test split is checked by BM25 alone, since ``embedder`` may be the model that is tuned: a test without the
    queries that it fails on would flatter it.

    corpus   every chunk by identifier, asked about or not
    advance  called with the number of chunks and queries that became ready
    """
    row_of = {chunk_id: row for row, chunk_id in enumerate(corpus)}
    lexical = LexicalIndex(list(corpus.values()))
    lost = []
    for pair in pairs:
        if not any(hit.index == row_of[pair.chunk_id] for hit in lexical.search(pair.query, top=TOP)):
            lost.append(pair)
        advance(1)
    found: set[str] = set()
    if embedder is not None:
        asked = [pair for pair in lost if splits[pair.document_id] != "test"]
        found = _found_by_vectors(asked, list(corpus.values()), row_of, embedder=embedder, advance=advance)
    rejected = {pair.id: _rejection(pair, splits, embedder) for pair in lost if pair.id not in found}
    return [pair for pair in pairs if pair.id not in rejected], list(rejected.values())


def embed_corpus(texts: Sequence[str], *, embedder: Embedder, advance: Callable[[int], None]) -> Vectors:
    """Vectors of ``texts`` as documents, in order, of unit length.

    advance  called with how many more are done
    """
    parts = []
    for part in embedder.iter_embed(texts, role="document"):
        parts.append(part.vectors)
        advance(len(part))
    return normalize(np.concatenate(parts))


def _found_by_vectors(
    pairs: Sequence[Pair],
    texts: Sequence[str],
    row_of: Mapping[str, int],
    *,
    embedder: Embedder,
    advance: Callable[[int], None],
) -> set[str]:
    """Identifiers of the pairs whose chunk is among the `TOP` nearest to their query."""
    if not pairs:
        return set()
    documents = embed_corpus(texts, embedder=embedder, advance=advance)
    queries = embedder.embed([pair.query for pair in pairs], role="query").vectors
    ranked = rank_corpus(normalize(queries), documents, depth=TOP)
    return {pair.id for pair, rows in zip(pairs, ranked.tolist(), strict=True) if row_of[pair.chunk_id] in rows}


def _rejection(pair: Pair, splits: Mapping[str, Split], embedder: Embedder | None) -> Rejection:
    words_only = embedder is None or splits[pair.document_id] == "test"
    ways = "BM25" if words_only or embedder is None else f"BM25 and of {embedder.card.name}"
    return Rejection(pair, FILTER, f"its chunk is not among the {TOP} first of {ways}")
